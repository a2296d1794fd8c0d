"""Moves of single knobs on the scale that is natural to each, told from its name and value.

A small table of the field's naming conventions; a knob that matches none moves by its type alone.
Pure: values in, values out. Which knob moves, and when, is the operator's business.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from population import KnobValue

LOG_STEP = 0.4  # standard deviation of a learning rate's move, in natural logarithms
SCALE_STEP = 1.75 * LOG_STEP  # the same, of initial scales, bases, epsilons
BETA_STEP = 0.5  # the same, for 1 − beta
SHARE_STEP = 0.15
_FAR, _NEAR = 1.5, 0.67  # scales at which sizes and counts take longer or only shorter steps
_SECOND_KNOB = 0.3  # how often two knobs move at once
_DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a move may look at beside the knob itself.

    Attributes:
        knobs: All knobs of the genome.
        off_values: For knobs whose code has a branch for "off": the value that takes it.
        scales: What the usual steps are multiplied by (``agents.knob_scales``); 1 if not said.
    """

    knobs: Mapping[str, KnobValue]
    off_values: Mapping[str, KnobValue]
    scales: Mapping[str, float] = field(default_factory=dict)

    def scale(self, name: str) -> float:
        """What the usual step of a knob is multiplied by."""
        return self.scales.get(name, 1.0)


Move = Callable[[str, KnobValue, Surroundings, Generator], KnobValue]


def moved(name: str, around: Surroundings, rng: Generator) -> KnobValue:
    """Another value for knob ``name``; the old one if it cannot be moved."""
    value = around.knobs[name]
    if isinstance(value, tuple):
        return _moved_tuple(name, value, around, rng)
    return _move_of(name, value)(name, value, around, rng)


def drawn_moves(around: Surroundings, names: Sequence[str], rng: Generator) -> dict[str, KnobValue]:
    """New values for one of the knobs ``names``, or for two; empty if none can move."""
    count = 2 if rng.random() < _SECOND_KNOB else 1
    weights = [turn_weight(name, around.knobs[name]) for name in names]
    shares = [weight / sum(weights) for weight in weights]
    order = rng.choice(names, size=len(names), replace=False, p=shares).tolist()
    changes: dict[str, KnobValue] = {}
    for name in order:  # a knob that cannot move leaves its turn to the next
        value = moved(name, around, rng)
        if repr(value) != repr(around.knobs[name]):
            changes[name] = value
        if len(changes) == count:
            break
    return changes


def off_values(text: str, names: Mapping[str, KnobValue]) -> dict[str, KnobValue]:
    """For each knob that ``text`` can turn off, the value that does: None, or nought."""
    found: dict[str, KnobValue] = {}
    for name, value in names.items():
        if re.search(rf"\b{name} is (?:not )?None\b", text):
            found[name] = None
        elif re.search(rf"\bif (?:not )?{name}\b(?!\s*[-+*/%<>=!.(\[])", text):
            found[name] = 0.0 if isinstance(value, float) else 0
    return found


def divisibility_breaks(before: Mapping[str, KnobValue], after: Mapping[str, KnobValue]) -> str:
    """The first obvious divisibility that held and no longer does, in one line; "" if none."""
    for whole, part in _DIVISIBLE:
        for one in (name for name in after if whole.fullmatch(name)):
            for other in (name for name in after if part.fullmatch(name) and name != one):
                if _divides(before, one, other) and not _divides(after, one, other):
                    return f"{one} = {after[one]} is no multiple of {other} = {after[other]}"
    for name, value in after.items():
        if _HEAD_SIZE.fullmatch(name) and isinstance(value, int) and value % 2:
            return f"{name} = {value} is odd, and rotary positions pair channels"
    return ""


_HEAD_SIZE = re.compile(r".*HEAD_(?:DIM|SIZE|WIDTH)")
_DIVISIBLE = tuple(
    (re.compile(whole), re.compile(part))
    for whole, part in (
        (r"WIDTH|.*(?:MODEL|EMBD|EMBED)_?(?:DIM|WIDTH)|N_EMBD|D_MODEL|DIM", _HEAD_SIZE.pattern),
        (r"WIDTH|.*(?:MODEL|EMBD|EMBED)_?(?:DIM|WIDTH)|N_EMBD|D_MODEL|DIM", r"(?:N_|NUM_)?HEADS?"),
        (r"(?:N_|NUM_)?HEADS?", r".*KV_HEADS?"),
        (r"TOTAL_BATCH.*", r"(?:DEVICE_|MICRO_)?BATCH_SIZE"),
    )
)


def _divides(values: Mapping[str, KnobValue], whole: str, part: str) -> bool:
    one, other = values.get(whole), values.get(part)
    return isinstance(one, int) and isinstance(other, int) and other > 0 and one % other == 0


# --- moves ---------------------------------------------------------------------------------------


def _stay(_name: str, value: KnobValue, _around: Surroundings, _rng: Generator) -> KnobValue:
    return value


def _flip(_name: str, value: KnobValue, _around: Surroundings, _rng: Generator) -> KnobValue:
    return not value


def _step(rng: Generator, sd: float) -> float:
    """A normal step without its middle: too small a move is not worth a trial."""
    size = sd * (0.5 + abs(float(rng.normal(0, 0.8))))
    return size if rng.random() < 0.5 else -size


def _size(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """Sizes double and halve, or take the step between: hardware likes round numbers."""
    assert isinstance(value, int)
    scale = around.scale(name)
    steps = {value * 2, value // 2, value * 3 // 2, value * 3 // 4}
    if scale > _FAR:
        steps |= {value * 3, value * 4, value // 4}
    elif scale < _NEAR:
        steps = {value * 3 // 2, value * 3 // 4, value * 5 // 4}
    exact = {s for s in steps if s > 0 and (4 * s) % value == 0 and (s % 8 == 0 or value < 16)}
    return int(rng.choice(sorted(exact or {value * 2})))


def _power(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    assert isinstance(value, int)
    steps = [value * 2, value // 2]
    if around.scale(name) > _FAR:
        steps += [value * 4, value // 4]
    return int(rng.choice([v for v in steps if v > 0]))


def _count(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    assert isinstance(value, int)
    steps = [value - 1, value + 1]
    if around.scale(name) > _FAR:
        steps += [value - 2, value + 2]
    return int(rng.choice([v for v in steps if v > 0]))


def _rate(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    return _scaled(name, value, around, rng, step=LOG_STEP)


def _scale(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """Initial scales, bases, epsilons: insensitive, so the moves are wide."""
    return _scaled(name, value, around, rng, step=SCALE_STEP)


def _scaled(
    name: str, value: KnobValue, around: Surroundings, rng: Generator, *, step: float
) -> KnobValue:
    assert isinstance(value, int | float)
    if value == 0:  # nothing to multiply: a first, modest value
        return float(rng.choice([0.01, 0.03, 0.1]))
    factor = math.exp(_step(rng, step * around.scale(name)))
    number = significant(value * factor, 2)
    number = significant(value * factor, 3) if number == value else number
    return max(1, round(number)) if isinstance(value, int) else number


def _share(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """Shares stay within 0 and 1."""
    assert isinstance(value, int | float)
    moved_to = value + _step(rng, SHARE_STEP * around.scale(name))
    return round(min(1.0, abs(moved_to) if value == 0 else max(0.0, moved_to)), 2)


def _beta(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """Decays of running means move on the logarithm of 1 − beta."""
    assert isinstance(value, int | float)
    rest = (1 - value) * math.exp(_step(rng, BETA_STEP * around.scale(name)))
    return round(1 - min(1.0, max(1e-4, significant(rest, 2))), 6)


def _cap(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """A limit on values: scaled, or off where the code knows how to do without."""
    is_off = value is None or value == 0
    if is_off:
        return significant(float(10 ** rng.uniform(0.5, 1.7)), 2)
    assert isinstance(value, int | float)
    if name in around.off_values and rng.random() < 0.3:
        return around.off_values[name]
    power = float(rng.choice([-1, -0.5, 0.5, 1])) * around.scale(name)
    number = significant(value * 2**power, 2)
    return max(1, round(number)) if isinstance(value, int) else number


def _pattern(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    """Patterns, a letter a layer: one letter that is in use becomes another."""
    assert isinstance(value, str)
    letters = sorted(set(value) | (set("SL") if "WINDOW" in name else set()))
    depth = around.knobs.get("DEPTH")
    used = min(len(value), depth) if isinstance(depth, int) and depth > 0 else len(value)
    place = int(rng.integers(used))
    others = [letter for letter in letters if letter != value[place]]
    if not others:
        return value
    return value[:place] + str(rng.choice(others)) + value[place + 1 :]


def _text(name: str, value: KnobValue, around: Surroundings, rng: Generator) -> KnobValue:
    assert isinstance(value, str)
    if value in _DTYPES:
        return str(rng.choice([d for d in _DTYPES if d != value]))
    if 1 < len(value) <= 64 and value.isalpha() and value.isupper():
        return _pattern(name, value, around, rng)
    return value


def turn_weight(name: str, value: KnobValue) -> float:
    """How often a knob is turned, against others: sizes and counts first, then rates.

    Sizes and counts trade the quality of a step against its price, and a budget pays for both;
    rates decide what a step is worth. The rest fine-tunes.
    """
    move = _move_of(name, value)
    if move in (_size, _power, _count):
        return 4.0
    return 2.0 if move in (_rate, _cap) else 1.0


def move_type(name: str, value: KnobValue) -> str:
    """How a knob moves, as a word: knobs of one type can learn from each other."""
    return _move_of(name, value).__name__.strip("_")


_INT_TABLE: tuple[tuple[str, Move], ...] = (
    (r".*SEED.*|.*VERSION.*|VOCAB.*|.*SEQ_LEN.*|.*(?:EVERY|INTERVAL).*", _stay),
    (r"DEPTH|.*LAYERS?|N_LAYER|.*DEPTH", _count),
    (r".*(?:CAP|CLIP|LIMIT)", _cap),
    (r".*BATCH.*|.*ACCUM.*|(?:N_|NUM_)?(?:KV_)?HEADS?", _power),
    (r".*(?:WIDTH|DIM|SIZE|CHANNELS|HIDDEN|EMBD|WINDOW)", _size),
    (r".*BASE|.*THETA", _scale),
)
_FLOAT_TABLE: tuple[tuple[str, Move], ...] = (
    (r".*(?:WARM|COOL|SHARE|FRAC|FINAL|DROPOUT|_START_AT|_END_AT).*|SHORT_.*", _share),
    (r".*(?:BETA|MOMENTUM|EMA).*", _beta),
    (r".*(?:CAP|CLIP|LIMIT)", _cap),
    (r".*LR|LR_.*|.*RATE|.*DECAY.*|.*LEARNING.*|.*RATIO|.*SMOOTHING", _rate),
    (r".*(?:STD|INIT|SCALE|BASE|THETA|EPS|GAIN|TEMPERATURE).*", _scale),
)


def _move_of(name: str, value: KnobValue) -> Move:  # noqa: PLR0911 (a table by type)
    match value:
        case bool():
            return _flip
        case str():
            return _text
        case None:
            return _cap if re.fullmatch(r".*(?:CAP|CLIP|LIMIT)", name) else _stay
        case int():
            return _by_name(name, _INT_TABLE) or _generic_int(value)
        case float():
            move = _by_name(name, _FLOAT_TABLE) or _rate
            if move is _beta and not 0 <= value < 1:
                return _rate
            if move is _share and not 0 <= value <= 1:
                return _rate
            return move
    return _stay


def _by_name(name: str, table: tuple[tuple[str, Move], ...]) -> Move | None:
    return next((move for pattern, move in table if re.fullmatch(pattern, name)), None)


def _generic_int(value: int) -> Move:
    if value <= 0:
        return _stay
    return _count if value < 16 else _power if value & (value - 1) == 0 else _rate


def _moved_tuple(
    name: str, value: tuple[KnobValue, ...], around: Surroundings, rng: Generator
) -> KnobValue:
    """One element moves. Tables of constants (nested tuples) are no knobs to turn."""
    if not value or any(isinstance(element, tuple) for element in value):
        return value
    place = int(rng.integers(len(value)))
    element = _move_of(name, value[place])(name, value[place], around, rng)
    return (*value[:place], element, *value[place + 1 :])


def significant(number: float, digits: int) -> float:
    """``number`` rounded to so many significant digits."""
    return float(f"{number:.{digits - 1}e}")
