"""kill -9 of the engine at random moments of a real run, then resume: nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from evolution.events import read_events
from evolution.sandbox.environment import MARKER
from population import Branches, Purpose, RunPaths, RunState, Store, TrialStatus

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from evolution.cli import main; sys.exit(main())"]
SETTINGS = """
[run]
profile = "tiny"
budget = 20000.0
[limits]
trials = {trials}
[baseline]
repeats = 2
[population]
seeds = ""
[verdict]
pairs = 2
max_pairs = 2
depths = [1.0]
"""


def evolve(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command as a user would, in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *arguments, "--runs", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def processes_of(run: str) -> list[int]:
    """Processes that carry the marker of a run."""
    found = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get(MARKER, "")
        except psutil.Error:
            continue
        if marker.startswith(f"{run}-"):
            found.append(process.pid)
    return found


def wait_until_gone(run: str, seconds: float = 20.0) -> list[int]:
    """What is left of a run's processes once they had time to notice."""
    deadline = time.monotonic() + seconds
    while processes_of(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(run)


def check_kills(tmp_path: Path, *, kills: int, trials: int, rng_seed: int) -> None:
    """Kill a run again and again at random moments, let it finish, and look for damage."""
    chance = random.Random(rng_seed)
    run = f"chaos{os.getpid()}"
    settings = tmp_path / "evolve.toml"
    settings.write_text(SETTINGS.format(trials=trials))
    paths = RunPaths(tmp_path / run)
    engine = evolve(tmp_path, "run", "--config", str(settings), "--name", run)
    while not (paths.database.exists() and processes_of(run)):
        assert engine.poll() is None
        time.sleep(0.05)
    acknowledged: dict[int, tuple[int, float | None]] = {}
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 9.0))
        engine.send_signal(signal.SIGKILL)
        engine.communicate()
        assert wait_until_gone(run) == []
        with Store.open(paths.database, read_only=True) as store:
            for trial in store.trials():
                if trial.status.is_final:
                    found = (trial.attempt, trial.outcome.val_bpb)
                    assert acknowledged.setdefault(trial.id, found) == found
            assert set(acknowledged) <= {t.id for t in store.trials() if t.status.is_final}
        engine = evolve(tmp_path, "resume", run, "--json")
    out, _ = engine.communicate(timeout=600)
    assert engine.returncode == 0
    assert json.loads(out)["state"] == "finished"
    assert wait_until_gone(run) == []
    _check_whole(paths, acknowledged, trials)


def _check_whole(
    paths: RunPaths, acknowledged: dict[int, tuple[int, float | None]], trials: int
) -> None:
    with (
        Store.open(paths.database, read_only=True) as store,
        Branches.open(paths.repository) as branches,
    ):
        assert store.run().state is RunState.FINISHED
        for trial_id, (attempt, score) in acknowledged.items():
            trial = store.trial(trial_id)
            assert (trial.attempt, trial.outcome.val_bpb) == (attempt, score)
        everything = store.trials()
        assert all(t.status.is_final for t in everything)
        scored = (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY)
        screens = Counter(t.variant for t in everything if t.purpose is Purpose.SCREEN)
        assert set(screens.values()) == {1}
        assert sum(t.status in scored for t in everything if t.purpose is Purpose.SCREEN) == trials
        assert sum(t.purpose is Purpose.BASELINE for t in everything) == 2
        names = {v.name: v.sha for v in store.variants()}
        assert {n: s for n, s in branches.names(paths.name).items() if n in names} == names
        assert all(branches.verify(sha) for sha in names.values())
        assert len(store.verdicts()) == 1
    finished = Counter(
        e.payload["trial"] for e in read_events(paths.events) if e.kind == "trial_finished"
    )
    assert set(finished.values()) <= {1}
    assert not paths.scratch.exists() or not list(paths.scratch.iterdir())


def test_a_run_killed_twice_loses_nothing_and_ends_as_planned(tmp_path):
    check_kills(tmp_path, kills=2, trials=2, rng_seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_five_times_loses_nothing_and_ends_as_planned(tmp_path):
    check_kills(tmp_path, kills=5, trials=6, rng_seed=1)
