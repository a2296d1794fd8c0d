"""What merges gain against what was predicted and against the sum of their edits (pure).

An effect is a difference of bits per byte from the baseline, below 0 helps; a gain is an effect
with its sign turned.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy.stats import chi2

from benchmarks.edit_readings import Readings, Trained
from benchmarks.seed_noise import SAMPLES, Array, Estimate, has_all


@dataclass(frozen=True, slots=True)
class Sums:
    """Gains of merges on fresh seeds, one number a merge, in bits per byte.

    Attributes:
        sizes: Edits in each.
        predicted: What was expected before it trained.
        parts: Sum of what its edits gain alone, on the same seeds.
        realised: What it gains.
    """

    sizes: NDArray[np.int_]
    predicted: Array
    parts: Array
    realised: Array


def sums(readings: Readings, seeds: Sequence[int]) -> Sums:
    """All merges with these seeds."""
    plain = readings.baseline
    gains = {
        row.sha: float(np.mean([plain.finals[seed] - row.finals[seed] for seed in seeds]))
        for row in has_all([*readings.edits, *readings.merges], seeds)
    }
    merges = complete_merges(readings, seeds)
    return Sums(
        sizes=np.array([len(merge.adds) for merge in merges]),
        predicted=np.array([-merge.predicted[0] for merge in merges if merge.predicted]),
        parts=np.array([sum(gains[sha] for sha in merge.adds) for merge in merges]),
        realised=np.array([gains[merge.sha] for merge in merges]),
    )


def complete_merges(readings: Readings, seeds: Sequence[int]) -> list[Trained]:
    """Merges that have all these seeds, as have their edits."""
    known = {row.sha for row in has_all([*readings.edits, *readings.merges], seeds)}
    return [m for m in readings.merges if m.predicted and {m.sha, *m.adds} <= known]


def slope(of: Array, on: Array) -> float:
    """Least squares through the origin."""
    return float((of * on).sum() / (on**2).sum())


def resampled_sums(
    readings: Readings, seeds: Sequence[int], statistic: Callable[[Sums], float]
) -> Estimate:
    """A statistic of merges; merges and seeds are drawn again for its interval."""
    rng = default_rng(0)
    merges = complete_merges(readings, seeds)
    readings = replace(readings, merges=tuple(merges))
    whole = sums(readings, seeds)
    by_seed = [sums(readings, [seed]) for seed in seeds]
    parts = np.array([each.parts for each in by_seed])
    realised = np.array([each.realised for each in by_seed])
    found = []
    for _ in range(SAMPLES):
        rows = rng.integers(len(merges), size=len(merges))
        some = rng.integers(len(seeds), size=len(seeds))
        found.append(
            statistic(
                Sums(
                    whole.sizes[rows],
                    whole.predicted[rows],
                    parts[some].mean(axis=0)[rows],
                    realised[some].mean(axis=0)[rows],
                )
            )
        )
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(statistic(whole), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Company:
    """What edits do only together, in bits per byte: an effect, so that above 0 is a loss.

    Attributes:
        scale: Its standard deviation from merge to merge.
        mean: Its mean.
    """

    scale: Estimate
    mean: Estimate


def company(readings: Readings, seeds: Sequence[int], noise: float) -> Company:
    """Merges against the sums of their edits, all on the same fresh seeds.

    Merges share edits and the baseline, so that their errors go together: the likelihood is that of
    a normal distribution with the covariance which unshared seed noise gives such sums.

    Args:
        readings: Of merges and edits.
        seeds: Fresh ones.
        noise: Unshared noise of one run.
    """
    merges = complete_merges(readings, seeds)
    found = sums(readings, seeds)
    values = found.parts - found.realised
    edits = sorted({sha for merge in merges for sha in merge.adds})
    forms = np.zeros((len(merges), len(edits) + 1))
    for number, merge in enumerate(merges):
        for sha in merge.adds:
            forms[number, edits.index(sha)] = -1.0
        forms[number, -1] = len(merge.adds) - 1
    known = noise**2 / len(seeds) * (forms @ forms.T + np.eye(len(merges)))

    def parts_of(scale: float) -> tuple[float, float, float]:
        covariance = known + scale**2 * np.eye(len(merges))
        solved = np.linalg.solve(covariance, np.column_stack([values, np.ones(len(merges))]))
        precision = float(solved[:, 1].sum())
        mean = float(solved[:, 0].sum()) / precision
        rest = values - mean
        surprise = 0.5 * (
            np.linalg.slogdet(covariance)[1]
            + float(rest @ np.linalg.solve(covariance, rest))
            + math.log(precision)
        )
        return -float(surprise), mean, 1 / math.sqrt(precision)

    sizes = np.concatenate([[0.0], noise * np.exp(np.linspace(-3.0, 4.0, 281))])
    heights = np.array([parts_of(float(size))[0] for size in sizes])
    best = int(heights.argmax())
    likely = sizes[heights > heights[best] - float(chi2.ppf(0.95, 1)) / 2]
    _, mean, error = parts_of(float(sizes[best]))
    return Company(
        Estimate(float(sizes[best]), float(likely.min()), float(likely.max())),
        Estimate(mean, mean - 1.96 * error, mean + 1.96 * error),
    )
