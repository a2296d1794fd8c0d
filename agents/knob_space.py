"""The space that a tuner searches: knobs of a parent that may be turned, each within what trained.

A number lies on its natural scale, between the lowest and the highest value with a score: who goes
beyond meets values that do not train, and of a dozen knobs set at once one is enough. Going beyond
is the business of operators that turn one knob at a time. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.files import Place
from agents.knob_axes import Axis, axis_of
from agents.knob_moves import move_type
from agents.literals import is_off_limits
from agents.operator import Context, TriedKnobs
from population import KnobValue, frozen_knobs, knobs

MOST_OPTIONS = 8  # of a choice: those that were tried most
FARTHEST = 12.0  # usual steps from the parent: a value beyond is a mishap, not a range


@dataclass(frozen=True, slots=True)
class Line:
    """A number.

    Attributes:
        place: Which knob.
        here: The parent's value.
        axis: Its scale.
        low: Lowest position.
        high: Highest position.
    """

    place: Place
    here: KnobValue
    axis: Axis
    low: float
    high: float

    @property
    def key(self) -> str:
        """What a study calls it."""
        return ":".join(self.place)

    def coordinate(self, value: KnobValue) -> float | None:
        """The position of a value; None outside of the space."""
        position = self.axis.position(value)
        return position if position is not None and self.low <= position <= self.high else None

    def value(self, coordinate: float) -> KnobValue:
        """The value at a position; the parent's own is never rounded."""
        value = self.axis.value(coordinate)
        here = self.axis.position(self.here)
        return self.here if here is not None and value == self.axis.value(here) else value


@dataclass(frozen=True, slots=True)
class Choice:
    """A truth, or a word out of those that were tried.

    Attributes:
        place: Which knob.
        here: The parent's value.
        options: What it may be.
    """

    place: Place
    here: KnobValue
    options: tuple[KnobValue, ...]

    @property
    def key(self) -> str:
        """What a study calls it."""
        return ":".join(self.place)

    def coordinate(self, value: KnobValue) -> int | None:
        """The number of an option; None outside of the space."""
        written = [repr(option) for option in self.options]
        return written.index(repr(value)) if repr(value) in written else None

    def value(self, coordinate: float) -> KnobValue:
        """The option of a number."""
        return self.options[int(coordinate)]


Dimension = Line | Choice


def dimensions(context: Context, tried: Sequence[TriedKnobs]) -> list[Dimension]:
    """Knobs of the first parent that were tried at two values or more, and are not frozen."""
    genome = context.parents[0].genome
    scored = [one for one in tried if one.fitness is not None]
    return [
        dimension
        for path in genome.sources
        for name, here in knobs(genome.files[path]).items()
        if name not in frozen_knobs(context.manual, genome, path)
        and not (context.contract.is_script and is_off_limits(name))
        for dimension in _dimension((path, name), here, scored)
    ]


def _dimension(place: Place, here: KnobValue, scored: Sequence[TriedKnobs]) -> Iterator[Dimension]:
    """One, or none if nothing is known of the knob."""
    values = [one.values.get(place, here) for one in scored]
    axis = axis_of(place[1], here)
    if axis is not None:
        middle = axis.position(here)
        assert middle is not None
        seen = [p for v in values if (p := axis.position(v)) is not None]
        near = [middle, *(p for p in seen if abs(p - middle) <= FARTHEST)]
        if min(near) < max(near):
            yield Line(place, here, axis, min(near), max(near))
    elif move_type(place[1], here) in ("flip", "text", "pattern", "cap"):
        counts = Counter({repr(value): 0 for value in [here, *values]})
        counts.update(repr(value) for value in values)
        by_text = {repr(value): value for value in [here, *values]}
        most = [text for text, _ in counts.most_common() if text != repr(here)]
        options = (here, *(by_text[text] for text in most[: MOST_OPTIONS - 1]))
        if len(options) > 1:
            yield Choice(place, here, options)
