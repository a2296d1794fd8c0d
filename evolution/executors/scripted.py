"""ScriptedExecutor: the twin that trains nothing. A callable decides what becomes of each job.

Time is virtual: ``poll`` goes to the next thing that happens, and never waits. The same script and
the same calls give the same events.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from evolution.executors.protocol import (
    Event,
    Finished,
    Job,
    Reported,
    SnapshotTaken,
    Started,
)
from population import Calibration, Genome, Outcome, TrialStatus, canonical_hash


@dataclass(frozen=True, slots=True)
class Performance:
    """How one job goes.

    Attributes:
        outcome: What it comes to if nobody stops it. Its snapshots and curve become events at
            their share of the duration.
        duration_seconds: Virtual seconds of the training itself.
        setup_seconds: Before it begins.
    """

    outcome: Outcome
    duration_seconds: float = 1.0
    setup_seconds: float = 0.0


Script = Callable[[Job], Performance | Outcome]


@dataclass(slots=True)
class _Run:
    """A job on the stage."""

    job: Job
    slot: int
    started_at: float
    performance: Performance

    def share(self, now: float) -> float:
        """Of its duration, how much is over."""
        duration = self.performance.duration_seconds
        trained = now - self.started_at - self.performance.setup_seconds
        if trained < 0.0:
            return 0.0
        return min(1.0, trained / duration) if duration > 0 else 1.0


class ScriptedExecutor:
    """Plays jobs in virtual time.

    Args:
        script: Decides what becomes of a job; asked once, at ``submit``.
        slot_count: How many jobs may run at once.
        baseline: What ``calibrate_baseline`` names; only ``cpu`` budgets need it.
        baseline_seconds: What it says a baseline's token costs.
    """

    def __init__(
        self,
        script: Script,
        slot_count: int = 1,
        *,
        baseline: Genome | None = None,
        baseline_seconds: float = 1e-5,
    ) -> None:
        self.now = 0.0
        self.jobs: list[Job] = []
        self.yardstick_seconds: float | None = None
        self._script = script
        self._slot_count = slot_count
        self._baseline = baseline
        self._baseline_seconds = baseline_seconds
        self._running: dict[int, _Run] = {}
        self._due: list[tuple[float, int, int, Event]] = []
        self._order = 0

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return self._slot_count

    def free_slots(self) -> int:
        """How many more jobs may be submitted now."""
        return self._slot_count - len(self._running)

    def submit(self, job: Job) -> None:
        """Start a job. Call only while ``free_slots()`` is positive."""
        taken = {run.slot for run in self._running.values()}
        slot = next(index for index in range(self._slot_count) if index not in taken)
        played = self._script(job)
        performance = played if isinstance(played, Performance) else Performance(played)
        self.jobs.append(job)
        self._running[job.trial_id] = _Run(job, slot, self.now, performance)
        self._plan(job, slot, performance)

    def poll(self, timeout_seconds: float) -> list[Event]:  # noqa: ARG002 - time is virtual
        """Everything that happens at the next moment at which something does."""
        if not self._due:
            return []
        self.now = max(self.now, self._due[0][0])
        events: list[Event] = []
        while self._due and self._due[0][0] <= self.now:
            event = heapq.heappop(self._due)[-1]
            if isinstance(event, Finished):
                del self._running[event.trial_id]
            events.append(event)
        return events

    def stop(self, trial_id: int, reason: str) -> None:  # noqa: ARG002 - nobody reads it here
        """Its ``Finished`` comes next, and says ``stopped_early``."""
        run = self._running.get(trial_id)
        if run is None:
            return
        started = [item for item in self._due if isinstance(item[-1], Started)]
        self._due = [item for item in self._due if item[-1].trial_id != trial_id or item in started]
        heapq.heapify(self._due)
        self._push(self.now, Finished(trial_id, run.job.attempt, _cut_short(run, self.now)))

    def progress(self) -> Mapping[int, float]:
        """Share of the budget used, 0 to 1, for each running trial id."""
        return {trial_id: run.share(self.now) for trial_id, run in self._running.items()}

    def calibrate_baseline(self, device_class: str = "cpu") -> Calibration:
        """The price that was given for the baseline."""
        return Calibration(
            genome_hash=canonical_hash(self._baseline) if self._baseline is not None else "",
            device_class=device_class,
            cost_ratio=1.0,
            pair_count=60,
            genome_seconds=self._baseline_seconds,
            baseline_seconds=self._baseline_seconds,
        )

    def set_yardstick(self, seconds: float) -> None:
        """Kept, for a script that asks."""
        self.yardstick_seconds = seconds

    def sweep_orphans(self) -> list[int]:
        """There are none."""
        return []

    def close(self) -> None:
        """Forget what runs; no ``Finished`` follows."""
        self._running.clear()
        self._due.clear()

    def _plan(self, job: Job, slot: int, performance: Performance) -> None:
        trial, attempt, outcome = job.trial_id, job.attempt, performance.outcome
        self._push(self.now, Started(trial, attempt, slot))
        moments: list[tuple[float, Event]] = [
            *((point.progress, Reported(trial, attempt, point)) for point in outcome.curve),
            *(
                (snapshot.fraction, SnapshotTaken(trial, attempt, snapshot))
                for snapshot in outcome.snapshots
            ),
        ]
        begin = self.now + performance.setup_seconds
        for share, event in sorted(moments, key=lambda moment: moment[0]):
            self._push(begin + share * performance.duration_seconds, event)
        self._push(begin + performance.duration_seconds, Finished(trial, attempt, outcome))

    def _push(self, at: float, event: Event) -> None:
        # An end comes after everything else of its moment.
        self._order += 1
        heapq.heappush(self._due, (at, isinstance(event, Finished), self._order, event))


def _cut_short(run: _Run, now: float) -> Outcome:
    """What is left of an outcome when the job is stopped now."""
    share, planned = run.share(now), run.performance.outcome
    setup = min(run.performance.setup_seconds, now - run.started_at)
    return replace(
        planned,
        status=TrialStatus.STOPPED_EARLY,
        val_bpb=None,
        summary={},
        failure=None,
        train_seconds=planned.train_seconds * share,
        total_seconds=setup + (planned.total_seconds - run.performance.setup_seconds) * share,
        cpu_seconds=planned.cpu_seconds * share,
        train_tokens=round(planned.train_tokens * share),
        step_count=round(planned.step_count * share),
        snapshots=tuple(one for one in planned.snapshots if one.fraction <= share),
        curve=tuple(point for point in planned.curve if point.progress <= share),
    )
