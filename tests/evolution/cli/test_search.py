"""``run`` and ``resume`` with made-up scores: whole sittings, their ends, their refusals."""

import io
import json
import os
import signal
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from evolution.cli.live import LiveView, live_panel, summary_line, trial_line
from evolution.cli.search import _obeying_signals
from evolution.run_lock import RunLock
from evolution.status import run_status
from population import Branches, Metric, Purpose, RunPaths, RunState, Store
from tests.builders import NOW, conditions
from tests.evolution.cli.conftest import Evolve
from tests.small_run import a_small_run

REHEARSAL = ["run", "--dry-run", "--profile", "tiny", "--workers", "2", "--no-seeds"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_rehearsal_ends_with_a_verdict_a_picture_and_its_status(project: Path, evolve: Evolve):
    said = evolve(*REHEARSAL, "--trials", "6", "--name", "first", "--json")
    assert said.code == 0, said.err
    status = json.loads(said.out)
    assert (status["name"], status["state"], status["offspring_done"]) == ("first", "finished", 6)
    assert status["is_dry_run"]
    assert status["verdict"] is not None
    assert (project / status["overview"]).read_bytes().startswith(b"\x89PNG")
    assert "about" in said.err or "offspring" in said.err
    paths = RunPaths(project / "runs" / "first")
    with Branches.open(paths.repository) as branches:
        assert len(branches.names("first")) == status["variant_count"]
    assert "scores are made up" in evolve("status").out


def test_settings_are_the_file_and_the_flags_over_it(project: Path, evolve: Evolve):
    (project / "evolve.toml").write_text("[limits]\ntrials = 3\n[baseline]\nrepeats = 2\n")
    assert evolve(*REHEARSAL, "--rng-seed", "5", "--name", "first").code == 0
    frozen = tomllib.loads((project / "runs" / "first" / "config.toml").read_text())
    assert frozen["limits"]["trials"] == 3
    assert frozen["baseline"]["repeats"] == 2
    assert (frozen["run"]["rng_seed"], frozen["run"]["profile"]) == (5, "tiny")


def test_a_finished_run_is_resumed_to_the_same_end(project: Path, evolve: Evolve):
    assert evolve(*REHEARSAL, "--trials", "3", "--name", "first").code == 0
    before = json.loads(evolve("status", "--json").out)
    assert evolve("resume", "first").code == 0
    after = json.loads(evolve("status", "--json").out)
    assert after["trial_counts"] == before["trial_counts"]
    assert after["verdict"] == before["verdict"]


@pytest.mark.parametrize(
    ("toml", "flags", "found"),
    [
        ("[limits\n", [], "not valid TOML"),
        ("[limits]\ntrails = 3\n", [], "Did you mean 'trials'?"),
        ("[limits]\ntrials = -3\n", [], "-3"),
        ("", ["--trials", "0"], "nothing would end the search"),
        ("", ["--profile", "huge"], "'huge'"),
        ("", ["--config", "other.toml"], "no settings file other.toml"),
        ("", ["--data", "missing.txt"], "missing.txt"),
        ("", ["--name", "../out"], "'../out'"),
    ],
)
def test_bad_settings_are_refused_in_three_parts_and_no_run_is_made(
    toml: str, flags: list[str], found: str, project: Path, evolve: Evolve
):
    (project / "evolve.toml").write_text(toml)
    said = evolve(*REHEARSAL, *flags)
    assert said.code == 2
    assert found in said.err
    assert "Traceback" not in said.err
    assert not list(project.glob("runs/*"))
    assert not list(project.glob("runs/.*"))


def test_a_name_that_is_taken_is_refused(project: Path, evolve: Evolve):
    a_small_run(project / "runs", "first")
    said = evolve(*REHEARSAL, "--name", "first")
    assert said.code == 2
    assert "evolve resume first" in said.err


def test_a_locked_run_is_not_resumed(project: Path, evolve: Evolve):
    paths = a_small_run(project / "runs", "first")
    with RunLock(paths.lock):
        said = evolve("resume")
    assert said.code == 2
    assert str(os.getpid()) in said.err


class Asked:
    """Counts what is asked of an engine."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def request_drain(self) -> None:
        self.words.append("drain")

    def request_stop(self) -> None:
        self.words.append("stop")


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        ([signal.SIGINT], ["drain"]),
        ([signal.SIGINT, signal.SIGINT], ["drain", "stop"]),
        ([signal.SIGTERM], ["stop"]),
    ],
)
def test_the_first_interrupt_drains_and_the_second_stops(
    signals: list[signal.Signals], words: list[str]
):
    engine, view = Asked(), Asked()
    before = signal.getsignal(signal.SIGINT)
    with _obeying_signals(engine, view):  # type: ignore[arg-type]
        for number in signals:
            os.kill(os.getpid(), number)
    assert engine.words == words
    assert view.note
    assert signal.getsignal(signal.SIGINT) is before


def a_live_store(tmp_path: Path) -> Store:
    """A run with one trial under way and one that has just crashed."""
    paths = a_small_run(tmp_path, state=RunState.RUNNING)
    store = Store.open(paths.database)
    for _ in range(1):
        trial = store.queue_trial(
            store.variant("g001-002").sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
        )
        store.start_trial(trial.id, slot=0, lease_seconds=60, at=NOW)
    return store


def test_without_a_terminal_each_finished_trial_is_a_line(tmp_path: Path):
    paths = a_small_run(tmp_path)
    written = io.StringIO()
    with Store.open(paths.database, read_only=True) as store:
        with LiveView(store, Console(file=written, width=100)) as view:
            view._told.clear()
            view.note = "ending"
            view.refresh({})
            view.refresh({})
        count = len(store.trials())
    lines = written.getvalue().splitlines()
    assert lines[0] == "ending"
    assert sum(line.startswith(("✓", "✗", "▿")) for line in lines) == count
    assert lines[-1].startswith("  4/8 offspring, best g002-003 1.532 ± 0.005 (reported, basic!)")
    assert not any("\x1b" in line for line in lines)


def test_on_a_terminal_the_running_trials_are_redrawn_and_then_gone(tmp_path: Path):
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True)
    with a_live_store(tmp_path) as store, LiveView(store, console) as view:
        view.refresh({store.running()[0].trial.id: 0.5})
        drawn = written.getvalue()
    assert "g001-002" in drawn
    assert "50%" in drawn
    assert written.getvalue().endswith("\x1b[2K") or "\x1b[1A" in written.getvalue()


def test_the_live_panel_names_phase_champion_and_note(tmp_path: Path):
    console = Console(width=100, file=io.StringIO())
    with a_live_store(tmp_path) as store, console.capture() as captured:
        status = run_status(store, NOW + 30)
        console.print(live_panel(status, "ending"))
    text = captured.get()
    for words in ("searching", "4/8", "g002-003", "ending", "screen"):
        assert words in text
    assert "\x1b" not in text
    assert "offspring" in summary_line(status)


def test_a_crash_is_told_with_its_reason(tmp_path: Path):
    paths = a_small_run(tmp_path)
    with Store.open(paths.database, read_only=True) as store:
        variant = store.variant("g002-004")
        (trial,) = store.trials(variant=variant.sha)
    line = trial_line(trial, variant, Metric()).plain
    assert line == "✗ g002-004  crashed: ValueError: shapes differ  knob: DEPTH 2 → 3"


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_without_a_box_nothing_trains_unless_it_is_allowed(evolve, tmp_path, verb):
    folder, runs = tmp_path / "project", tmp_path / "runs"
    folder.mkdir()
    (folder / "evolve.toml").write_text('[sandbox]\nlevel = "basic"\n', encoding="utf-8")
    config = ("--config", folder / "evolve.toml", "--profile", "tiny", "--name", "one")
    if verb == "resume":  # a rehearsal trains nothing, and needs no box
        rehearsed = evolve("run", *config, "--dry-run", "--trials", "1", "--runs", runs)
        assert rehearsed.code == 0, rehearsed.err
        with Store.open(RunPaths(runs / "one").database) as store:
            store.set_fact("dry_run", False)
        refused = evolve("resume", "one", "--runs", runs)
    else:
        refused = evolve("run", *config, "--runs", runs)
        assert not (runs / "one").exists()
    assert refused.code == 2
    assert "which is no box at all" in refused.err
    assert "--allow-unsafe" in refused.err
    assert refused.out == ""
