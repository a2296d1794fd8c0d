"""RunStatus: read from the store alone, before the first trial and after the last."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolution.status import rank, run_status
from population import Fitness, Purpose, RunState, Scoring, Store, TrialStatus
from tests.builders import NOW, a_run, a_variant, an_outcome, conditions
from tests.small_run import SETTINGS, a_small_run, run_trial


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A run that has a baseline and nothing else."""
    baseline = a_variant()
    record = a_run(SETTINGS, baseline=baseline.sha, state=RunState.RUNNING)
    with Store.create(tmp_path / "run.db", record) as opened:
        opened.add_variant(baseline)
        yield opened


def test_a_run_without_a_trial_has_a_status(store: Store):
    status = run_status(store, NOW)
    assert (status.champion, status.baseline, status.sigma, status.verdict) == (None,) * 4
    assert (status.offspring_done, status.offspring_limit) == (0, 8)
    assert status.seconds_left is None
    assert json.loads(json.dumps(status.as_dict(), allow_nan=False))["name"] == "night-1"


def test_a_finished_run_tells_champion_gain_and_verdict(tmp_path: Path):
    paths = a_small_run(tmp_path)
    with Store.open(paths.database, read_only=True) as store:
        status = run_status(store, NOW + 5000)
    assert status.champion is not None
    assert status.champion.name == "g002-003"
    assert status.champion.gain == pytest.approx(0.0199)
    assert status.trial_counts[TrialStatus.STOPPED_EARLY] == 1
    assert status.offspring_done == 4
    assert status.verdict is not None
    assert (status.elapsed_seconds, status.seconds_left) == (754.0, 0.0)


def test_a_running_trial_shows_its_progress_and_its_age(store: Store):
    trial = store.queue_trial(
        a_variant().sha, purpose=Purpose.BASELINE, conditions=conditions(), at=NOW
    )
    store.start_trial(trial.id, slot=0, lease_seconds=60, at=NOW + 2)
    status = run_status(store, NOW + 12, progress={trial.id: 0.4})
    assert [(t.trial, t.progress, t.seconds) for t in status.running] == [(trial.id, 0.4, 10.0)]
    assert status.elapsed_seconds == 10.0


def test_the_clock_of_a_run_stands_still_without_an_engine(store: Store):
    trial = store.queue_trial(
        a_variant().sha, purpose=Purpose.BASELINE, conditions=conditions(), at=NOW
    )
    store.start_trial(trial.id, slot=0, lease_seconds=60, at=NOW + 2)
    store.set_fact("active_seconds", 100.0)
    assert run_status(store, NOW + 9999, is_live=False).elapsed_seconds == 100.0
    assert run_status(store, NOW + 12, is_live=True).elapsed_seconds == 110.0


def test_the_time_left_shrinks_as_offspring_are_tried(store: Store):
    estimates = []
    for serial in range(1, 7):
        variant = a_variant(serial, parents=(a_variant().sha,))
        store.add_variant(variant)
        run_trial(store, variant, Purpose.SCREEN, an_outcome())
        store.set_fact("active_seconds", 20.0 * serial)
        estimates.append(run_status(store, NOW, is_live=False).seconds_left)
    assert estimates[:2] == [None, None]
    # Twenty seconds a trial: those left of 8, and a verdict of 2 × 3 pairs at depth 1 and 1.5.
    assert estimates[2:] == [pytest.approx(20 * (left + 15)) for left in (5, 4, 3, 2)]


def test_trusted_means_that_every_score_is(store: Store):
    baseline = a_variant()
    run_trial(store, baseline, Purpose.BASELINE, an_outcome(1.5, scoring=Scoring.TRUSTED))
    run_trial(store, baseline, Purpose.BASELINE, an_outcome(None))
    store.save_fitnesses({baseline.sha: Fitness(1.5, 0.01, 1)})
    assert [s.scoring for s in rank(store)] == [Scoring.TRUSTED]
    run_trial(store, baseline, Purpose.BASELINE, an_outcome(1.5))
    assert [s.scoring for s in rank(store)] == [Scoring.REPORTED]


def test_the_best_is_first_and_the_unscored_are_left_out(store: Store):
    root = a_variant()
    others = [a_variant(serial, parents=(root.sha,)) for serial in (1, 2, 3)]
    for variant in others:
        store.add_variant(variant)
    means = (1.5, 1.4, 1.6, None)
    fitnesses = [Fitness(mean, 0.01, int(mean is not None)) for mean in means]
    shas = [root.sha, *(v.sha for v in others)]
    store.save_fitnesses(dict(zip(shas, fitnesses, strict=True)))
    assert [s.name for s in rank(store)] == ["g001-001", "g000-000", "g001-002"]
    assert [s.gain for s in rank(store)] == [pytest.approx(0.1), 0.0, pytest.approx(-0.1)]


def test_settings_of_another_version_are_no_obstacle(tmp_path: Path):
    odd = {"limits": "none", "verdict": {"pairs": "three"}}
    with Store.create(tmp_path / "odd.db", a_run(odd)) as store:
        assert run_status(store, NOW).offspring_limit is None
