"""Pace: seconds of one trial here, and how they are known."""

from typing import NamedTuple

from evolution.config import EvolutionConfig
from evolution.doctor.earlier import Earlier
from evolution.doctor.torch_probe import REFERENCE_DATE, REFERENCE_RATE, TorchProbe
from population import Budget, BudgetKind

#: Seconds of a trial beside its budget on the machine of the reference: start, calibration,
#: readings and score. From the first whole runs in docs/log.md (2026-11-23): 944 CPU-seconds for
#: about 43 trials of 9 s. A `tokens` trial of the tiny profile takes 3 s in all.
_OVERHEAD_SECONDS = {BudgetKind.CPU: 13.0, BudgetKind.WALL: 60.0, BudgetKind.TOKENS: 3.0}


class Pace(NamedTuple):
    """Seconds of one trial at home depth, and where that is known from."""

    seconds: float
    basis: str


def pace_here(
    config: EvolutionConfig, budget: Budget, probe: TorchProbe | None, earlier: Earlier | None
) -> Pace:
    """From an earlier run, else from the measured pace of a core, else from the reference."""
    if earlier is not None:
        count = len(earlier.trial_seconds)
        return Pace(earlier.median_seconds, f"median of {count} trials of run {earlier.run}")
    if config.task.is_script:
        return Pace(budget.amount, "at most: every trial to its limit")
    rate = probe.rate if probe is not None else None
    slower = REFERENCE_RATE / rate if rate else 1.0
    overhead = _OVERHEAD_SECONDS[budget.kind] * slower
    # Seconds are seconds everywhere; tokens, as all else, take longer on a slower core.
    training = 0.0 if budget.kind is BudgetKind.TOKENS else budget.amount
    if rate is None:
        return Pace(training + overhead, f"reference of {REFERENCE_DATE}, not measured here")
    basis = f"a core here has {1 / slower:.1f} × the pace of the reference of {REFERENCE_DATE}"
    return Pace(training + overhead, basis)
