"""``--agents``: what is refused before anything is made, and a real run against the twin."""

import contextlib
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest

from agents.twin import Twin
from evolution.agent_settings import AgentSettings
from evolution.doctor.finding import Level
from evolution.doctor.software import agents_finding
from population import CallState, RunPaths, Store
from tests.evolution.cli.conftest import Evolve
from tests.evolution.test_agents_end_to_end import check_books, dollars_of, places_of

ROOT = Path(__file__).parents[3]
KEY = "sk-ant-planted-b7c1d0e95f2a4836"
COMMAND = [sys.executable, "-c", "import sys; from evolution.cli import main; sys.exit(main())"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    return tmp_path


def test_models_without_a_limit_on_dollars_are_refused(project: Path, evolve: Evolve):
    said = evolve("run", "--dry-run", "--agents", "claude", "--profile", "tiny")
    assert said.code == 2
    assert "limit_usd" in said.err
    assert not (project / "runs").exists()


def test_models_without_a_key_are_refused_before_anything_is_made(project: Path, evolve: Evolve):
    said = evolve(
        "run", "--agents", "claude", "--limit-usd", "1", "--profile", "tiny", "--allow-unsafe"
    )
    assert said.code == 2
    assert "ANTHROPIC_API_KEY" in said.err
    assert not (project / "runs").exists()


def test_a_model_without_a_price_is_refused(project: Path, evolve: Evolve, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    (project / "evolve.toml").write_text(
        '[agents]\nkind = "claude"\nlimit_usd = 1.0\nmodel = "claude-unheard-of"\n'
    )
    said = evolve("run", "--profile", "tiny", "--allow-unsafe")
    assert said.code == 2
    assert "claude-unheard-of" in said.err
    assert KEY not in said.err


def test_init_writes_the_model_into_the_settings(project: Path, evolve: Evolve):
    assert evolve("init", "night", "--agents", "claude", "--limit-usd", "7.5").code == 0
    agents = tomllib.loads((project / "night" / "evolve.toml").read_text())["agents"]
    assert (agents["kind"], agents["limit_usd"]) == ("claude", 7.5)
    refused = evolve("init", "other", "--agents", "claude")
    assert refused.code == 2
    assert not (project / "other").exists()


def test_the_doctor_says_what_a_model_lacks(project: Path, monkeypatch: pytest.MonkeyPatch):
    asked = AgentSettings(kind="claude", limit_usd=2.0)
    assert agents_finding(AgentSettings()).level is Level.OK
    assert agents_finding(asked).level is Level.PROBLEM
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found = agents_finding(asked)
    assert found.level is Level.OK
    assert "claude-opus-5-5" in found.found
    assert KEY not in str(found)


def test_a_rehearsal_asks_no_model(project: Path, evolve: Evolve):
    said = evolve(
        "run", "--dry-run", "--agents", "claude", "--limit-usd", "1", "--profile", "tiny",
        "--trials", "2", "--workers", "2", "--no-seeds", "--name", "first", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    with Store.open(project / "runs" / "first" / "run.db", read_only=True) as store:
        assert store.calls() == []


def environments(process: psutil.Process) -> list[dict[str, str]]:
    """Of every process below ``process``."""
    found = []
    ours = process.cmdline()
    for child in process.children(recursive=True):
        try:
            environ = child.environ()
            if child.cmdline() != ours:  # until a fork becomes its program, it is still ourselves
                found.append(environ)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_run_asks_the_twin_and_shows_its_key_to_no_child(tmp_path: Path):
    paths = RunPaths(tmp_path / "runs" / "night")
    (tmp_path / "evolve.toml").write_text(
        '[run]\nprofile = "tiny"\nbudget = 20000.0\n[limits]\ntrials = 4\n[baseline]\nrepeats = 2\n'
        '[population]\nseeds = ""\n[verdict]\npairs = 2\nmax_pairs = 2\ndepths = [1.0]\n'
    )
    with Twin(key=KEY) as twin:
        words = ["run", "--name", "night", "--agents", "claude", "--limit-usd", "20", "--json"]
        run = subprocess.Popen(
            [*COMMAND, *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ANTHROPIC_API_KEY": KEY,
                "ANTHROPIC_BASE_URL": twin.url,
                "NO_PROXY": "127.0.0.1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        seen = []
        process = psutil.Process(run.pid)
        while run.poll() is None and len(seen) < 400:
            with contextlib.suppress(psutil.Error):
                seen += environments(process)
            time.sleep(0.05)
        out, err = run.communicate(timeout=800)
        assert run.returncode == 0, err.decode()
        assert json.loads(out)["state"] == "finished"
        assert seen
        assert not [found for found in seen if KEY in str(found)]
        with Store.open(paths.database, read_only=True) as store:
            billed, settled = check_books(store, twin)
            assert {call.request_id for call in settled} == set(billed)
            assert store.spending().spent_usd == pytest.approx(dollars_of(billed.values()))
            assert all(call.state is CallState.SETTLED for call in store.calls())
            assert {v.operator for v in store.variants()} & {"mutator", "crossover"}
    assert places_of(KEY, tmp_path) == []
    assert KEY.encode() not in out + err
