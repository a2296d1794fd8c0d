"""``init`` and ``seed``: what they write, and what they refuse without leaving anything behind."""

import json
import os
from pathlib import Path

import pytest

from evolution.config import EvolutionConfig
from evolution.run_lock import RunLock
from evolution.templates import seed_paths
from population import Genome, RunState, Store, contract_problems, knobs
from tests.builders import GENOME_TEXT
from tests.evolution.cli.conftest import Evolve
from tests.small_run import a_small_run

FILES = ["evolve.toml", "ideas", "prepare.py", "program.md", "seeds", "train.py"]
NEW_GENOME = GENOME_TEXT.replace("DEPTH = 2", "DEPTH = 5")


@pytest.mark.parametrize("profile", ["tiny", "cpu", "gpu"])
def test_init_writes_a_project_of_the_profile(profile: str, tmp_path: Path, evolve: Evolve):
    said = evolve("init", tmp_path / "mine", "--profile", profile)
    assert said.code == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == FILES
    seeds = sorted((tmp_path / "mine" / "seeds").iterdir())
    assert [path.name for path in seeds] == [path.name for path in seed_paths()]
    assert len(said.out.splitlines()) == len(FILES) - 1 + len(seeds)
    assert EvolutionConfig.load(tmp_path / "mine" / "evolve.toml").run.profile == profile
    text = (tmp_path / "mine" / "train.py").read_text()
    assert contract_problems(Genome.single(text)) == []
    widths = [knobs(path.read_text())["WIDTH"] for path in seeds]
    assert widths == [knobs(text)["WIDTH"]] * (len(seeds) - 1) + [1.5 * knobs(text)["WIDTH"]]


def test_init_replaces_nothing(tmp_path: Path, evolve: Evolve):
    (tmp_path / "train.py").write_text("mine")
    said = evolve("init", tmp_path)
    assert said.code == 2
    assert "train.py is there already" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]
    assert (tmp_path / "train.py").read_text() == "mine"


def test_init_of_an_unknown_profile_leaves_nothing(tmp_path: Path, evolve: Evolve):
    said = evolve("init", tmp_path / "mine", "--profile", "huge")
    assert said.code == 2
    assert "'huge'" in said.err
    assert not (tmp_path / "mine").exists()


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path, evolve: Evolve):
    (tmp_path / "file").touch()
    said = evolve("init", tmp_path / "file" / "folder")
    assert said.code == 2
    assert "could not be written" in said.err


def test_a_seed_waits_in_the_store_for_the_engine(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    (tmp_path / "new.py").write_text(NEW_GENOME)
    words = ["seed", tmp_path / "new.py", "-m", "five\nlayers", "--parent", "g001-001"]
    said = evolve(*words, "--runs", tmp_path / "runs", "--json")
    assert said.code == 0
    assert json.loads(said.out) == {
        "run": "night-1",
        "request": 1,
        "parent": "g001-001",
        "is_live": False,
    }
    with Store.open(paths.database, read_only=True) as store:
        (request,) = store.pending_requests()
        parent = store.variant("g001-001").sha
    assert (request.kind, request.payload) == (
        "seed",
        {"text": NEW_GENOME, "idea": "five layers", "parent": parent},
    )


def test_the_idea_of_a_seed_may_stand_on_its_first_line(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    (tmp_path / "new.py").write_text(f"# Idea: five layers\n{NEW_GENOME}")
    said = evolve("seed", tmp_path / "new.py", "--runs", tmp_path / "runs")
    assert said.code == 0
    assert "2 lines differ from g000-000; knobs: DEPTH 2 → 5" in said.err
    with Store.open(paths.database, read_only=True) as store:
        (request,) = store.pending_requests()
    assert request.payload["idea"] == "five layers"
    assert request.payload["text"] == NEW_GENOME


def test_a_live_run_takes_a_seed_at_once(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    (tmp_path / "new.py").write_text(NEW_GENOME)
    with RunLock(paths.lock):
        said = evolve("seed", tmp_path / "new.py", "-m", "deep", "--runs", tmp_path / "runs")
    assert "takes it in now" in said.out


@pytest.mark.parametrize(
    ("text", "idea", "found"),
    [
        (GENOME_TEXT + "\n# a comment more\n", "same", "is the same genome as g000-000"),
        (NEW_GENOME.replace("import torch", "import torch, socket"), "net", "socket"),
        ("def broken(:", "broken", "breaks the contract"),
        (NEW_GENOME, "  \n ", "The idea is empty"),
        (NEW_GENOME, None, "# Idea: …"),
        (NEW_GENOME, "\x1b[2J", "The idea is empty"),
        (None, "nothing", "cannot be read"),
        (b"\xff\xfe", "bytes", "is not UTF-8"),
    ],
)
def test_a_bad_seed_is_refused_and_asks_nothing_of_the_run(
    text: str | bytes | None, idea: str | None, found: str, tmp_path: Path, evolve: Evolve
):
    paths = a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    if text is not None:
        (tmp_path / "new.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    words = [] if idea is None else ["-m", idea]
    said = evolve("seed", tmp_path / "new.py", *words, "--runs", tmp_path / "runs")
    assert said.code == 2
    assert found in said.err
    assert "Traceback" not in said.err
    with Store.open(paths.database, read_only=True) as store:
        assert store.pending_requests() == []


def test_a_seed_of_an_unknown_parent_is_refused(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    (tmp_path / "new.py").write_text(NEW_GENOME)
    words = ["seed", tmp_path / "new.py", "-m", "deep", "--parent", "g009-009"]
    said = evolve(*words, "--runs", tmp_path / "runs")
    assert said.code == 2
    assert "'g009-009'" in said.err


def test_a_run_that_belongs_to_someone_else_can_be_read(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path / "runs", state=RunState.PAUSED)
    os.chmod(paths.database, 0o444)  # noqa: PTH101 - the mode is the point
    assert evolve("leaderboard", "--runs", tmp_path / "runs").code == 0


def test_a_finished_run_takes_no_seed(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path / "runs", state=RunState.FINISHED)
    (tmp_path / "new.py").write_text(NEW_GENOME)
    said = evolve("seed", tmp_path / "new.py", "-m", "deep", "--runs", tmp_path / "runs")
    assert said.code == 2
    assert "is finished" in said.err
