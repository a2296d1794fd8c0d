"""Diagnostics: can what is believed of scores be trusted (pure).

Three questions. Are predictions right as often as they say? Each trial is foreseen from all that
ended before it, and set against what came. Do snapshots tell of scores? By ranks, as the rule for
early stopping asks it. And how well is the seed noise known that everything is measured in?
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr
from scipy.stats import beta, chi2, gamma, norm

from evolution.least_squares import Vector
from evolution.mixed_model import EFFECT_DF
from evolution.noise import Foresight, Posterior, SnapshotPair
from evolution.stopping import MIN_CORRELATION, rank_correlation

LEVELS = (0.5, 0.8, 0.95)
#: Kinds of readings, each with its own calibration.
SNAPSHOT, NEW, AGAIN = "snapshots", "new variants", "further runs"
#: A new edit's effect is Student's: a normal one whose precision factor is drawn. So many of these,
#: and how small and large they are taken to be: the tail of effects of 1000 times the usual size.
FACTORS, FACTOR_RANGE = 200, (1e-7, 20.0)
#: Surprises in sd beyond which probabilities are nought to rounding.
FARTHEST = 8.0


@dataclass(frozen=True, slots=True)
class Surprise:
    """One reading against what was foreseen.

    Attributes:
        trial_id: The trial.
        kind: One of the three above.
        p_below: Probability that was given to a lower reading.
    """

    trial_id: int
    kind: str
    p_below: float

    @property
    def z(self) -> float:
        """The same in standard deviations: standard normal, if all is as believed."""
        return float(np.clip(ndtri(self.p_below), -FARTHEST, FARTHEST))


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many readings lay inside intervals that were to hold the share ``level``.

    ``low`` and ``high`` are Jeffreys' 95 % interval of the share.
    """

    level: float
    inside: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Readings of one kind.

    Attributes:
        kind: Which.
        count: How many.
        mean: Of their surprises in sd; 0 if all is as believed. Above it, worse than foreseen.
        spread: Their standard deviation; 1 if all is as believed.
        coverage: By level.
    """

    kind: str
    count: int
    mean: float
    spread: float
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Of snapshots and scores, one point a variant, with a 95 % interval.

    Attributes:
        value: The correlation; so are the next two.
        low: Lower end.
        high: Upper end.
        count: Variants that count for as much: fewer than there are where some weigh more.
    """

    value: float
    low: float
    high: float
    count: float


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """σ in the unit that scores are kept in, its degrees of freedom and 95 % interval."""

    sigma: float
    df: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to be known before predictions of a run are trusted.

    Attributes:
        noise: Seed noise.
        calibrations: By kind; those without a reading are left out.
        raw: Rank correlation of snapshots and scores as they are; None with too few.
        ranks: The same where each run that was to be stopped and ran on stands for all that were
            stopped like it: the figure to go by.
        advice: What to change, for people; "" if nothing.
    """

    noise: SeedNoise
    calibrations: tuple[Calibration, ...]
    raw: RankCorrelation | None
    ranks: RankCorrelation | None
    advice: str


def diagnosed(
    posterior: Posterior, surprises: Sequence[Surprise], weights: Mapping[int, float]
) -> Diagnosis:
    """What a run's posterior and the surprises on the way to it say.

    Args:
        posterior: Of all trials.
        surprises: Of trials, each foreseen from those before it.
        weights: By trial, for the rank correlation; 1 where none is given.
    """
    pairs = posterior.snapshot_pairs
    ranks = ranks_of(pairs, weights)
    kinds = (calibration(kind, surprises) for kind in (NEW, AGAIN, SNAPSHOT))
    return Diagnosis(
        noise=seed_noise(posterior.sigma, posterior.sigma_df),
        calibrations=tuple(kind for kind in kinds if kind.count),
        raw=ranks_of(pairs, {}),
        ranks=ranks,
        advice=advice(ranks),
    )


def advice(ranks: RankCorrelation | None) -> str:
    """What a rank correlation of snapshots and scores asks for."""
    if ranks is None or ranks.value >= MIN_CORRELATION:
        return ""
    sure = "" if ranks.high < MIN_CORRELATION else "; it is not sure yet that they do"
    return (
        f"snapshots and scores agree too little (rank correlation {ranks.value:.2f}, "
        f"{MIN_CORRELATION:g} is needed){sure}. Nothing is stopped early meanwhile: move the "
        "snapshot later (stopping.fraction) or turn it off (stopping.enabled)"
    )


def seed_noise(sigma: float, df: float) -> SeedNoise:
    """σ with its interval: a scaled χ² of its degrees of freedom."""
    low, high = (sigma * math.sqrt(df / float(chi2.ppf(p, df))) for p in (0.975, 0.025))
    return SeedNoise(sigma, df, low, high)


def ranks_of(pairs: Sequence[SnapshotPair], weights: Mapping[int, float]) -> RankCorrelation | None:
    """Weighted rank correlation with its interval (Bonett and Wright 2000); None with too few."""
    value = rank_correlation(pairs, weights)
    if value is None:
        return None
    by_variant: dict[str, float] = {}
    for pair in pairs:
        weight = weights.get(pair.trial_id, 1.0)
        by_variant[pair.variant] = max(weight, by_variant.get(pair.variant, 0.0))
    total = sum(by_variant.values())
    count = total**2 / sum(weight**2 for weight in by_variant.values())  # as Kish counts
    if count <= 4 or abs(value) >= 1:
        return RankCorrelation(value, -1.0 if count <= 4 else value, 1.0, count)
    reach = float(norm.isf(0.025)) * math.sqrt((1 + value**2 / 2) / (count - 3))
    low, high = (math.tanh(math.atanh(value) + side * reach) for side in (-1, 1))
    return RankCorrelation(value, low, high, count)


def calibration(kind: str, surprises: Iterable[Surprise]) -> Calibration:
    """Of the surprises of one kind."""
    some = [surprise for surprise in surprises if surprise.kind == kind]
    sizes = np.array([surprise.z for surprise in some])
    coverage = []
    for level in LEVELS:
        inside = sum(abs(surprise.p_below - 0.5) <= level / 2 for surprise in some)
        coverage.append(Coverage(level, inside, *jeffreys(inside, len(some))))
    mean = float(sizes.mean()) if some else 0.0
    spread = float(np.sqrt((sizes**2).mean() - mean**2)) if some else 0.0
    return Calibration(kind, len(some), mean, spread, tuple(coverage))


def jeffreys(count: int, total: int) -> tuple[float, float]:
    """Jeffreys' 95 % interval of a share; an end at 0 or 1 where nothing or everything counts."""
    low, high = (float(beta.ppf(p, count + 0.5, total - count + 0.5)) for p in (0.025, 0.975))
    return (0.0 if count == 0 else low), (1.0 if count == total else high)


def surprises_of(foresight: Foresight) -> list[Surprise]:
    """How far off the readings of one trial were: its snapshot, then its score given that.

    Which runs have a score is decided at their snapshots, so that scores alone would be a choice
    of the better ones. The effect of an edit that nothing told of before is Student's: a mixture of
    normal ones, of which the snapshot makes some likelier.
    """
    factors = np.geomspace(*FACTOR_RANGE, FACTORS)
    weights = factors * gamma.pdf(factors, EFFECT_DF / 2, scale=2 / EFFECT_DF)
    weights, found = weights / weights.sum(), []
    order = sorted(range(len(foresight.readings)), key=lambda i: foresight.readings[i].is_full)
    for number, place in enumerate(order):
        reading, earlier = foresight.readings[place], order[:number]
        means, variances = _given(foresight, place, earlier, factors)
        errors = (foresight.surprises[place] - means) / np.sqrt(variances)
        p_below = float(weights @ stdtr(foresight.df, errors))
        kind = (NEW if foresight.is_new else AGAIN) if reading.is_full else SNAPSHOT
        found.append(Surprise(reading.trial_id, kind, p_below))
        logs = -0.5 * (errors**2 + np.log(variances))
        weights = weights * np.exp(logs - logs.max())
        weights /= weights.sum()
    return found


def _given(
    foresight: Foresight, place: int, earlier: Sequence[int], factors: Vector
) -> tuple[Vector, Vector]:
    """Mean and variance of one reading beyond what was expected, given others, by factor."""
    covariances = foresight.known + foresight.untold / factors[:, None, None]
    means, variances = np.zeros(factors.size), covariances[:, place, place]
    if earlier:
        (other,) = earlier  # a trial has a snapshot and a score
        across, own = covariances[:, other, place], covariances[:, other, other]
        means = across / own * foresight.surprises[other]
        variances = variances - across**2 / own
    return means, variances
