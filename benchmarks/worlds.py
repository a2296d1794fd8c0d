"""Worlds: genomes as text with a true fitness that is known, for benchmarks of the search.

A world's genome is a Python file of *parts*, ``part_017 = "a"``, one edit each: a part set to
another option. Its knobs are ordinary ones, so that the shipped operators turn them; parts of one
*block* share a line, so that two edits of one block clash in a textual merge. What a text is worth
is a function of the text alone; a measurement adds the noise of a seed, and a snapshot that of a
curve.

The mixture of effects is that of published logs of autoresearch: most edits hurt or do nothing, a
few help by about a seed's noise, some crash. Everything is drawn from the name and number of the
world, so a world is the same on every machine. Changing a number here changes every figure that was
published: worlds are frozen, and a new idea is a new world.
"""

import functools
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

SIGMA = 0.002  # bpb between two seeds of one genome: within that of autoresearch's public logs
FULL_SECONDS = 300.0  # of one whole training
SETUP_SECONDS = 45.0  # of a worker before and after it: 15 % in autoresearch's loop
CRASH_SHARE = 0.1  # of a training is over when it crashes
SNAPSHOT = 0.25  # share of the budget at which a run is read
SNAPSHOT_OFFSET = 0.08  # bpb that a baseline still has to learn from there
SEED_SHARE = 0.5  # of a seed's noise shows at the snapshot already
OPTIONS = 4  # of a part, beside the baseline's
BLOCK = 8  # parts in one block
_LETTERS = "abcde"  # what the options are called, the baseline's first

_PART = re.compile(r'^part_(\d+) = "([b-z])"$', re.MULTILINE)
_KNOB = re.compile(r"^([A-Z][A-Z0-9_]*) = (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class World:
    """Of what kind a world is.

    Attributes:
        name: In tables; part of the seed of everything.
        helpful: Share of edits that help.
        parts: Places where the code can be changed.
        gain: Mean of what a helpful edit gains, in σ; exponential.
        harm: Mean of what a harmful one loses, in σ; one in eight loses ten times that.
        crash: Share of edits that do not train.
        pair_sd: Of what each two edits do only together, in σ.
        redundant: Share of helpful edits that do what another one does: the better alone counts.
        curve_sd: Of what an edit does at a snapshot beyond what it does at the end, in σ.
        snapshot_sd: Of a snapshot's own noise, in σ.
        clashing: Share of blocks whose parts share a line.
        knob_count: Numbers to set, each with one best value.
        knob_gain: Mean of what each is worth at its best, in σ.
        cliffs: Share of the range of each knob that does not train, at its far end.
        together: True where knobs act on each other: one's best depends on others.
    """

    name: str
    helpful: float = 0.1
    parts: int = 240
    gain: float = 1.2
    harm: float = 2.5
    crash: float = 0.06
    pair_sd: float = 0.0
    redundant: float = 0.0
    curve_sd: float = 0.7
    snapshot_sd: float = 0.5
    clashing: float = 0.3
    knob_count: int = 6
    knob_gain: float = 1.0
    cliffs: float = 0.0
    together: bool = False


#: For tuning and for every table; frozen on 2026-11-29, before anything was chosen by them.
WORLDS = {
    world.name: world
    for world in (
        World("rare", helpful=0.03),
        World("plain", helpful=0.10),
        World("rich", helpful=0.30),
        World("rugged", helpful=0.10, pair_sd=0.35),
        World("rugged-rich", helpful=0.30, pair_sd=0.35),
        World("crossing", helpful=0.10, curve_sd=2.0, snapshot_sd=1.5),
        World("redundant", helpful=0.20, redundant=0.6),
        World("clashing", helpful=0.20, clashing=1.0, crash=0.15),
        World("knobs", parts=0, knob_count=14, knob_gain=2.0, cliffs=0.15, together=True),
    )
}
#: Kept for the end: nothing is chosen by them.
KEPT_WORLDS = {
    world.name: world
    for world in (
        World("kept-mixed", helpful=0.06, pair_sd=0.2, redundant=0.3, curve_sd=1.2, crash=0.1),
        World("kept-deep", helpful=0.15, gain=0.8, harm=1.5, pair_sd=0.1, knob_count=10),
    )
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One training.

    Attributes:
        bpb: Its score; None where it crashed.
        snapshot: At `SNAPSHOT` of the budget; None where it crashed.
        seconds: Of a device, set-up included, if nobody stops it.
    """

    bpb: float | None
    snapshot: float | None
    seconds: float


class Landscape:
    """One instance of a world: what is true in it.

    Args:
        world: Of which kind.
        number: Which instance.
    """

    start_bpb = 1.0

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self._seed = [number, *world.name.encode()]
        rng = np.random.default_rng([*self._seed, 1])
        shape = (world.parts, OPTIONS)
        self._effects = _effects(world, shape, rng)
        self._crashes = rng.random(shape) < world.crash
        self._curves = rng.normal(0, world.curve_sd * SIGMA, shape)
        self._twins = _twins(world, self._effects, rng)
        self._clashing = rng.random(math.ceil(world.parts / BLOCK)) < world.clashing
        self._knobs = _Knobs(world, rng)
        edits = world.parts * OPTIONS if world.pair_sd else 0
        self._pairs = world.pair_sd * SIGMA * rng.standard_normal((edits, edits))

    @functools.cached_property
    def start(self) -> str:
        """The genome that a search starts from."""
        return self.text({}, self._knobs.start)

    def text(self, options: Mapping[int, int], values: Mapping[str, float | None]) -> str:
        """The genome with these options of parts and these values of knobs."""
        lines = ['"""A world\'s genome."""', ""]
        for name, value in values.items():
            lines += [f"{name} = {value!r}", ""]
        for part in range(self.world.parts):
            block = part // BLOCK
            if part % BLOCK == 0 and self._clashing[block]:
                inside = range(part, min(part + BLOCK, self.world.parts))
                word = "".join(_LETTERS[options.get(each, 0)] for each in inside)
                lines += [f'block_{block} = "{word}"', ""]
            lines += [f'part_{part:03d} = "{_LETTERS[options.get(part, 0)]}"', ""]
        return "\n".join(lines)

    def options(self, text: str) -> dict[int, int]:
        """The parts of a text that are not the baseline's, with their options."""
        return {int(part): _LETTERS.index(letter) for part, letter in _PART.findall(text)}

    def edited(self, text: str, rng: Generator) -> str | None:
        """Another option of one part, drawn evenly; None where there are no parts."""
        if not self.world.parts:
            return None
        options = self.options(text)
        part = int(rng.integers(self.world.parts))
        others = [option for option in range(OPTIONS + 1) if option != options.get(part, 0)]
        return self.text({**options, part: int(rng.choice(others))}, values_of(text))

    def truth(self, text: str) -> float | None:
        """What a genome is worth, in bpb: what endless seeds would average; None: it crashes."""
        options = self.options(text)
        carried = [(part, option - 1) for part, option in sorted(options.items())]
        knob_loss = self._knobs.loss(values_of(text))
        if knob_loss is None or any(self._crashes[edit] for edit in carried):
            return None
        return self.start_bpb + knob_loss - self._knobs.start_loss + self._code(carried)

    def _code(self, carried: list[tuple[int, int]]) -> float:
        alone: dict[int, float] = {}
        total = 0.0
        for edit in carried:
            effect, twin = float(self._effects[edit]), int(self._twins[edit])
            if twin < 0:
                total += effect
            else:  # of those that do the same, the best counts
                alone[twin] = min(alone.get(twin, 0.0), effect)
        total += sum(alone.values())
        if self.world.pair_sd:
            edits = [part * OPTIONS + option for part, option in carried]
            total += float(np.tril(self._pairs[np.ix_(edits, edits)], -1).sum())
        return total

    def measure(self, text: str, rng_seed: int) -> Measured:
        """One training of a genome under a seed."""
        truth = self.truth(text)
        if truth is None:
            return Measured(None, None, SETUP_SECONDS + CRASH_SHARE * FULL_SECONDS)
        rng = np.random.default_rng([*self._seed, rng_seed, zlib.crc32(text.encode()), 2])
        seed_noise, own_noise, pace = rng.normal(0, 1, 3)
        final = truth + SIGMA * seed_noise
        curve = sum(
            float(self._curves[part, option - 1]) for part, option in self.options(text).items()
        )
        snapshot_noise = SEED_SHARE * seed_noise + self.world.snapshot_sd * own_noise
        snapshot = truth + SNAPSHOT_OFFSET + curve + SIGMA * snapshot_noise
        seconds = SETUP_SECONDS + FULL_SECONDS * math.exp(0.02 * pace)
        return Measured(final, snapshot, seconds)


def values_of(text: str) -> dict[str, float | None]:
    """The knobs of a world's genome; None for one that is no number."""
    return {name: _number(value) for name, value in _KNOB.findall(text)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class KnobRange:
    """Where a knob lies and what it may be: on a scale from 0 to 1 between two ends."""

    low: float
    high: float
    is_log: bool

    def share(self, value: float) -> float:
        """Where a value lies on the scale; outside of the ends it is beyond 0 and 1."""
        if self.is_log:
            return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """The value at a place of the scale, to four digits."""
        if self.is_log:
            return float(f"{self.low * (self.high / self.low) ** share:.4g}")
        return float(f"{self.low + share * (self.high - self.low):.4g}")


#: Names that tell the shipped operators the natural scale of each, as real genomes do.
KNOB_RANGES = {
    "MATRIX_LR": KnobRange(0.002, 0.2, is_log=True),
    "EMBED_LR": KnobRange(0.02, 2.0, is_log=True),
    "WEIGHT_DECAY": KnobRange(0.002, 2.0, is_log=True),
    "WARMDOWN": KnobRange(0.0, 1.0, is_log=False),
    "SOFTCAP": KnobRange(2.0, 60.0, is_log=True),
    "INIT_STD": KnobRange(0.002, 2.0, is_log=True),
    "ROPE_BASE": KnobRange(1e3, 1e6, is_log=True),
    "HEAD_LR": KnobRange(0.0004, 0.04, is_log=True),
    "SCALAR_LR": KnobRange(0.05, 5.0, is_log=True),
    "WARMUP": KnobRange(0.0, 0.6, is_log=False),
    "FINAL_LR": KnobRange(0.0, 0.5, is_log=False),
    "GATE_STD": KnobRange(0.002, 2.0, is_log=True),
    "CLIP_NORM": KnobRange(0.05, 20.0, is_log=True),
    "RESIDUAL_SCALE": KnobRange(0.1, 3.0, is_log=True),
}


class _Knobs:
    """A bowl on the natural scale of each knob, with a cliff at its far end."""

    def __init__(self, world: World, rng: Generator) -> None:
        self.names = list(KNOB_RANGES)[: world.knob_count]
        count = len(self.names)
        start = rng.uniform(0.3, 0.7, count)
        self._best = np.clip(start + rng.normal(0, 0.2, count), 0.05, 0.8)
        turn = np.eye(count)
        if world.together and count > 1:
            turn, _ = np.linalg.qr(np.eye(count) + 0.25 * rng.normal(size=(count, count)))
        # Each is worth about as much as the others: what it gains at its best is exponential.
        worth = rng.exponential(world.knob_gain * SIGMA, count)
        reach = np.maximum(np.abs(turn @ (start - self._best)), 0.05)
        self._turn, self._bend = turn, worth / reach**2
        self._cliff = 1.0 - world.cliffs if world.cliffs else math.inf
        self.start = {
            name: KNOB_RANGES[name].value(float(share))
            for name, share in zip(self.names, start, strict=True)
        }
        self.start_loss = self.loss(self.start) or 0.0

    def loss(self, values: Mapping[str, float | None]) -> float | None:
        """What the knobs cost beyond their best, in bpb; None where it does not train."""
        shares = []
        for name in self.names:
            value = values.get(name)
            if value is None:
                return None
            shares.append(KNOB_RANGES[name].share(value))
        away = np.array(shares)
        if (away > self._cliff).any() or not np.isfinite(away).all():
            return None
        squares = (self._turn @ (away - self._best)) ** 2
        return float((self._bend * squares).sum()) if len(away) else 0.0


def _effects(world: World, shape: tuple[int, int], rng: Generator) -> np.ndarray:
    kinds = rng.random(shape)
    neutral = world.helpful + 0.3 * (1 - world.helpful)
    helps = -rng.exponential(world.gain * SIGMA, shape)
    hurts = rng.exponential(world.harm * SIGMA, shape)
    hurts *= np.where(rng.random(shape) < 1 / 8, 10.0, 1.0)
    nothing = rng.normal(0, 0.1 * SIGMA, shape)
    return np.where(kinds < world.helpful, helps, np.where(kinds < neutral, nothing, hurts))


def _twins(world: World, effects: np.ndarray, rng: Generator) -> np.ndarray:
    """For each edit the group that does the same, of three on average; -1 for none."""
    twins = np.full(effects.shape, -1)
    helpful = np.argwhere(effects < -0.1 * SIGMA)
    chosen = helpful[rng.random(len(helpful)) < world.redundant]
    for part, option in chosen:
        twins[part, option] = rng.integers(max(1, len(chosen) // 3))
    return twins
