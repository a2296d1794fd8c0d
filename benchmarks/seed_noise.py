"""Scores of several genomes over the same seeds: noise, what pairs share, what a snapshot shows.

All of it works on a table of genomes by seeds (pure). σ is the scatter of one genome's scores over
its seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy.stats import chi2, f, rankdata

from benchmarks.edit_readings import Trained

Array = NDArray[np.float64]

SAMPLES = 1000  # of a bootstrap
#: A genome whose scores scatter so many times more than the middle one's tells nothing of σ.
UNRULY = 3.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self, factor: float = 1.0, digits: int = 2) -> str:
        """``1.20 (0.90 to 1.50)``."""
        value, low, high = (f"{factor * x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"

    def holds(self, value: float) -> bool:
        """True if it lies in the interval."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Grid:
    """Scores of genomes (rows) with the same seeds (columns): the whole run, and its snapshot."""

    finals: Array
    snapshots: Array

    @classmethod
    def of(cls, rows: Sequence[Trained], seeds: Sequence[int]) -> "Grid":
        """From rows that have all these seeds."""
        return cls(
            np.array([[row.finals[seed] for seed in seeds] for row in rows]),
            np.array([[row.snapshots[seed] for seed in seeds] for row in rows]),
        )

    def take(self, rows: NDArray[np.intp], seeds: NDArray[np.intp]) -> "Grid":
        """Some rows and seeds of it."""
        return Grid(self.finals[np.ix_(rows, seeds)], self.snapshots[np.ix_(rows, seeds)])

    def orderly(self) -> "Grid":
        """Rows whose scores do not scatter out of all proportion."""
        sds = self.finals.std(axis=1)
        kept = np.flatnonzero(sds <= UNRULY * np.median(sds))
        return self.take(kept, np.arange(self.finals.shape[1]))


def has_all(rows: Sequence[Trained], seeds: Sequence[int]) -> list[Trained]:
    """Rows with a score and a snapshot for each of the seeds."""
    return [row for row in rows if all(s in row.finals and s in row.snapshots for s in seeds)]


def resampled(
    grid: Grid, statistic: Callable[[Grid], float], *, by_seed: bool = True, rng_seed: int = 0
) -> Estimate:
    """A statistic with a bootstrap interval: rows are drawn again and, if asked, seeds, too.

    Rows of one seed are alike, so that drawing rows alone would make an interval too narrow.
    """
    rng = default_rng(rng_seed)
    rows, seeds = grid.finals.shape
    found = []
    while len(found) < SAMPLES:
        columns = rng.integers(seeds, size=seeds) if by_seed else np.arange(seeds)
        if len(set(columns.tolist())) > 1:
            found.append(statistic(grid.take(rng.integers(rows, size=rows), columns)))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Estimate(statistic(grid), float(low), float(high))


def _within(values: Array) -> Array:
    return values - values.mean(axis=1, keepdims=True)


def seed_noise(grid: Grid) -> Estimate:
    """σ: scatter of a genome's scores over its seeds, in bits per byte, pooled over genomes.

    What genomes share of a seed is known from few seeds, the rest from many runs: the interval has
    Satterthwaite's degrees of freedom of their sum.
    """
    rows, seeds = grid.finals.shape
    shared, rest = _of_seeds(grid.finals) / rows, unshared_noise(grid.finals) ** 2 * (1 - 1 / rows)
    freedom = (shared + rest) ** 2 / (
        shared**2 / (seeds - 1) + rest**2 / ((rows - 1) * (seeds - 1))
    )
    squares = freedom * (shared + rest)
    low, high = chi2.ppf([0.975, 0.025], freedom)
    return Estimate(*(math.sqrt(squares / over) for over in (freedom, low, high)))


def _of_seeds(values: Array) -> float:
    """Mean square between seeds, of a table of genomes by seeds."""
    rows, seeds = values.shape
    return rows * float((_within(values).mean(axis=0) ** 2).sum()) / (seeds - 1)


def unshared_noise(values: Array) -> float:
    """What is left of the scatter once what all genomes have of a seed is taken out."""
    rows, seeds = values.shape
    rest = _within(values) - _within(values).mean(axis=0)
    return math.sqrt(float((rest**2).sum()) / ((rows - 1) * (seeds - 1)))


def pair_correlation(grid: Grid) -> Estimate:
    """Correlation of two genomes' scores over seeds that they share: the intraclass correlation.

    Of a two-way layout without replication; the interval is the exact one by the F-distribution
    (Shrout and Fleiss 1979, case 2 with the genomes fixed), and rests on the number of seeds.
    """
    rows, seeds = grid.finals.shape
    ratio = _of_seeds(grid.finals) / unshared_noise(grid.finals) ** 2
    low, high = f.ppf([0.975, 0.025], seeds - 1, (seeds - 1) * (rows - 1))
    return Estimate(
        *((each - 1) / (each + rows - 1) for each in (ratio, ratio / low, ratio / high))
    )


def with_baseline(baseline: Trained, edits: Sequence[Trained], seeds: Sequence[int]) -> Array:
    """For each edit, the correlation of its scores with the baseline's over the same seeds."""
    own = [[edit.finals[seed] for seed in seeds] for edit in edits]
    plain = [baseline.finals[seed] for seed in seeds]
    return np.array([float(np.corrcoef(each, plain)[0, 1]) for each in own])


def seed_share(grid: Grid) -> float:
    """Of a run's seed noise, the part that its snapshot shows: a slope within genomes."""
    finals, snapshots = _within(grid.finals), _within(grid.snapshots)
    return float((finals * snapshots).sum() / (finals**2).sum())


def snapshot_noise(grid: Grid) -> float:
    """A snapshot's own noise beside that, in σ."""
    finals, snapshots = _within(grid.finals), _within(grid.snapshots)
    rest = snapshots - seed_share(grid) * finals
    return math.sqrt(float((rest**2).sum() / (finals**2).sum()))


def snapshot_seed_correlation(grid: Grid) -> float:
    """Correlation of snapshot and score over the seeds of one genome."""
    finals, snapshots = _within(grid.finals), _within(grid.snapshots)
    return float((finals * snapshots).sum() / math.sqrt((finals**2).sum() * (snapshots**2).sum()))


def rank_of_means(grid: Grid) -> float:
    """Spearman's correlation of snapshot and score, each the mean over the seeds of a genome."""
    means = (values.mean(axis=1, keepdims=True) for values in (grid.snapshots, grid.finals))
    return _ranked(*means)


def rank_of_runs(grid: Grid) -> float:
    """Spearman's correlation of snapshot and score of single runs: what stopping works with.

    Runs of one seed are ranked among themselves, and the seeds averaged.
    """
    return _ranked(grid.snapshots, grid.finals)


def _ranked(one: Array, other: Array) -> float:
    """Mean over the columns of two tables of the correlation of ranks."""
    ranks = [rankdata(values, axis=0) for values in (one, other)]
    ranks = [values - values.mean(axis=0) for values in ranks]
    squares = [(values**2).sum(axis=0) for values in ranks]
    products = (ranks[0] * ranks[1]).sum(axis=0)
    return float((products / np.sqrt(squares[0] * squares[1])).mean())
