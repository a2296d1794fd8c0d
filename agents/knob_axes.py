"""The natural scale of a knob, in usual steps: where a value lies on it, and the value at a place.

Learning rates lie on a logarithm, shares on a line, decays of running means on the logarithm of
what they forget, as ``agents.knob_moves`` turns them; one is the distance of a usual turn. So
distances of different knobs can be compared, and a tuner may treat them alike. Pure.
"""

import math
from dataclasses import dataclass

from agents.knob_moves import BETA_STEP, LOG_STEP, SCALE_STEP, SHARE_STEP, move_type, significant
from population import KnobValue

#: How long a usual step is: on a line, or in natural logarithms.
_STEPS = {
    "share": SHARE_STEP,
    "count": 1.0,
    "beta": BETA_STEP,
    "rate": LOG_STEP,
    "scale": SCALE_STEP,
    "cap": math.log(2),
    "size": math.log(2),
    "power": math.log(2),
}
_DIGITS = 3  # of a number that is set
_FINEST_REST = 1e-4  # of 1 − beta
_ROUND = 8  # wide sizes are multiples of it: hardware likes round numbers


@dataclass(frozen=True, slots=True)
class Axis:
    """The scale of one knob.

    Attributes:
        kind: How the knob moves (``agents.knob_moves.move_type``).
        is_whole: True for integers.
    """

    kind: str
    is_whole: bool

    def position(self, value: KnobValue) -> float | None:
        """Where a value lies, in usual steps; None if it is no number or beyond the scale."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        match self.kind:
            case "share" | "count":
                place = float(value)
            case "beta" if value < 1:
                place = -math.log(1 - value)
            case "beta":
                return None
            case _ if value > 0:
                place = math.log(value)
            case _:
                return None
        return place / _STEPS[self.kind] if math.isfinite(place) else None

    def value(self, position: float) -> int | float:
        """The value at a position, rounded as people write it."""
        place = float(position) * _STEPS[self.kind]  # a number of numpy has no literal
        match self.kind:
            case "share":
                return round(min(1.0, max(0.0, place)), 2)
            case "count":
                return max(1, round(place))
            case "beta":
                rest = significant(math.exp(-place), 2)
                return round(1 - min(1.0, max(_FINEST_REST, rest)), 6)
            case "power":
                return int(2 ** max(0, round(position)))
            case "size":
                size = math.exp(place)
                return max(1, round(size) if size < 2 * _ROUND else _ROUND * round(size / _ROUND))
        number = significant(math.exp(place), _DIGITS)
        return max(1, round(number)) if self.is_whole else number


def axis_of(name: str, value: KnobValue) -> Axis | None:
    """The scale of a knob that is at ``value``; None if it has none there."""
    kind = move_type(name, value)
    if kind not in _STEPS:
        return None
    axis = Axis(kind, isinstance(value, int))
    return None if axis.position(value) is None else axis


def move_size(name: str, before: KnobValue, after: KnobValue) -> float | None:
    """How far a knob was moved, in usual steps on its natural scale; None if it has none."""
    axis = axis_of(name, before)
    if axis is None:
        return None
    start, end = axis.position(before), axis.position(after)
    return None if start is None or end is None else abs(end - start)
