"""Scale: how a run's score and its gains are written and drawn for people. Pure.

A store keeps every score so that lower is better; here it becomes the metric's own value again,
under its own name and unit. A gain is positive when it is better, whatever the direction. Words
that genomes or models wrote are made fit for a figure here, too.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

from population import Assurance, Direction, Metric, Scoring
from population.assurance import weakest
from population.fitness import INTERVAL as INTERVAL  # noqa: PLC0414 - a re-export
from population.messages import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


@dataclass(frozen=True, slots=True)
class Scale:
    """The metric as axes and sentences need it.

    Attributes:
        metric: Of the run.
        how: How the scores shown were obtained and what held their trainers; "" without a score.
    """

    metric: Metric = field(default_factory=Metric)
    how: str = ""

    @classmethod
    def of(cls, metric: Metric | None, *frames: "pd.DataFrame") -> "Scale":
        """The scale of figures made from ``frames``, with the weakest assurance in them."""
        assurance = weakest(one for frame in frames for one in _assurances(frame))
        return cls(metric or Metric(), "" if assurance is None else str(assurance))

    @property
    def sign(self) -> int:
        """Factor from a score that is kept to the value that is shown."""
        return -1 if self.metric.direction is Direction.MAXIMIZE else 1

    @property
    def gain_factor(self) -> float:
        """Factor from a kept difference to the unit of gains; bits per byte go in thousandths."""
        return 1000.0 if self.metric.unit == "bpb" else 1.0

    @property
    def gain_unit(self) -> str:
        """Unit of gains: ``mbpb``, the metric's own, or its name."""
        return "mbpb" if self.metric.unit == "bpb" else self.metric.unit or self.metric.name

    @property
    def score_name(self) -> str:
        """Name and unit: ``val_bpb``, ``accuracy (%)``; the unit is said once."""
        name, unit = self.metric.name, self.metric.unit
        return f"{name} ({unit})" if unit and unit not in name else name

    @property
    def score_label(self) -> str:
        """What an axis of scores says."""
        better = "higher" if self.sign < 0 else "lower"
        return f"{self.score_name}{self._said} ({better} is better)"

    def gain_label(self, what: str = "gain over the baseline") -> str:
        """What an axis of gains says."""
        return f"{what} ({self.gain_unit}{self._said})"

    @property
    def _said(self) -> str:
        return f", {self.how}" if self.how else ""

    def score(self, mean: float, sd: float) -> str:
        """A fitness with its 95 % interval: ``1.802 ± 0.012``."""
        error = INTERVAL * sd
        digits = decimals(error)
        return f"{self.sign * mean:.{digits}f} ± {error:.{digits}f}"

    def gain(self, gain: float, sd: float) -> str:
        """A gain with its 95 % interval, in ``gain_unit``: ``+94 ± 15``."""
        error = INTERVAL * sd * self.gain_factor
        digits = decimals(error)
        return f"{gain * self.gain_factor:+.{digits}f} ± {error:.{digits}f}"

    def interval(self, gain: float | None, low: float | None, high: float | None) -> str:
        """What fresh seeds say: ``+85 mbpb (+68 to +101)``; empty without a gain."""
        if not _is_known(gain):
            return ""
        if not (_is_known(low) and _is_known(high)):
            return f"{amount(gain * self.gain_factor, '+')} {self.gain_unit}"
        digits = decimals((high - low) / 2 * self.gain_factor)
        words = [f"{value * self.gain_factor:+.{digits}f}" for value in (gain, low, high)]
        return f"{words[0]} {self.gain_unit} ({words[1]} to {words[2]})"


def _assurances(frame: "pd.DataFrame") -> "Iterator[Assurance]":
    known = frame[["scoring", "containment"]].dropna().drop_duplicates()
    for scoring, containment in known.itertuples(index=False):
        yield Assurance(Scoring(scoring), str(containment))


def amount(value: float, sign: str = "") -> str:
    """A number without an error: one decimal from 1 on, two digits below."""
    return f"{value:{sign}.1f}" if abs(value) >= 1 or value == 0 else f"{value:{sign}.2g}"


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def decimals(error: float) -> int:
    """Decimal places at which an error shows one digit, or two if the first is a 1."""
    if not (math.isfinite(error) and error > 0):
        return 4
    exponent = math.floor(math.log10(error))
    first = error / 10**exponent
    return max(0, min(6, -exponent + (1 if first < 1.95 else 0)))


def cut(text: str, limit: int) -> str:
    """Text on one line of at most ``limit`` characters, without any that a page would obey."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def drawable(text: str, limit: int = 60) -> str:
    """The same for a figure: a dollar sign begins no formula, a letter without a glyph is □."""
    known = _glyphs()
    shown = "".join(c if ord(c) in known else "□" for c in cut(text, limit))
    return shown.replace("$", r"\$")


@functools.cache
def _glyphs() -> frozenset[int]:
    """The code points of the font that figures are drawn in."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
