"""``evolve export``: tables and patches where they were asked for, and words on what to do next."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from evolution.run_lock import RunLock
from population import Branches, Fitness, Store
from tests.builders import a_run
from tests.evolution.cli.conftest import Evolve
from tests.small_run import a_small_run

NOBODY = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_COMMITTER_NAME": "someone",
    "GIT_COMMITTER_EMAIL": "someone@example.org",
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    a_small_run(tmp_path / "runs")
    return tmp_path / "runs"


def test_tables_lie_in_the_runs_folder_unless_another_is_named(runs, tmp_path, evolve: Evolve):
    assert evolve("export", "--runs", runs).code == 0
    assert (runs / "night-1" / "export" / "trials.parquet").is_file()
    flags = ("--output", tmp_path / "x", "--format", "csv")
    said = evolve("export", "night-1", "--runs", runs, *flags)
    assert said.code == 0
    assert f"{tmp_path}/x/trials.csv  21 rows" in said.out
    assert not list((tmp_path / "x").glob("*.parquet"))


def test_json_tells_every_path_and_the_count_of_rows(runs, evolve: Evolve):
    facts = json.loads(evolve("export", "--runs", runs, "--format", "both", "--json").out)
    assert all(Path(file).is_file() for file in facts["files"])
    for name, count in facts["rows"].items():
        assert len(pd.read_parquet(Path(facts["folder"]) / f"{name}.parquet")) == count


def test_a_run_under_way_can_be_exported(runs, evolve: Evolve):
    with RunLock(runs / "night-1" / "run.lock"):
        assert evolve("export", "--runs", runs).code == 0
        assert evolve("export", "--runs", runs, "--patches").code == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--format", "xlsx"], "--format"),
        (["--variant", "g002-003"], "--patches"),
        (["--patches", "--variant", "g009-009"], "g009-009"),
    ],
)
def test_a_mistake_ends_with_code_2_and_says_what_to_do(flags, words, runs, evolve: Evolve):
    said = evolve("export", "--runs", runs, *flags)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_files_of_others_are_left_alone(runs, evolve: Evolve):
    place = runs / "night-1" / "export"
    place.mkdir()
    (place / "thesis.txt").write_text("mine")
    said = evolve("export", "--runs", runs)
    assert said.code == 2
    assert "thesis.txt" in said.err
    assert [p.name for p in place.iterdir()] == ["thesis.txt"]


def test_the_commands_that_are_printed_give_the_champions_file(runs, tmp_path, evolve: Evolve):
    said = evolve("export", "--runs", runs, "--patches")
    assert (said.code, said.err) == (0, "")
    assert "g002-003 (confirmed by v001)" in said.out
    commands = "\n".join(re.findall(r"^  ((?:git|cd) .*)$", said.out, re.MULTILINE))
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, env=NOBODY, check=True)
    with Branches.open(runs / "night-1" / "population.git") as branches:
        with Store.open(runs / "night-1" / "run.db", read_only=True) as store:
            genome = branches.genome(store.variant("g002-003").sha)
        assert (tmp_path / "champion" / "train.py").read_bytes() == genome.main.encode()


def test_the_printed_commands_survive_a_blank_in_the_path(tmp_path, evolve: Evolve):
    a_small_run(tmp_path / "my runs")
    said = evolve("export", "--runs", tmp_path / "my runs", "--patches")
    line = next(line for line in said.out.splitlines() if "git clone" in line)
    assert str(tmp_path / "my runs" / "night-1" / "population.git") in shlex.split(line)


def test_a_named_variant_goes_before_the_champion(runs, evolve: Evolve):
    words = ("export", "--runs", runs, "--patches", "--variant", "g001-001", "--json")
    facts = json.loads(evolve(*words).out)
    assert (facts["variant"], facts["chosen"]) == ("g001-001", "asked")
    assert [patch["name"] for patch in facts["patches"]] == ["g001-001"]


def test_without_a_confirmed_champion_the_best_believed_one_is_taken_and_said_so(
    tmp_path, evolve: Evolve
):
    paths = a_small_run(tmp_path / "runs")
    with closing(sqlite3.connect(paths.database)) as database, database:
        database.execute("DELETE FROM verdicts")
    with Store.open(paths.database) as store:
        shas = {v.name: v.sha for v in store.variants()}
        store.save_fitnesses({shas["g001-001"]: Fitness(1.5, 0.001, 1)})
    said = evolve("export", "--runs", tmp_path / "runs", "--patches")
    assert "g001-001 (best believed, not confirmed)" in said.out


def test_the_baseline_as_champion_gives_no_patches_and_is_no_error(runs, evolve: Evolve):
    said = evolve("export", "--runs", runs, "--patches", "--variant", "g000-000")
    assert (said.code, said.err) == (0, "")
    assert "no patches: g000-000 has the baseline's files" in said.out
    assert not (runs / "night-1" / "patches").exists()


def test_a_run_without_scores_gives_no_patches_and_empty_tables(tmp_path, evolve: Evolve):
    folder = tmp_path / "runs" / "new"
    folder.mkdir(parents=True)
    Store.create(folder / "run.db", a_run(name="new")).close()
    Branches.create(folder / "population.git").close()
    said = evolve("export", "--runs", tmp_path / "runs", "--patches")
    assert (said.code, said.err) == (0, "")
    assert "no trial has given a score yet" in said.out
    facts = json.loads(evolve("export", "--runs", tmp_path / "runs", "--json").out)
    assert set(facts["rows"].values()) == {0}


@pytest.mark.parametrize("flags", [[], ["--patches"]])
def test_nothing_that_a_genome_wrote_commands_the_terminal(flags, runs, evolve: Evolve):
    said = evolve("export", "--runs", runs, *flags)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said.out)
