"""Jobs: what a worker is told of a trial — genome, conditions, and what its budget buys.

Owns the yardstick of `cpu` budgets (ADR 1). Knows nothing of why a trial is run.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from evolution.confirmation import fresh_calibrations
from evolution.events import EventLog
from evolution.executors.protocol import Job
from population import (
    Budget,
    BudgetKind,
    Calibration,
    Genome,
    ManualLimits,
    Purpose,
    Store,
    Trial,
    Variant,
)

#: The store's fact that holds the yardstick.
YARDSTICK = "yardstick"
#: Two measurements of 2 % each leave 1.4 %: less than what one seed does to a score.
ENOUGH_CALIBRATIONS = 2


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a ``cpu`` budget buys the baseline on this machine; measured once, then the run's.

    Attributes:
        seconds_per_token: CPU-seconds of the baseline, fastest quartile of its steps.
        tokens: What the budget buys at that price.
    """

    seconds_per_token: float
    tokens: int


class Jobs:
    """Turns trials into jobs.

    Args:
        measure_baseline: Measures the baseline's price; only asked for ``cpu`` budgets.
    """

    def __init__(
        self,
        *,
        store: Store,
        events: EventLog,
        baseline: Variant,
        budget: Budget,
        measure_baseline: Callable[[], Calibration],
    ) -> None:
        self._store = store
        self._events = events
        self._baseline = baseline
        self._budget = budget
        self._measure_baseline = measure_baseline

    def job(
        self, trial: Trial, variant: Variant, genome: Genome, limits: ManualLimits | None = None
    ) -> Job:
        """The job of a trial's present attempt, within the manual's ``limits``.

        What bears a claim out is no news to the search, and may go deeper than home: it keeps no
        limits.
        """
        job = Job(
            trial_id=trial.id,
            attempt=trial.attempt,
            label=variant.name,
            genome=genome,
            conditions=trial.conditions,
            is_confirmation=trial.purpose is Purpose.VERDICT,
        )
        if limits is not None and trial.purpose.informs:
            job = dataclasses.replace(job, limits=limits)
        if trial.conditions.budget.kind is not BudgetKind.CPU:
            return job
        if variant.sha == self._baseline.sha:  # its cost is the unit
            return dataclasses.replace(job, token_budget=self.yardstick().tokens)
        if not trial.purpose.informs:
            known = fresh_calibrations(self._store, trial)
        else:
            device_class = trial.conditions.device_class
            known = tuple(self._store.calibrations(variant.genome_hash, device_class))
        # Measurements are pooled: their error is a bias that further seeds do not average out.
        wanted = len(known) < ENOUGH_CALIBRATIONS
        return dataclasses.replace(job, calibrate=wanted, known_calibrations=known)

    def yardstick(self) -> Yardstick:
        """The run's yardstick; measured at the first call of the run's life."""
        fact = self._store.fact(YARDSTICK)
        if isinstance(fact, dict):
            return Yardstick(float(fact["seconds_per_token"]), int(fact["tokens"]))
        seconds = self._measure_baseline().baseline_seconds
        yardstick = Yardstick(seconds, max(1, round(self._budget.amount / seconds)))
        self._store.set_fact(YARDSTICK, dataclasses.asdict(yardstick))
        self._events.append("yardstick", dataclasses.asdict(yardstick))
        return yardstick

    def lease_seconds(self) -> float:
        """How long a running trial is believed to live; far beyond any deadline of its own."""
        if self._budget.kind is BudgetKind.TOKENS:
            return 3600.0
        return 600.0 + 20.0 * self._budget.amount
