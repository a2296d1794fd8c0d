"""What a ``cpu`` budget makes of each trial, seen in the jobs of a whole run."""

from dataclasses import replace

import pytest

from evolution.executors import Job, Performance, ScriptedExecutor
from evolution.jobs import ENOUGH_CALIBRATIONS
from population import BudgetKind, Calibration, Purpose, canonical_hash
from tests.evolution.runs import a_run, an_engine, world

SECONDS = 2e-4


def priced(job: Job) -> Performance:
    """The world of the other tests; a calibrated job brings its measurement along."""
    performance = world(job)
    if not job.calibrate:
        return performance
    calibration = Calibration(
        genome_hash=canonical_hash(job.genome),
        device_class="cpu",
        cost_ratio=0.9,
        pair_count=20,
        genome_seconds=0.9 * SECONDS,
        baseline_seconds=SECONDS,
        depth_scale=job.conditions.depth_scale,
    )
    return Performance(
        replace(performance.outcome, calibration=calibration), performance.duration_seconds
    )


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Trials and jobs of a finished run on the ``cpu`` profile."""
    folder = tmp_path_factory.mktemp("runs")
    paths = a_run(folder, run__profile="cpu", run__budget=8.0, limits__trials=4)
    executor = ScriptedExecutor(priced, slot_count=2, baseline_seconds=SECONDS)
    with an_engine(paths, executor) as (engine, workspace, _):
        engine.run()
        trials = {trial.id: trial for trial in workspace.store.trials()}
        baseline = workspace.store.run().baseline
        yardstick = workspace.store.fact("yardstick")
        stored = workspace.store.calibrations
        known = {t.variant: stored(_hash(workspace, t.variant), "cpu") for t in trials.values()}
    return executor.jobs, trials, baseline, yardstick, known


def _hash(workspace, sha):
    return workspace.store.variant(sha).genome_hash


def test_the_yardstick_is_what_the_budget_buys_the_baseline(finished_run):
    jobs, trials, baseline, yardstick, _ = finished_run
    assert yardstick == {"seconds_per_token": SECONDS, "tokens": round(8.0 / SECONDS)}
    of_baseline = [job for job in jobs if trials[job.trial_id].variant == baseline]
    assert {job.token_budget for job in of_baseline} == {yardstick["tokens"]}
    assert not any(job.calibrate for job in of_baseline)
    assert {job.conditions.budget.kind for job in jobs} == {BudgetKind.CPU}


def test_an_offspring_is_calibrated_and_a_verdict_calibrates_afresh_at_each_depth(finished_run):
    jobs, trials, baseline, _, _ = finished_run
    for job in jobs:
        trial = trials[job.trial_id]
        if trial.variant == baseline:
            continue
        if trial.purpose is Purpose.SCREEN:
            assert job.calibrate
            assert job.known_calibrations == ()
        if trial.purpose is Purpose.VERDICT:
            depths = {known.depth_scale for known in job.known_calibrations}
            assert depths <= {trial.conditions.depth_scale}
            assert len(job.known_calibrations) <= 2 * ENOUGH_CALIBRATIONS
            assert job.calibrate == (len(job.known_calibrations) < ENOUGH_CALIBRATIONS)


def test_what_a_verdict_measures_does_not_reach_the_search(finished_run):
    _, trials, _, _, known = finished_run
    for sha, calibrations in known.items():
        searched = sum(
            t.outcome.calibration is not None
            for t in trials.values()
            if t.variant == sha and t.purpose is not Purpose.VERDICT
        )
        assert len(calibrations) == searched
