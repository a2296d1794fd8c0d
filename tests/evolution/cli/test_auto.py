"""``--profile auto``: what was found and chosen is said, and nothing says auto afterwards."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from evolution.config import EvolutionConfig
from evolution.templates import template_path
from population import Store, knobs, set_knobs
from tests.evolution.cli.conftest import Evolve


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_says_what_it_found_and_writes_a_project_that_starts(evolve: Evolve, elsewhere):
    said = evolve("init", "mine", "--profile", "auto")
    assert said.code == 0
    assert "found " in said.err
    assert "chose " in said.err
    assert "because " in said.err
    settings = (elsewhere / "mine" / "evolve.toml").read_text()
    found = next(line for line in said.err.splitlines() if "found" in line).strip()
    assert f"# {found}" in settings
    run = EvolutionConfig.load(elsewhere / "mine" / "evolve.toml")
    assert run.run.profile in ("cpu", "gpu")
    assert run.workers.count >= 1
    text = (elsewhere / "mine" / "train.py").read_text()
    assert f"# {found}" in text
    if run.run.profile == "cpu":
        assert knobs(text) == knobs(template_path("train.py").read_text())


def test_the_seeds_of_a_sized_project_are_trained(evolve: Evolve, elsewhere, monkeypatch):
    evolve("init", "mine", "--profile", "auto")
    monkeypatch.chdir(elsewhere / "mine")
    settings = (elsewhere / "mine" / "evolve.toml").read_text()
    (elsewhere / "mine" / "evolve.toml").write_text(
        settings.replace('profile = "cpu"', 'profile = "tiny"').replace(
            'profile = "gpu"', 'profile = "tiny"'
        )
    )
    said = evolve("run", "--dry-run", "--trials", "6", "--workers", "1", "--name", "first")
    assert said.code == 0, said.err
    assert "3 of" in said.err
    assert "left out" not in said.err


def test_a_run_keeps_concrete_settings(evolve: Evolve, elsewhere):
    (elsewhere / "evolve.toml").write_text("[verdict]\npairs = 2\n")
    said = evolve("run", "--profile", "auto", "--dry-run", "--trials", "1", "--name", "x")
    assert said.code == 0, said.err
    frozen = tomllib.loads((elsewhere / "runs" / "x" / "config.toml").read_text())
    assert frozen["run"]["profile"] in ("cpu", "gpu")
    assert frozen["workers"]["count"] >= 1
    assert "auto" not in json.dumps(frozen["run"])
    with Store.open(elsewhere / "runs" / "x" / "run.db", read_only=True) as store:
        assert store.run().settings["run"] == frozen["run"]


def test_a_run_says_where_an_edited_genome_keeps_its_own_sizes(evolve: Evolve, elsewhere):
    shipped = template_path("train.py").read_text()
    (elsewhere / "evolve.toml").write_text("[run]\nprofile = 'tiny'\nknobs = {DEPTH = 4}\n")
    asked = ("run", "--dry-run", "--trials", "1", "--no-seeds", "--workers", "1")
    assert "keeps its own sizes" not in evolve(*asked, "--name", "one").err
    (elsewhere / "train.py").write_text(set_knobs(shipped, {"DEPTH": 3}))
    said = evolve(*asked, "--name", "two")
    assert said.code == 0
    assert "keeps its own sizes" in said.err
    assert "DEPTH = 3 (not 4)" in said.err


def test_only_auto_loads_the_doctor_and_init_loads_no_statistics(elsewhere):
    code = (
        "import sys; from evolution.cli import main\n"
        "try: main(['init', 'mine'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'scipy' or 'doctor' in m])"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert (elsewhere / "mine" / "evolve.toml").is_file()


def test_the_doctor_tells_the_choice(evolve: Evolve):
    said = evolve("doctor", "--profile", "auto", "--json")
    findings = {f["name"]: f for f in json.loads(said.out)["findings"]}
    choice = findings["profile"]["facts"]
    assert choice["profile"] in ("cpu", "gpu")
    assert choice["reasons"]
    assert findings["evolve run"]["facts"]["workers"] == choice["workers"]


def test_a_profile_that_is_none_is_refused_with_a_word_of_auto(evolve: Evolve):
    said = evolve("init", "mine", "--profile", "huge")
    assert said.code == 2
    assert "--profile auto" in said.err
