"""What a training token of a genome costs, against one of the baseline: the arithmetic alone.

On a shared processor a second is no measure of work. A genome and the baseline take turns on one
core; the ratio of their fastest steps says how many tokens a ``cpu`` budget buys. Everything here
is pure and standard library only, so that the supervisor starts quickly.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SUSPECT_DEVIATION = 0.10
CPU_CAP = 1.25


@dataclass(frozen=True, slots=True)
class Step:
    """One training step as seen from outside: CPU-seconds and training tokens."""

    cpu_seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Price:
    """What was measured: CPU-seconds per token of both, and the ratio that selection uses."""

    genome_seconds: float
    baseline_seconds: float
    pair_count: int

    @property
    def cost_ratio(self) -> float:
        """Cost of a genome's token ÷ cost of a baseline's; below 1 is faster."""
        return self.genome_seconds / self.baseline_seconds


def token_seconds(steps: Sequence[Step]) -> float:
    """CPU-seconds per token: the mean of the fastest quartile, which disturbance cannot lower."""
    costs = sorted(step.cpu_seconds / step.tokens for step in steps if step.tokens > 0)
    if not costs:
        raise ValueError("no step handed out a token: at least one is needed to price it.")
    fastest = costs[: math.ceil(len(costs) / 4)]
    if not fastest[-1] > 0:
        raise ValueError("the fastest steps took no CPU time: a price must be above nothing.")
    return math.fsum(fastest) / len(fastest)


def price(genome_steps: Sequence[Step], baseline_steps: Sequence[Step]) -> Price:
    """The price of a genome's token from steps that alternated with the baseline's."""
    return Price(
        genome_seconds=token_seconds(genome_steps),
        baseline_seconds=token_seconds(baseline_steps),
        pair_count=min(len(genome_steps), len(baseline_steps)),
    )


def pooled_ratio(measurements: Iterable[tuple[float, int]]) -> float:
    """One cost ratio from several: their geometric mean, weighted by the pairs behind each.

    Args:
        measurements: ``(cost_ratio, pair_count)`` of each calibration.
    """
    known = [(ratio, pair_count) for ratio, pair_count in measurements if pair_count > 0]
    if not known:
        raise ValueError("no calibration to pool: at least one with a pair of steps is needed.")
    weight = sum(pair_count for _, pair_count in known)
    return math.exp(math.fsum(count * math.log(ratio) for ratio, count in known) / weight)


def granted_tokens(yardstick_tokens: int, cost_ratio: float) -> int:
    """Tokens that a ``cpu`` budget buys.

    Args:
        yardstick_tokens: What it buys the baseline: its seconds ÷ the price of a baseline's token
            when the run began.
        cost_ratio: What a token of this genome costs against one of the baseline.
    """
    return max(1, round(yardstick_tokens / cost_ratio))


def slowdown(seconds_now: float, seconds_then: float) -> float:
    """How much slower the machine has become for the baseline; never below 1."""
    return max(1.0, seconds_now / seconds_then)


def deviation(run_seconds: float, expected_seconds: float) -> float:
    """By what share a run's own steps cost more or less than its calibration said."""
    return abs(run_seconds / expected_seconds - 1.0)
