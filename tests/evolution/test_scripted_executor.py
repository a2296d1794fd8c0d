from dataclasses import replace

import pytest

from evolution.executors import Finished, Job, Performance, Reported, ScriptedExecutor, Started
from population import (
    CurvePoint,
    Failure,
    FailureClass,
    Genome,
    Outcome,
    Snapshot,
    TrialStatus,
)
from tests.evolution.executor_contract import BAD, ENDLESS, GOOD, ExecutorContract, a_job

COMPLETE = Outcome(
    TrialStatus.COMPLETE,
    val_bpb=1.5,
    train_tokens=4000,
    cpu_seconds=10.0,
    snapshots=(Snapshot(0.5, 2.5),),
    curve=tuple(CurvePoint(share / 4, 2.0) for share in range(1, 5)),
)
CRASHED = Outcome(
    TrialStatus.CRASHED, failure=Failure(FailureClass.ERROR, "the optimizer fell over")
)


def play(job: Job) -> Performance:
    return {
        GOOD: Performance(COMPLETE, 10.0),
        BAD: Performance(CRASHED, 2.0),
        ENDLESS: Performance(COMPLETE, 1e9),
    }[job.genome.main]


class TestScriptedExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> ScriptedExecutor:
        return ScriptedExecutor(play, 2, baseline=Genome.single(GOOD))


def drain(executor: ScriptedExecutor) -> list[object]:
    events: list[object] = []
    while news := executor.poll(1.0):
        events += [(executor.now, event) for event in news]
    return events


def test_the_same_script_and_calls_give_the_same_events():
    def story() -> list[object]:
        executor = ScriptedExecutor(play, 2)
        executor.submit(a_job(GOOD, 1))
        executor.submit(a_job(BAD, 2))
        return drain(executor)

    assert story() == story()


def test_virtual_time_goes_from_event_to_event():
    executor = ScriptedExecutor(play, 2)
    executor.submit(a_job(GOOD, 1))
    moments = [moment for moment, event in drain(executor) if isinstance(event, Reported)]
    assert moments == [2.5, 5.0, 7.5, 10.0]


def test_a_shorter_job_ends_first():
    executor = ScriptedExecutor(play, 2)
    executor.submit(a_job(GOOD, 1))
    executor.submit(a_job(BAD, 2))
    ends = [event.trial_id for _, event in drain(executor) if isinstance(event, Finished)]
    assert ends == [2, 1]


def test_set_up_comes_before_the_budget_and_is_paid_whole():
    whole = replace(COMPLETE, total_seconds=14.0)
    executor = ScriptedExecutor(lambda _: Performance(whole, 10.0, setup_seconds=4.0), 1)
    executor.submit(a_job(GOOD, 1))
    assert [executor.now for _ in range(2) if executor.poll(1.0)] == [0.0, 6.5]
    executor.stop(1, "hopeless")
    (end,) = [event for event in executor.poll(1.0) if isinstance(event, Finished)]
    assert end.outcome.total_seconds == 4.0 + 0.25 * 10.0
    executor.submit(a_job(GOOD, 2))
    executor.stop(2, "before it began")
    ends = [event for _, event in drain(executor) if isinstance(event, Finished)]
    assert ends[0].outcome.total_seconds == 0.0
    executor.submit(a_job(GOOD, 3))
    drain(executor)
    assert executor.now == 6.5 + 14.0


def test_a_job_stopped_half_way_has_spent_half():
    executor = ScriptedExecutor(play, 1)
    executor.submit(a_job(GOOD, 1))
    while executor.now < 5.0:
        executor.poll(1.0)
    executor.stop(1, "hopeless")
    (finished,) = executor.poll(1.0)
    assert isinstance(finished, Finished)
    assert finished.outcome.cpu_seconds == 5.0
    assert finished.outcome.snapshots == (Snapshot(0.5, 2.5),)
    assert len(finished.outcome.curve) == 2
    assert drain(executor) == []


def test_a_job_stopped_before_it_was_seen_to_start_still_starts():
    executor = ScriptedExecutor(play, 1)
    executor.submit(a_job(GOOD, 1))
    executor.stop(1, "at once")
    assert [type(event) for _, event in drain(executor)] == [Started, Finished]


def test_a_bare_outcome_is_a_performance_of_one_second():
    executor = ScriptedExecutor(lambda _: CRASHED)
    executor.submit(a_job())
    drain(executor)
    assert executor.now == 1.0
    assert [job.trial_id for job in executor.jobs] == [1]


def test_the_yardstick_is_kept_for_the_script():
    executor = ScriptedExecutor(play)
    executor.set_yardstick(2e-5)
    assert executor.yardstick_seconds == 2e-5
    assert executor.sweep_orphans() == []
