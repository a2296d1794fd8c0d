"""Trials on this machine: one supervisor process per slot. Nothing a trainer does raises here.

A ``cpu`` budget becomes tokens: by a calibration made for the job (``Job.calibrate``), by earlier
ones (``known_calibrations``), or by both, pooled as their geometric mean weighted by pair count.
"""

import selectors
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evolution.executors.attempt import Attempt
from evolution.executors.orphans import sweep_orphans
from evolution.executors.outcomes import harness_failure
from evolution.executors.protocol import Event, Finished, Job, Reported, Started
from evolution.executors.site import Limits, Slot, TrialSite, memory_mb
from evolution.sandbox.spec import Spec
from population import Budget, BudgetKind, Calibration, Conditions, EvolveError


class YardstickError(EvolveError):
    """The baseline could not be measured, so no ``cpu`` budget can be granted."""

    exit_code = 1


class LocalExecutor:
    """Runs jobs on the slots of this machine.

    Args:
        site: What every trial of the run needs.
        slots: Where trainers run; ``cpu_slots()`` or ``gpu_slots(...)``.
        limits: When trials are ended.
        yardstick_seconds: CPU-seconds per token of the baseline when the run began
            (``calibrate_baseline``); what ``cpu`` budgets are counted in.
    """

    def __init__(
        self,
        site: TrialSite,
        slots: Sequence[Slot],
        *,
        limits: Limits | None = None,
        yardstick_seconds: float | None = None,
    ) -> None:
        self._site = site
        self._slots = tuple(slots)
        self._limits = limits or Limits()
        self._yardstick_seconds = yardstick_seconds
        self._running: dict[int, Attempt] = {}
        self._events: list[Event] = []
        self._selector = selectors.DefaultSelector()

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return len(self._slots)

    def free_slots(self) -> int:
        """How many more jobs may be submitted now."""
        return self.slot_count - len(self._running)

    def set_yardstick(self, seconds: float) -> None:
        """CPU-seconds per token of the baseline: what the run's ``cpu`` budgets are counted in."""
        self._yardstick_seconds = seconds

    def submit(self, job: Job) -> None:
        """Start a job. Call only while ``free_slots()`` is positive."""
        taken = {attempt.slot for attempt in self._running.values()}
        slot = min(set(range(self.slot_count)) - taken)
        try:
            attempt = Attempt(self._site, job, slot, self._spec(job, slot, self._limits))
        except OSError as error:  # a full disk, no more processes: not the genome's doing
            outcome = harness_failure(f"the trial could not be started: {error}")
            self._events.append(Started(job.trial_id, job.attempt, slot))
            self._events.append(Finished(job.trial_id, job.attempt, outcome))
            return
        self._running[job.trial_id] = attempt
        self._selector.register(attempt, selectors.EVENT_READ)
        self._events.append(Started(job.trial_id, job.attempt, slot, attempt.pid))

    def poll(self, timeout_seconds: float) -> list[Event]:
        """What has happened since the last call; waits at most ``timeout_seconds`` for news.

        Points of curves are no news that anyone waits for: they come along with the next.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            has_news = any(not isinstance(event, Reported) for event in self._events)
            left = 0.0 if has_news else max(0.0, deadline - time.monotonic())
            for key, _ in self._selector.select(min([left, *self._patience()])):
                assert isinstance(key.fileobj, Attempt)
                self._read(key.fileobj)
            for attempt in self._running.values():
                attempt.enforce_stop()
            has_news = any(not isinstance(event, Reported) for event in self._events)
            if has_news or time.monotonic() >= deadline:
                events, self._events = self._events, []
                return events

    def stop(self, trial_id: int, reason: str) -> None:
        """Kill a running job's tree; its ``Finished`` says ``stopped_early``.

        A score that was handed in before counts: the job is then complete.
        """
        if trial_id in self._running:
            self._running[trial_id].stop(reason)

    def progress(self) -> Mapping[int, float]:
        """Share of the budget used, 0 to 1, for each running trial id."""
        return {trial_id: attempt.progress for trial_id, attempt in self._running.items()}

    def calibrate_baseline(self, device_class: str = "cpu", *, pair_count: int = 40) -> Calibration:
        """Measure the baseline against itself; blocks some seconds. For ``set_yardstick``.

        Raises:
            YardstickError: It does not train.
        """
        conditions = Conditions(Budget(BudgetKind.CPU, 60.0), rng_seed=0, device_class=device_class)
        job = Job(0, 0, "baseline", self._site.baseline, conditions, calibrate=True)
        spec = self._spec(job, 0, replace(self._limits, pair_count=pair_count))
        attempt = Attempt(self._site, job, 0, replace(spec, measure_only=True))
        try:
            while attempt.read() is not None:
                pass
        finally:
            attempt.abandon()
            failure = attempt.end().failure
        calibration = attempt.calibration()
        if calibration is None:
            reason = failure.message if failure is not None else "it gave no price"
            raise YardstickError(
                f"The baseline could not be measured: {reason}. A cpu budget is counted in its "
                "training steps, so it must train. Run its train.py alone, see what it prints, and "
                "correct it."
            )
        return calibration

    def sweep_orphans(self) -> list[int]:
        """Kill what an earlier engine of this run left behind; the process ids."""
        spare = [attempt.pid for attempt in self._running.values()]
        return sweep_orphans(self._site.run_id, spare=spare)

    def close(self) -> None:
        """Kill everything that still runs, and release what is held. No ``Finished`` follows."""
        for attempt in self._running.values():  # all first: they end side by side
            attempt.abandon()
        for attempt in self._running.values():
            attempt.end()
        self._running.clear()
        self._selector.close()

    def _spec(self, job: Job, slot: int, limits: Limits) -> Spec:
        spec = self._site.spec(self._slots[slot], limits, job, self._yardstick_seconds)
        return replace(spec, memory_mb=memory_mb(limits, self.slot_count))

    def _read(self, attempt: Attempt) -> None:
        events = attempt.read()
        if events is not None:
            self._events += events
            return
        job = attempt.job
        self._selector.unregister(attempt)
        del self._running[job.trial_id]
        self._events.append(Finished(job.trial_id, job.attempt, attempt.end()))

    def _patience(self) -> list[float]:
        waits = (attempt.seconds_to_kill() for attempt in self._running.values())
        return [seconds for seconds in waits if seconds is not None]
