"""A script of the user's own, from ``init --from`` to the verdict; and four that give no score."""

import json
import os
import re
import shlex
from pathlib import Path

import psutil
import pytest

from population import Branches, Purpose, RunPaths, RunState, Store, TrialStatus
from tests.evolution.cli.conftest import Evolve, evolve

__all__ = ["evolve"]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "your-own-script.md"
#: Learns in no time: its accuracy rises with the rate, and falls with the decay.
FIT = """import os
import random
from pathlib import Path
from model import shrunk

rate = 0.05
chance = random.Random(int(os.environ["EVORESEARCH_SEED"]))
rows = [float(line) for line in Path("table.csv").read_text().split()]
value = sum(rows) / len(rows) + min(rate, 0.4) - shrunk() + chance.gauss(0, 0.001)
print("---")
print(f"test accuracy: {value:.6f}")
"""
MODEL = """def shrunk(decay=0.2):
    return decay / 2
"""
QUICK = """
[limits]
trials = 5
[baseline]
repeats = 2
[verdict]
pairs = 2
max_pairs = 2
[workers]
count = 2
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two files and a table, and an empty folder beside it to stand in."""
    folder = tmp_path / "their script"
    folder.mkdir()
    (folder / "fit.py").write_text(FIT, newline="\r\n")
    (folder / "model.py").write_text(MODEL)
    (folder / "table.csv").write_text("0.25 0.75\n")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    return folder


def begin(evolve: Evolve, theirs: Path, *flags: str) -> None:
    said = evolve("init", "--from", theirs, *flags)
    assert said.code == 0, said.err
    text = Path("evolve.toml").read_text()
    Path("evolve.toml").write_text(text[: text.index("[limits]")] + QUICK)


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_foreign_script_of_two_files_improves_without_a_change_to_it(
    theirs: Path, evolve: Evolve
):
    before = state_of(theirs)
    begin(evolve, theirs, "--time-limit", "60")
    said = evolve("run", "--name", "own", "--json")
    assert said.code == 0, said.err
    status = json.loads(said.out)
    assert status["metric"] == {"name": "test_accuracy", "direction": "maximize", "unit": ""}
    assert status["champion"]["gain"] > 0.005
    assert state_of(theirs) == before
    paths = RunPaths(Path("runs/own"))
    with Store.open(paths.database, read_only=True) as store:
        baseline = store.run().baseline or ""
        assert store.fitnesses()[baseline].mean == pytest.approx(-0.45, abs=0.01)
        assert {t.conditions.depth_scale for t in store.trials()} == {1.0}
    with Branches.open(paths.repository) as branches:
        genome = branches.genome(baseline)
        assert (genome.entry, sorted(genome.files)) == ("fit.py", ["fit.py", "model.py"])
        assert genome.main == FIT.replace("\n", "\r\n")
        assert branches.read_note(baseline).startswith("test_accuracy 0.4")
    assert not paths.ruler.exists()
    for verb in (["status"], ["leaderboard"], ["lineage"], ["show", "g000-000"]):
        shown = evolve(*verb).out
        assert re.search(r"0\.4\d", shown), shown
        assert "bpb" not in shown


def test_other_data_or_another_task_are_not_gone_on_with(theirs: Path, evolve: Evolve):
    begin(evolve, theirs)
    assert evolve("run", "--name", "own", "--dry-run").code == 0
    (theirs / "table.csv").write_text("0.9\n")
    said = evolve("resume")
    assert said.code == 2
    assert "are not those the run began with" in said.err
    (theirs / "table.csv").unlink()
    assert "table.csv cannot be read" in evolve("resume").err
    (theirs / "table.csv").write_text("0.25 0.75\n")
    assert evolve("resume").code == 0
    settings = Path("runs/own/config.toml")
    settings.write_text(settings.read_text().replace("time_limit = 300.0", "time_limit = 301.0"))
    said = evolve("resume")
    assert said.code == 2
    assert "[task]" in said.err


NEVER = 'rate = 0.1\nprint("starting")\nprint("all went", "well")\n'
NAN = 'rate = 0.1\nprint("val_loss:", float("nan"))\n'
TWICE = 'rate = 0.1\nprint("val_loss: 0.5")\nprint("val_loss: 0.4")\n'
ENDLESS = """import subprocess, sys, time
rate = 0.1
print("val_loss: 0.5")
wait = "import time; time.sleep(600)  # evoresearch-endless"
subprocess.Popen([sys.executable, "-c", wait], start_new_session=True)
while True:
    try:
        time.sleep(600)
    except BaseException:
        pass
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NEVER, "val_loss was never printed: none of 2 lines"),
        (NAN, "val_loss is nan"),
        (TWICE, "appears 2 times with different values, first 0.5, last 0.4"),
        (ENDLESS, "still ran at its time limit of 1 s"),
        ("rate = 0.1\nprint('val_loss: 1')\nraise SystemExit('no luck')\n", "no luck"),
    ],
    ids=["never", "nan", "twice", "endless", "exit"],
)
def test_a_script_without_a_score_gives_a_clear_error_and_loses_nothing(
    text: str, words: str, tmp_path: Path, evolve: Evolve, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "train.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    begin(evolve, Path("theirs"), "--metric", "val_loss", "--time-limit", "1")
    said = evolve("run", "--name", "own")
    assert said.code == 1
    assert words in said.err.replace("\n", " ")
    assert "Traceback" not in said.err
    assert state_of(tmp_path / "theirs") == {"train.py": text.encode()}
    assert list((tmp_path / "runs" / "own" / "logs").iterdir())
    with Store.open(RunPaths(Path("runs/own")).database, read_only=True) as store:
        assert len(store.trials(purpose=Purpose.BASELINE)) == 2
        count = len(store.trials())
    assert evolve("resume").code == 1
    with Store.open(RunPaths(Path("runs/own")).database, read_only=True) as store:
        assert len(store.trials()) == count
    commands = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not any("evoresearch-endless" in c and "pytest" not in c for c in commands)


def test_an_offspring_without_a_score_is_one_lost_trial(theirs: Path, evolve: Evolve):
    text = FIT.replace("value = ", "value = float('nan') if rate > 0.05 else ")
    (theirs / "fit.py").write_text(text)
    begin(evolve, theirs)
    said = evolve("run", "--name", "own")
    assert said.code == 0, said.err
    with Store.open(RunPaths(Path("runs/own")).database, read_only=True) as store:
        lost = [t for t in store.trials() if t.status is TrialStatus.CRASHED]
        assert all(t.outcome and t.outcome.failure.kind == "not_finite" for t in lost)
        assert len(store.trials(status=TrialStatus.COMPLETE)) >= 7


def test_a_rehearsal_of_a_script_trains_nothing(theirs: Path, evolve: Evolve):
    begin(evolve, theirs)
    said = evolve("run", "--dry-run", "--name", "own", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["offspring_done"] == 5
    assert not list(Path("runs/own/logs").iterdir())


def test_the_commands_of_the_guide_work(theirs: Path, evolve: Evolve):
    os.rename(theirs, theirs.parent / "spirals")  # noqa: PTH104
    blocks = re.findall(r"^```\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    commands = [words[1:] for words in lines if words[:1] == ["evolve"]]
    assert len(commands) == 4
    for words in commands:
        champion = (
            json.loads(evolve("leaderboard", "--json").out or "[]") if "diff" in words else []
        )
        best = champion[0]["name"] if champion else ""
        said = evolve(*[best if word == "CHAMPION" else word for word in words])
        assert said.code == 0, said.err
        if words[0] == "init":
            text = Path("evolve.toml").read_text()
            Path("evolve.toml").write_text(text[: text.index("[limits]")] + QUICK)


def test_a_seed_replaces_the_entry_and_keeps_the_other_files(theirs: Path, evolve: Evolve):
    begin(evolve, theirs)
    assert evolve("run", "--name", "own", "--dry-run").code == 0
    paths = RunPaths(Path("runs/own"))
    with Store.open(paths.database) as store:
        store.update_run(state=RunState.PAUSED)
    Path("broken.py").write_text("rate = (\n")
    said = evolve("seed", "broken.py", "-m", "half a line")
    assert said.code == 2
    assert "A genome is Python that compiles" in said.err
    Path("new.py").write_text(FIT.replace("0.05", "0.3"))
    assert evolve("seed", "new.py", "-m", "a higher rate").code == 0
    evolve("resume")  # its limit is reached, so the seed waits, queued: paused
    with Store.open(paths.database, read_only=True) as store:
        seed = next(v for v in store.variants() if v.operator == "seed")
    with Branches.open(paths.repository) as branches:
        genome = branches.genome(seed.sha)
    assert genome.files["model.py"] == MODEL
    assert "rate = 0.3" in genome.main


def test_the_manuals_memory_holds_for_a_script(theirs: Path, evolve: Evolve):
    begin(evolve, theirs)
    text = (
        Path("program.md").read_text().replace("direction:", "limits: {memory_mb: 1}\ndirection:")
    )
    Path("program.md").write_text(text)
    said = evolve("run", "--runs", "runs", "--name", "first")
    assert said.code == 1
    assert "limits.memory_mb" in said.err


def test_a_seed_keeps_its_line_ends(theirs: Path, evolve: Evolve, tmp_path: Path):
    begin(evolve, theirs)
    assert evolve("run", "--dry-run", "--trials", "2", "--name", "first").code == 0
    with Store.open(Path("runs/first/run.db")) as store:
        store.update_run(state=RunState.PAUSED)
    changed = (theirs / "fit.py").read_bytes() + b"# another\r\nextra = 1\r\n"
    (tmp_path / "mine" / "fit.py").write_bytes(b"\xef\xbb\xbf" + changed)
    assert evolve("seed", "fit.py", "-m", "more").code == 0
    with Store.open(Path("runs/first/run.db")) as store:
        (request,) = store.pending_requests()
    assert request.payload["text"].encode() == changed
