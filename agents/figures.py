"""Figures for prompts: the digits that their error justifies, in the metric's own values. Pure."""

import math

from population import Fitness, Metric
from population.fitness import INTERVAL

_USUAL = Metric().unit


def shown_fitness(fitness: Fitness | None, metric: Metric | None = None) -> str:
    """A fitness with its standard deviation, as the metric's value.

    Bits per byte have three to six decimals; another metric has no usual size.
    """
    if fitness is None or fitness.mean is None:
        return "not scored yet"
    metric = metric or Metric()
    value, sd = metric.shown(fitness.mean), fitness.sd
    trials = f"{fitness.trial_count} trial" + ("" if fitness.trial_count == 1 else "s")
    if metric.unit != _USUAL and not 0 < sd < math.inf:  # a script whose repeats are all alike
        return f"{value:.8g} ({trials})"
    decimals = _decimals(sd, metric)
    return f"{value:.{decimals}f} ± {sd:.{decimals}f} (standard deviation; {trials})"


def shown_sigma(sigma: float | None, metric: Metric | None = None) -> str:
    """The noise of one trial, in words."""
    if sigma is None:
        return "not known yet"
    metric = metric or Metric()
    size = f"{sigma:.4f}" if metric.unit == _USUAL else f"{sigma:.2g}"
    return f"{with_unit(size, metric)} (standard deviation)"


def shown_gain(gain: float | None, sd: float | None, metric: Metric | None = None) -> str:
    """A gain with its 95 % interval; positive is better, whichever way the metric goes."""
    if gain is None:
        return "not known yet"
    metric = metric or Metric()
    if sd is None or not 0 < sd < math.inf:
        return f"{gain:+.4f}" if metric.unit == _USUAL else f"{gain:+.4g}"
    half = INTERVAL * sd
    decimals = _decimals(half, metric)
    return f"{gain:+.{decimals}f} ± {half:.{decimals}f}"


def with_unit(size: str, metric: Metric) -> str:
    """A number and its unit, if it has one."""
    return f"{size} {metric.unit}".strip()


def _decimals(error: float, metric: Metric) -> int:
    is_usual = metric.unit == _USUAL
    if not 0 < error < math.inf:
        return 4
    least, most = (3, 6) if is_usual else (0, 12)
    return min(most, max(least, 1 - math.floor(math.log10(error))))
