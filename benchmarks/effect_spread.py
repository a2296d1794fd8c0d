"""How large effects are that are known with noise, and how heavy their tails (pure)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, gamma

from benchmarks.seed_noise import Array, Estimate
from evolution.mixed_model import EFFECT_DF

FREEDOMS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0)  # tried for the effects' distribution
QUANTILES = 40  # at which the mixture behind a Student's t is summed


@dataclass(frozen=True, slots=True)
class Spread:
    """Size and tails of effects.

    Attributes:
        scale: Of a Student's t with as many degrees of freedom as the engine takes.
        df: The likeliest degrees of freedom, with the interval of their likelihood; of `FREEDOMS`.
        better: How much likelier (logarithm) the effects are under the engine's t than under a
            normal distribution of its best size.
    """

    scale: Estimate
    df: Estimate
    better: float


def spread(effects: Array, groups: Sequence[str], noise: float) -> Spread:
    """Fit effects that are known with normal noise; each group has a mean of its own.

    Likelihoods are profiled; an interval is where they fall by less than χ²'s 95 % point.
    """
    reach = float(chi2.ppf(0.95, 1)) / 2
    fits = {df: _student_fit(effects, groups, noise, df) for df in FREEDOMS}
    best = max(fits, key=lambda df: fits[df][1])
    inside = [df for df in FREEDOMS if fits[df][1] > fits[best][1] - reach]
    scale, top = _student_fit(effects, groups, noise, EFFECT_DF)
    grid = scale * np.exp(np.linspace(-1.5, 1.5, 61))
    likely = [
        s for s in grid if _student_fit(effects, groups, noise, EFFECT_DF, s)[1] > top - reach
    ]
    normal = _student_fit(effects, groups, noise, 1e6)[1]
    return Spread(
        Estimate(scale, float(min(likely)), float(max(likely))),
        Estimate(best, min(inside), max(inside)),
        top - normal,
    )


def _student_fit(
    effects: Array, groups: Sequence[str], noise: float, df: float, scale: float | None = None
) -> tuple[float, float]:
    """The likeliest scale, or the given one, and its log-likelihood; means are fitted too."""
    names = sorted(set(groups))
    members = [np.array([group == name for group in groups]) for name in names]
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    factors = gamma.ppf(shares, df / 2, scale=2 / df)

    def surprise_of_group(values: Array, mean: float, size: float) -> float:
        variances = size**2 / factors + noise**2
        squares = (values[:, None] - mean) ** 2
        densities = (np.exp(-squares / (2 * variances)) / np.sqrt(variances)).mean(axis=1)
        return -float(np.log(densities + 1e-300).sum())

    def surprise(log_size: float) -> float:
        size = math.exp(log_size)
        total = 0.0
        for member in members:
            values = effects[member]
            middle, width = float(np.median(values)), 3 * (noise + size)
            total += float(
                minimize_scalar(
                    lambda mean, values=values: surprise_of_group(values, mean, size),
                    bounds=(middle - width, middle + width),
                    method="bounded",
                    options={"xatol": 1e-2 * noise},
                ).fun
            )
        return total

    if scale is not None:
        return scale, -surprise(math.log(scale))
    start = math.log(float(np.median(np.abs(effects - np.median(effects)))) + 0.1 * noise)
    found = minimize_scalar(
        surprise, bounds=(start - 4, start + 4), method="bounded", options={"xatol": 1e-2}
    )
    return math.exp(float(found.x)), -float(found.fun)
