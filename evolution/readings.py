"""Readings: the numbers that trials gave, and the seed noise that repeats of them tell (pure)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

#: Shares of a metric's own size: noise before it is measured, and of a deterministic script.
GUESSED_NOISE, SMALLEST_NOISE = 0.01, 1e-6
#: So many times that size away from the baseline, a score says nothing of the noise.
DIVERGED = 1e3


@dataclass(frozen=True, slots=True)
class Reading:
    """One number read in one trial.

    Attributes:
        variant: Commit it is a reading of.
        bpb: What was read.
        trial_id: The trial.
        fraction: Of the budget: 1 is the score itself, less is a snapshot.
        device_class: Where; classes are offset.
    """

    variant: str
    bpb: float
    trial_id: int
    fraction: float = 1.0
    device_class: str = "cpu"

    @property
    def is_full(self) -> bool:
        """True for a score, False for a snapshot."""
        return self.fraction >= 1.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Seed noise of one trial: ``sigma`` in bpb, known with ``df`` degrees of freedom."""

    sigma: float
    df: float


def pooled_noise(
    groups: Iterable[Sequence[float]], *, prior_sigma: float = 0.003, prior_df: float = 3.0
) -> Noise:
    """Seed noise from repeats: the pooled variance, with a weak scaled-inverse-χ² prior.

    A group whose variance is out of all proportion (beyond the 99.9 % point, given the calmer
    groups) is left out: one diverged repeat says nothing of the noise of the others.

    Args:
        groups: Scores of repeated runs, one group a variant and device class.
        prior_sigma: What σ is expected to be, in bpb.
        prior_df: How many degrees of freedom that expectation is worth.
    """
    squares, df = prior_df * prior_sigma**2, prior_df
    repeats = [np.asarray(group, dtype=np.float64) for group in groups]
    sums = [(float(((r - r.mean()) ** 2).sum()), r.size - 1) for r in repeats if r.size > 1]
    for group_squares, group_df in sorted(sums, key=lambda pair: (pair[0] / pair[1], pair[1])):
        if group_squares > squares / df * max(float(chi2.ppf(0.999, group_df)), 11 * group_df):
            continue
        squares, df = squares + group_squares, df + group_df
    return Noise(math.sqrt(squares / df), df)


def own_noise(groups: Iterable[Sequence[float]], scores: Iterable[float], *, level: float) -> Noise:
    """Seed noise of a metric of any scale: nothing is expected of it beforehand.

    Its degrees of freedom are those of the repeats alone. Without any repeat, σ is a guess of 1 %
    of the metric's size. Repeats that agree to the last bit say that the script is deterministic:
    σ is then `SMALLEST_NOISE` of the size, so that any real difference is many σ.

    Scores of diverged runs, and groups whose variance is out of all proportion to the middle one,
    are left out.

    Args:
        groups: Scores of repeated runs, one group a variant and device class.
        scores: All scores.
        level: The baseline's score.
    """
    size = _size(level, scores)
    repeats = [
        np.array([score for score in group if abs(score - level) <= DIVERGED * size])
        for group in groups
    ]
    sums = [(float(((r - r.mean()) ** 2).sum()), r.size - 1) for r in repeats if r.size > 1]
    if not sums:
        return Noise(GUESSED_NOISE * size, 1.0)
    middle = sorted(squares / df for squares, df in sums)[(len(sums) - 1) // 2]
    limits = [middle * max(float(chi2.ppf(0.999, df)), 11 * df) for _, df in sums]
    kept = [
        pair for pair, limit in zip(sums, limits, strict=True) if not middle or pair[0] <= limit
    ]
    squares, df = (sum(values) for values in zip(*kept, strict=True))
    return Noise(max(math.sqrt(squares / df), SMALLEST_NOISE * size), float(df))


def _size(level: float, scores: Iterable[float]) -> float:
    """How large a metric's values are: the baseline's, or how far others lie from it."""
    distances = [abs(score - level) for score in scores]
    others = [distance for distance in distances if distance > 0] or [0.0]
    size = max(abs(level), float(np.median(distances)) if distances else 0.0)
    size = size or float(np.median(others))
    return size if 0 < size < math.inf else 1.0


def replicates(readings: Iterable[Reading]) -> list[list[float]]:
    """Scores by variant and device class: the groups that tell the noise."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for reading in readings:
        if reading.is_full:
            groups[reading.variant, reading.device_class].append(reading.bpb)
    return list(groups.values())
