"""What the reading verbs print: golden texts, valid JSON, and nothing a terminal would obey."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolution.run_lock import RunLock
from population import Purpose, RunState, Store
from tests.builders import NOW, conditions
from tests.evolution.cli.conftest import Evolve, Said
from tests.goldens import assert_golden
from tests.small_run import a_small_run

READERS = [
    ["status"],
    ["leaderboard"],
    ["lineage"],
    ["lineage", "g002-003"],
    ["genes"],
    ["genes", "--all"],
    ["genes", "g001-001"],
    ["noise"],
    ["show", "g002-003"],
    ["show", "g002-004"],
    ["diff", "g001-001"],
    ["diff", "g000-000", "g002-003"],
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers") / "runs"
    a_small_run(folder)
    return folder


@pytest.mark.parametrize("words", READERS, ids="-".join)
def test_a_reader_says_what_its_golden_file_says(words: list[str], runs: Path, evolve: Evolve):
    said = evolve(*words, "--runs", runs)
    assert (said.code, said.err) == (0, "")
    assert_golden(f"{'_'.join(words)}.txt", said.out)


@pytest.mark.parametrize("words", READERS, ids="-".join)
def test_a_reader_answers_with_one_json_value_on_stdout(
    words: list[str], runs: Path, evolve: Evolve
):
    said = evolve(*words, "--runs", runs, "--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("words", READERS, ids="-".join)
def test_nothing_that_a_genome_wrote_commands_the_terminal(
    words: list[str], flags: list[str], runs: Path, evolve: Evolve
):
    said = evolve(*words, *flags, "--runs", runs)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said.out)


def test_square_brackets_of_a_hypothesis_are_no_markup(runs: Path, evolve: Evolve):
    assert "[bold red]wide[/] head" in evolve("leaderboard", "--runs", runs).out


def test_every_score_says_that_it_is_reported(runs: Path, evolve: Evolve):
    for words in (["status"], ["leaderboard"], ["lineage"], ["genes"], ["show", "g002-003"]):
        assert "reported" in evolve(*words, "--runs", runs).out
    standings = json.loads(evolve("leaderboard", "--runs", runs, "--json").out)
    assert {standing["scoring"] for standing in standings} == {"reported"}


def test_the_leaderboard_stops_at_top(runs: Path, evolve: Evolve):
    standings = json.loads(evolve("leaderboard", "--top", "2", "--runs", runs, "--json").out)
    assert [standing["name"] for standing in standings] == ["g002-003", "g001-001"]


def test_a_piped_diff_can_be_applied(runs: Path, evolve: Evolve, tmp_path: Path):
    from tests.builders import GENOME_TEXT

    (tmp_path / "train.py").write_text(GENOME_TEXT)
    patch = evolve("diff", "g001-001", "--runs", runs).out
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    assert "LEARNING_RATE = 4e-3" in (tmp_path / "train.py").read_text()


@pytest.mark.parametrize(
    ("words", "found", "next_step"),
    [
        (["status", "--run", "other"], "There is no run 'other'", "newest are: night-1"),
        (["show", "g009-009"], "'g009-009'", "evolve leaderboard"),
        (["diff", "g000-000"], "has no parent", "evolve diff g000-000 OTHER"),
        (["lineage", "nobody"], "'nobody'", "evolve leaderboard"),
        (["genes", "nobody"], "'nobody'", "evolve leaderboard"),
    ],
)
def test_a_mistake_gets_three_parts_and_exit_code_2(
    words: list[str], found: str, next_step: str, runs: Path, evolve: Evolve
):
    said = evolve(*words, "--runs", runs)
    assert said.code == 2
    assert said.out == ""
    assert found in said.err
    assert next_step in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", [*READERS, ["resume"], ["seed", "x.py", "-m", "idea"]])
def test_without_any_run_a_verb_says_how_to_begin_one(
    words: list[str], evolve: Evolve, tmp_path: Path
):
    for folder in (tmp_path / "missing", tmp_path):
        said = evolve(*words, "--runs", folder)
        assert said.code == 2
        assert "evolve run" in said.err


def test_the_newest_run_is_meant_by_default(tmp_path: Path, evolve: Evolve):
    import os

    for age, name in ((50, "older"), (10, "newer"), (90, "oldest")):
        paths = a_small_run(tmp_path, name)
        os.utime(paths.settings, (NOW - age, NOW - age))
    assert json.loads(evolve("status", "--runs", tmp_path, "--json").out)["name"] == "newer"


def test_a_draft_is_no_run(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path, "whole")
    (tmp_path / ".half.abc").mkdir()
    (tmp_path / ".half.abc" / "run.db").touch()
    assert json.loads(evolve("status", "--runs", tmp_path, "--json").out)["name"] == "whole"


def test_a_killed_engine_shows_as_interrupted(tmp_path: Path, evolve: Evolve):
    a_small_run(tmp_path, state=RunState.RUNNING)
    said = evolve("status", "--runs", tmp_path)
    assert "interrupted" in said.out
    assert "evolve resume" in said.out


def test_a_live_run_shows_its_running_trials_and_takes_no_lock(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path, state=RunState.RUNNING)
    with RunLock(paths.lock), Store.open(paths.database) as store:
        baseline = store.variant("g000-000")
        trial = store.queue_trial(
            baseline.sha, purpose=Purpose.REPLICATE, conditions=conditions(), at=time.time()
        )
        store.start_trial(trial.id, slot=0, lease_seconds=60, at=time.time())
        said = evolve("status", "--runs", tmp_path)
    assert "searching" in said.out
    assert f"#{trial.id}  g000-000" in said.out


def test_a_damaged_database_is_refused_in_three_parts(tmp_path: Path, evolve: Evolve):
    paths = a_small_run(tmp_path)
    paths.database.write_bytes(b"no database, " * 100)
    said = evolve("status", "--runs", tmp_path)
    assert said.code == 2
    assert str(paths.database) in said.err
    assert "Traceback" not in said.err


def test_an_unknown_verb_or_flag_is_a_usage_error(evolve: Evolve):
    assert evolve("frobnicate").code == 2
    assert evolve("status", "--frob").code == 2


def python(code: str) -> Said:
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


def test_a_bug_keeps_its_traceback():
    said = python(
        "import evolution.cli.options as options\n"
        "def broken(*_): raise RuntimeError('a bug')\n"
        "options._runs_in = broken\n"
        "from evolution.cli import main\n"
        "main(['status'])\n"
    )
    assert said.code == 1
    assert "Traceback" in said.err
    assert "a bug" in said.err


def test_help_loads_no_heavy_library():
    said = python(
        "import sys\n"
        "from evolution.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'sqlalchemy', 'git', 'deap', 'torch', 'pydantic', 'seaborn'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    assert said.err == ""
    assert said.code == 0


@pytest.mark.parametrize(
    "verb", ["init", "run", "resume", "status", "leaderboard", "show", "diff", "lineage", "seed"]
)
def test_every_verb_has_help_with_examples(verb: str, evolve: Evolve):
    said = evolve(verb, "--help")
    assert said.code == 0
    assert f"evolve {verb}" in said.out.partition("Examples:")[2]
