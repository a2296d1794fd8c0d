"""What every executor keeps, and trainers of a few lines that speak the ruler's protocol."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolution.executors import (
    Event,
    Executor,
    Finished,
    Job,
    Limits,
    LocalExecutor,
    Reported,
    Site,
    SnapshotTaken,
    Started,
    cpu_slots,
)
from evolution.executors.site import Walls
from population import Budget, BudgetKind, Conditions, Genome, Outcome, TrialStatus

#: A ruler without torch: pipes, tokens and CPU time, nothing else.
RULER = """
import json, os, sys, time

CONDITIONS = json.loads(os.environ["EVORESEARCH_CONDITIONS"])
MODE = CONDITIONS["mode"]
AMOUNT = CONDITIONS["budget"]["amount"]
READ, WRITE = map(int, os.environ["EVORESEARCH_HARNESS"].split(","))
tokens = reports = batches = 0


def raw(data):
    while data:
        data = data[os.write(WRITE, data):]


def send(**message):
    raw(json.dumps(message).encode() + b"\\n")


def wait():
    if not os.read(READ, 64):
        sys.exit(1)


def batch(size=1000):
    global tokens, batches
    if batches == 0:
        send(type="start")
        wait()
    elif MODE == "calibrate":
        send(type="batch", tokens=tokens, reports=reports)
        wait()
    tokens += size
    batches += 1


def report(loss=1.0, **scalars):
    global reports
    reports += 1
    if MODE == "train":
        share = min(1.0, tokens / AMOUNT)
        send(type="report", progress=share, loss=loss, scalars=scalars, tokens=tokens)


def snapshot(fraction, bpb):
    send(type="snapshot", fraction=fraction, progress=fraction, bpb=bpb)


def score(val_bpb=1.5, fast=1e-6):
    send(type="score", val_bpb=val_bpb, tokens=tokens, batches=batches, train_seconds=0.25,
         token_seconds={"fast": fast, "mean": fast})


def spin(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def work(count):
    for _ in range(count):
        sum(range(2000))
"""

GOOD = """
import prepare

while prepare.tokens < prepare.AMOUNT:
    prepare.batch()
    prepare.work(50)
    prepare.report(2.0, lr=0.1)
prepare.snapshot(0.5, 2.5)
prepare.score(1.5)
print("---\\nval_bpb: 1.5\\nnum_steps: 4")
"""
BAD = """
import prepare

prepare.batch()
raise RuntimeError("the optimizer fell over")
"""
ENDLESS = """
import time
import prepare

prepare.batch()
prepare.report(2.0)
time.sleep(600)
"""


def a_job(text: str = GOOD, trial_id: int = 1, **changes: Any) -> Job:
    """A job of 4000 tokens."""
    conditions = Conditions(Budget(BudgetKind.TOKENS, 4000), rng_seed=1)
    return replace(
        Job(trial_id, 1, f"g000-{trial_id:03d}", Genome.single(text), conditions), **changes
    )


def a_site(tmp_path: Path, baseline: str = GOOD, **changes: Any) -> Site:
    """A site whose ruler is the one above."""
    ruler = tmp_path / "prepare.py"
    ruler.write_text(RULER, encoding="utf-8")
    site = Site(
        run_id=f"test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}",
        scratch=tmp_path / "scratch",
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tmp_path / "data",
        baseline=Genome.single(baseline),
        logs=tmp_path / "logs",
        walls=Walls(may_fork=True),
    )
    return replace(site, **changes)


def a_local_executor(tmp_path: Path, slot_count: int = 1, **limits: Any) -> LocalExecutor:
    """A local executor of fake trainers."""
    return LocalExecutor(a_site(tmp_path), cpu_slots(slot_count), limits=Limits(**limits))


def events_until_end(executor: Executor, trial_id: int = 1) -> list[Event]:
    """All events up to the end of a trial."""
    events: list[Event] = []
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        events += executor.poll(1.0)
        if any(isinstance(event, Finished) and event.trial_id == trial_id for event in events):
            return events
    raise AssertionError(f"trial {trial_id} did not end; so far: {events}")


def outcome_of_job(executor: Executor, job: Job) -> Outcome:
    """What a job comes to."""
    executor.submit(job)
    last = events_until_end(executor, job.trial_id)[-1]
    assert isinstance(last, Finished)
    return last.outcome


class ExecutorContract:
    """Subclass it with a fixture ``executor`` of two slots that understands the three genomes."""

    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    def test_a_job_begins_with_started_and_ends_with_one_finished(self, executor: Executor):
        executor.submit(a_job())
        events = events_until_end(executor)
        assert isinstance(events[0], Started)
        assert [type(event) for event in events].count(Finished) == 1
        assert {event.trial_id for event in events} == {1}
        assert {event.attempt for event in events} == {1}

    def test_a_score_makes_the_job_complete(self, executor: Executor):
        outcome = outcome_of_job(executor, a_job())
        assert outcome.status is TrialStatus.COMPLETE
        assert outcome.val_bpb == 1.5
        assert outcome.failure is None
        assert outcome.train_tokens == 4000

    def test_points_and_snapshots_arrive_before_the_end_and_are_kept(self, executor: Executor):
        executor.submit(a_job())
        *events, last = events_until_end(executor)
        assert isinstance(last, Finished)
        snapshots = tuple(event.snapshot for event in events if isinstance(event, SnapshotTaken))
        assert snapshots == last.outcome.snapshots
        assert [snapshot.bpb for snapshot in snapshots] == [2.5]
        points = [event.point for event in events if isinstance(event, Reported)]
        assert points[-1].progress == 1.0
        assert last.outcome.curve[0] == points[0]

    def test_a_genome_that_fails_is_an_outcome(self, executor: Executor):
        outcome = outcome_of_job(executor, a_job(BAD))
        assert outcome.status is TrialStatus.CRASHED
        assert outcome.val_bpb is None
        assert outcome.failure is not None
        assert "fell over" in outcome.failure.message

    def test_a_stopped_job_is_stopped_early_and_frees_its_slot(self, executor: Executor):
        executor.submit(a_job(ENDLESS))
        while not any(isinstance(event, Started) for event in executor.poll(1.0)):
            pass
        executor.stop(1, "hopeless")
        last = events_until_end(executor)[-1]
        assert isinstance(last, Finished)
        assert last.outcome.status is TrialStatus.STOPPED_EARLY
        assert last.outcome.val_bpb is None
        assert last.outcome.failure is None
        assert executor.free_slots() == executor.slot_count

    def test_stopping_what_does_not_run_does_nothing(self, executor: Executor):
        executor.stop(99, "not there")
        assert executor.poll(0.0) == []

    def test_slots_are_taken_and_given_back(self, executor: Executor):
        assert executor.free_slots() == executor.slot_count == 2
        executor.submit(a_job(trial_id=1))
        assert executor.free_slots() == 1
        executor.submit(a_job(trial_id=2))
        assert executor.free_slots() == 0
        assert set(executor.progress()) == {1, 2}
        assert all(0 <= share <= 1 for share in executor.progress().values())
        events: list[Event] = []
        while executor.free_slots() < 2:
            events += executor.poll(1.0)
        assert {event.slot for event in events if isinstance(event, Started)} == {0, 1}
        assert executor.progress() == {}

    def test_an_idle_executor_has_no_news(self, executor: Executor):
        assert executor.poll(0.0) == []

    def test_the_baseline_against_itself_has_a_price(self, executor: Executor):
        calibration = executor.calibrate_baseline("cpu")
        assert calibration.baseline_seconds > 0
        assert calibration.device_class == "cpu"

    def test_closing_with_running_jobs_is_quiet_and_may_be_repeated(self, executor: Executor):
        executor.submit(a_job(ENDLESS))
        executor.close()
        executor.close()
        assert executor.free_slots() == 2
