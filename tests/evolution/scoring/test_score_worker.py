import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from evolution.sandbox import score_worker
from evolution.sandbox.line import is_sealed, sealed_file, shared_file
from evolution.scoring import (
    Forged,
    SocketLine,
    WorkerError,
    bits_per_byte,
    check_claim,
    judge,
    plan_audit,
    read_rows,
    reference_losses,
    rows_per_batch,
    take_audit,
    take_claim,
    worker_conditions,
)
from evolution.templates import template_path
from tests.evolution.scoring import small_world as world

# --- honest models and leaks, through the worker's own loop --------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        world.Embedded,
        world.Attention,
        world.Convolution,
        world.Recurrent,
        world.Tied,
        world.HalfPrecision,
        world.Masked,
    ],
)
def test_an_honest_model_is_believed(model):
    report = world.score(model(), world.small_rows())
    assert report.largest_gap <= 1e-6
    assert report.largest_pair_gap == 0.0
    assert (report.probe_count, report.pair_count) >= (60, 8)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (world.Bidirectional, "claim_gap"),
        (world.FutureMean, "claim_gap"),
        (world.BatchStatistics, "claim_gap"),
        (world.NextToken, "claim_gap"),
        (world.Remembering, "claim_gap"),
        (world.Unnormalised, "finite"),
    ],
)
def test_a_model_that_reads_more_than_its_prefix_is_rejected_by_name(model, rule):
    with pytest.raises(Forged, match=f"^scoring rule {rule}: ") as verdict:
        world.score(model(), world.small_rows())
    assert verdict.value.rule == rule


def test_a_leak_that_spares_the_target_is_rejected_by_the_pair_test():
    class Sly(world.Embedded):
        """Moves what it does not need for the loss by what comes later."""

        def forward(self, idx):
            logits = super().forward(idx)
            later = (idx.float() * torch.arange(idx.size(1))).sum(1)[:, None] % 5 / 5
            logits[..., -1] = -30.0  # the special token, never a target
            logits[..., -1] += later * 10
            return logits

    with pytest.raises(Forged) as verdict:
        world.score(Sly(), world.small_rows())
    assert verdict.value.rule == "pair"


@pytest.mark.parametrize("row_count", [1, 7, 8, 9, 50])
def test_a_claim_is_the_loss_of_every_row_however_many_there_are(row_count):
    rows = world.small_rows(row_count)
    model = world.Attention().eval()
    logits = model(torch.from_numpy(rows.inputs.astype(np.int64)))
    targets = torch.from_numpy(rows.targets.astype(np.int64))
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none"
    )
    claim = world.claim_of(model, rows)
    assert claim.shape == rows.targets.shape
    np.testing.assert_allclose(claim.flatten(), expected.detach().numpy(), atol=1e-5)


# --- states --------------------------------------------------------------------------------------


def loaded(state, model):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    descriptor = sealed_file(buffer.getvalue())
    try:
        return score_worker.load_state(model, descriptor)
    finally:
        os.close(descriptor)


def test_the_state_of_a_compiled_model_fits_the_plain_one():
    state = {f"_orig_mod.{name}": value for name, value in world.Attention().state_dict().items()}
    model = world.Attention()
    torch.nn.init.zeros_(model.out.weight)
    loaded(state, model)
    assert torch.equal(model.out.weight, world.Attention().out.weight)


def test_a_tied_state_and_one_of_half_precision_load():
    assert torch.equal(
        loaded(world.Tied().state_dict(), world.Tied()).out.weight, world.Tied().embed.weight
    )
    half = world.HalfPrecision().state_dict()
    assert loaded(half, world.HalfPrecision()).out.weight.dtype == torch.bfloat16


def test_a_state_with_parts_that_are_no_tensors_loads():
    class Counting(world.Embedded):
        steps = 0

        def get_extra_state(self):
            return {"steps": self.steps, "names": ["a", "b"], "rate": 0.5}

        def set_extra_state(self, state):
            self.steps = state["steps"]

    trained = Counting()
    trained.steps = 7
    assert loaded(trained.state_dict(), Counting()).steps == 7


@pytest.mark.parametrize("harm", ["missing", "unknown", "shape", "not a state", "pickle"])
def test_a_state_that_does_not_fit_tells_the_author_what_to_do(harm):
    state = OrderedDict(world.Embedded().state_dict())
    if harm == "missing":
        state.popitem()
    elif harm == "unknown":
        state["cache"] = torch.zeros(3)
    elif harm == "shape":
        state["out.weight"] = torch.zeros(2, 2)
    given = {"not a state": [1, 2], "pickle": {"x": os.system}}.get(harm, state)
    with pytest.raises(SystemExit, match="does not fit the model of build_model") as left:
        loaded(given, world.Embedded())
    assert "Keep all that is learnt in the state_dict" in str(left.value)


def test_logits_of_another_shape_end_the_worker_with_prepares_words():
    asker = score_worker.Asker(
        torch.nn.Embedding(world.VOCAB_SIZE, 7),
        worker_conditions("claim", world.small_rows(), world.BATCH_SIZE, "cpu"),
    )
    with pytest.raises(SystemExit, match=r"logits have shape \(8, 16, 7\), but \(8, 16, 48\)"):
        asker.logits(world.small_rows().inputs[:8])


# --- the worker as a process of its own ----------------------------------------------------------


class WorkerProcess:
    """A score worker beside a genome, and the harness's end of its line."""

    def __init__(self, folder, conditions, genome, seconds=120):
        folder.mkdir()
        (folder / "train.py").write_text(genome, encoding="utf-8")
        shutil.copyfile(template_path("prepare.py"), folder / "prepare.py")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pipe, their_pipe = os.pipe()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "EVORESEARCH_CACHE")},
            "OMP_NUM_THREADS": "1",
            "EVORESEARCH_HARNESS": f"{theirs.fileno()},{their_pipe}",
            "EVORESEARCH_CONDITIONS": json.dumps(conditions),
        }
        self.process = subprocess.Popen(
            [sys.executable, score_worker.__file__],
            cwd=folder,
            env=environment,
            pass_fds=(theirs.fileno(), their_pipe),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        os.close(their_pipe)
        self.socket, self.line = ours, SocketLine(ours, time.monotonic() + seconds)

    def end(self):
        """Close the line and wait; exit status and what it printed as errors."""
        self.socket.close()
        os.close(self._pipe)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


TRAIN_AND_TELL = """
if __name__ == "__main__":
    torch.manual_seed(prepare.rng_seed())
    model = build_model()
    torch.nn.init.normal_(model.unembed.weight, std=0.3)
    torch.save(model.state_dict(), "STATE")
    print(repr(prepare.evaluate_bpb(model)))
"""


@pytest.fixture(scope="module")
def genome(tiny_genome):
    return tiny_genome[: tiny_genome.rindex('if __name__ == "__main__"')] + TRAIN_AND_TELL


@pytest.mark.slow
def test_the_number_of_train_py_alone_is_that_of_the_harness(
    genome, start_trainer, tiny_data, tmp_path
):
    kept = tmp_path / "state.pt"
    code, out, err = start_trainer(genome.replace("STATE", str(kept))).end()
    assert code == 0, err
    alone = float(out)
    state = sealed_file(kept.read_bytes())

    rows, device = read_rows(tiny_data, "validation"), "cpu"
    batch_size = rows_per_batch(device, rows.seq_len, rows.vocab_size)
    base = {"data": str(tiny_data), "rng_seed": 1}
    conditions = base | worker_conditions("claim", rows, batch_size, device)
    claimer = WorkerProcess(tmp_path / "claim", conditions, genome)
    claim = take_claim(claimer.line, state, rows)
    code, errors = claimer.end()
    assert code == 0, errors
    check_claim(rows, claim)
    assert bits_per_byte(claim, rows) == pytest.approx(alone, abs=1e-6)

    asked = plan_audit(
        rows,
        claim,
        reference_losses(tiny_data, "validation"),
        probe_count=100,
        pair_count=16,
        batch_size=batch_size,
        filler=np.memmap(tiny_data / "train.bin", dtype=np.uint16, mode="r"),
        rng=np.random.default_rng(0),
    )
    conditions = base | worker_conditions("audit", rows, batch_size, device)
    auditor = WorkerProcess(tmp_path / "audit", conditions, genome)
    report = judge(asked, claim, take_audit(auditor.line, state, asked, rows.vocab_size))
    code, errors = auditor.end()
    assert code == 0, errors
    os.close(state)
    assert report.largest_gap <= 1e-6
    assert report.largest_pair_gap == 0.0


def test_a_genome_without_build_model_ends_its_worker_with_the_reason(tiny_data, tmp_path):
    rows = read_rows(tiny_data, "slice")
    conditions = {"data": str(tiny_data)} | worker_conditions("claim", rows, 4, "cpu")
    worker = WorkerProcess(tmp_path / "claim", conditions, "import torch\n")
    state = sealed_file(b"")
    with pytest.raises(WorkerError, match="ended before its answer was there"):
        take_claim(worker.line, state, rows)
    code, errors = worker.end()
    os.close(state)
    assert code == 1
    assert "has no build_model() at its top level" in errors


def test_a_worker_ends_when_the_harness_hangs_up_before_asking(tiny_data, tmp_path):
    rows = read_rows(tiny_data, "slice")
    conditions = {"data": str(tiny_data)} | worker_conditions("claim", rows, 4, "cpu")
    code, errors = WorkerProcess(tmp_path / "claim", conditions, "").end()
    assert (code, errors) == (1, "The score worker ends: it was never released.\n")


# --- a worker that answers garbage ---------------------------------------------------------------


def answering(reply, rows):
    """A claim taken from somebody who answers just this, whatever was asked."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    state = sealed_file(b"")
    with ours, theirs:
        reply(theirs)
        try:
            return take_claim(SocketLine(ours, time.monotonic() + 0.5), state, rows)
        finally:
            os.close(state)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x00" * 100,
        b"{" * 5000,
        b"[" * 60_000,
        b'{"type":"done","val_bpb":0}',
        b'"done"',
        b"\xff\xfe",
        b"null",
        b"1e999",
    ],
)
def test_another_word_than_done_is_an_error_of_the_worker(packet):
    with pytest.raises(WorkerError, match="Only that it is done was expected"):
        answering(lambda theirs: theirs.send(packet), world.small_rows(3))


def test_a_worker_that_leaves_or_says_nothing_is_an_error_of_its_own():
    with pytest.raises(WorkerError, match="ended before"):
        answering(lambda theirs: theirs.shutdown(socket.SHUT_RDWR), world.small_rows(3))
    with pytest.raises(WorkerError, match="did not answer in time"):
        answering(lambda _: None, world.small_rows(3))


def test_descriptors_sent_along_with_a_word_do_not_stay_open():
    before = len(list(Path("/proc/self/fd").iterdir()))

    def flood(theirs):
        socket.send_fds(theirs, [b'{"type":"done"}'], [0] * 200)

    answering(flood, world.small_rows(3))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_empty_answer_scores_as_zeros_and_is_not_believed():
    rows = world.small_rows(40)
    claim = answering(lambda theirs: theirs.send(b'{"type":"done"}'), rows)
    assert not claim.any()
    asked = world.plan(rows, claim, claim + 1)
    zeros = [np.zeros((world.BATCH_SIZE, rows.vocab_size), np.float32)] * asked.round_count
    with pytest.raises(Forged, match="claim_gap"):
        judge(asked, claim, zeros)


def test_files_of_the_harness_keep_their_size_and_sealed_ones_their_bytes():
    shared, sealed = shared_file(64), sealed_file(b"model")
    assert is_sealed(sealed)
    assert not is_sealed(shared)
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(shared, size)
    with pytest.raises(PermissionError):
        os.pwrite(sealed, b"x", 0)
    assert not is_sealed(0)
    os.close(shared)
    os.close(sealed)


def test_a_full_line_ends_at_the_deadline():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = SocketLine(ours, time.monotonic() + 0.3)

    def talk():
        while True:
            line.send({"type": "round", "positions": [0] * 1000})

    with ours, theirs, pytest.raises(WorkerError, match="did not answer in time"):
        talk()
