"""Honest genomes are what they say: they keep the contract, look at no later token, and train."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolution.executors import LocalExecutor, Site, cpu_slots
from evolution.executors.site import Scorer, Walls
from evolution.sandbox.levels import find_level
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Conditions,
    Genome,
    Scoring,
    TrialStatus,
    canonical_hash,
    contract_problems,
)
from tests.adversarial.controls import CONTROLS
from tests.conftest import TRAINER_ENVIRONMENT
from tests.evolution.executor_contract import a_job, a_site, outcome_of_job

pytestmark = pytest.mark.security

TRAIN_SECONDS = 2.0
FIRST_FEW = ("token choice",)
#: Bits per byte of a model that knows nothing: about 10 bits a token, 3 bytes a token.
IGNORANCE = 3.4

#: Asks each model, as it begins: do other rows, or later tokens, change what it says?
LOOK = """
import runpy, sys, torch

found = {}
for path in sys.argv[1:]:
    torch.manual_seed(1)
    model = runpy.run_path(path, run_name="genome")["build_model"]().eval()
    one = torch.randint(1000, (4, 64))
    other = one.clone()
    other[:, 40:] = torch.randint(1000, (4, 24))
    other[2] = torch.randint(1000, (64,))
    with torch.inference_mode():
        gap = (model(one) - model(other))[[0, 1, 3], :40].abs().max().item()
        moved = (model(one) - model(other))[0, 40:].abs().max().item()
        again = (model(one) - model(one)).abs().max().item()
    assert gap <= 1e-5 and again == 0 and moved > 1e-4, (path, gap, again, moved)
"""

#: Trains one control for a moment, hands its state to two fresh models, and has the worker's own
#: loop claim for one of them and be audited, with other probes each time, for the other.
SCORE = """
import runpy, socket, sys, threading, time
from pathlib import Path
import numpy as np, torch
from evolution.sandbox import score_worker
from evolution.scoring import (SocketLine, check_claim, judge, plan_audit, read_rows,
                               reference_losses, take_audit, take_claim, worker_conditions)
from evolution.sandbox.line import sealed_file

data, first_seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
BATCH = 32
torch.set_num_threads(1)
text = np.fromfile(data / "train.bin", dtype=np.uint16)
rows = read_rows(data, "validation")
reference = reference_losses(data, "validation")


def fresh(state=None):
    space = runpy.run_path("train.py", run_name="genome")
    model = space["build_model"]()
    if state is not None:
        model.load_state_dict(state, strict=True)
        model.eval()
    return model, space["loss_of"]


def trained():
    torch.manual_seed(first_seed)
    model, loss_of = fresh()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rng = np.random.default_rng(first_seed)
    for _ in range(20):
        starts = rng.integers(len(text) - 65, size=16)
        batch = torch.from_numpy(text[starts[:, None] + np.arange(65)].astype(np.int64))
        loss_of(model, batch[:, :-1].contiguous(), batch[:, 1:].contiguous()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict()


def ask(model, mode, use):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asker = score_worker.Asker(model, worker_conditions(mode, rows, BATCH, "cpu"))

    def serve():
        line = score_worker.Line(theirs.fileno())
        _, (_, given, wanted) = line.receive(descriptor_count=3)
        with torch.inference_mode():
            if mode == "claim":
                score_worker.claim(asker, given, wanted, rows.row_count)
                line.send(type="done")
            else:
                score_worker.audit(asker, line, given, wanted)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return use(SocketLine(ours, time.monotonic() + 200), sealed_file(b"not read here"))
    finally:
        ours.close()
        thread.join()
        theirs.close()


state = trained()
claim = ask(fresh(state)[0], "claim", lambda line, given: take_claim(line, given, rows))
check_claim(rows, claim)
audited = fresh(state)[0]
for seed in range(first_seed, first_seed + count):
    plan = plan_audit(rows, claim, reference, probe_count=1000, pair_count=64, batch_size=BATCH,
                      filler=text, rng=np.random.default_rng(seed))
    report = ask(audited, "audit", lambda line, given: judge(
        plan, claim, take_audit(line, given, plan, rows.vocab_size)))
    print(seed, report)
"""


@pytest.fixture
def executor(tmp_path: Path, tiny_data: Path) -> Iterator[LocalExecutor]:
    ruler = template_path("prepare.py")
    site: Site = replace(
        a_site(tmp_path),
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tiny_data,
        baseline=Genome.single(CONTROLS["plain"]),
        preload=("torch", "numpy"),
        walls=Walls(level=find_level().level),
        scorer=Scorer(mode="trusted"),
    )
    executor = LocalExecutor(site, cpu_slots(1))
    yield executor
    executor.close()


def test_there_are_at_least_ten_and_all_differ():
    assert len(CONTROLS) >= 10
    assert len({canonical_hash(Genome.single(text)) for text in CONTROLS.values()}) == len(CONTROLS)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_keeps_the_contract(name):
    assert contract_problems(Genome.single(CONTROLS[name])) == []


@pytest.mark.slow
def test_no_control_looks_at_later_tokens_or_other_rows(tmp_path, tiny_data):
    shutil.copyfile(template_path("prepare.py"), tmp_path / "prepare.py")
    names = []
    for number, text in enumerate(CONTROLS.values()):
        (tmp_path / f"control{number}.py").write_text(text, encoding="utf-8")
        names.append(f"control{number}.py")
    answer = in_python(tmp_path, tiny_data, LOOK, *names)
    assert answer.returncode == 0, answer.stderr


def trains_and_is_believed(executor: LocalExecutor, name: str) -> None:
    conditions = Conditions(Budget(BudgetKind.WALL, TRAIN_SECONDS), rng_seed=3)
    outcome = outcome_of_job(executor, a_job(CONTROLS[name], conditions=conditions))
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure
    assert outcome.scoring is Scoring.TRUSTED
    assert outcome.val_bpb is not None
    assert outcome.val_bpb < IGNORANCE


@pytest.mark.parametrize("name", FIRST_FEW)
def test_a_control_trains_and_is_believed(executor, name):
    trains_and_is_believed(executor, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CONTROLS) - set(FIRST_FEW)))
def test_every_other_control_trains_and_is_believed(executor, name):
    trains_and_is_believed(executor, name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(CONTROLS)), ids=list(CONTROLS))
def test_three_hundred_honest_scorings_raise_no_alarm(tmp_path, tiny_data, number):
    """A control is trained and claimed once, and audited with 19 seeds of a thousand probes."""
    shutil.copyfile(template_path("prepare.py"), tmp_path / "prepare.py")
    (tmp_path / "train.py").write_text(list(CONTROLS.values())[number], encoding="utf-8")
    each = -(-300 // len(CONTROLS))
    answer = in_python(tmp_path, tiny_data, SCORE, str(tiny_data), str(1000 * number), str(each))
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == each


def in_python(
    folder: Path, data: Path, code: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run code beside ``prepare.py``, with torch and our packages at hand."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "EVORESEARCH_CONDITIONS": json.dumps({"data": str(data), "rng_seed": 1}),
            **TRAINER_ENVIRONMENT,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
