"""Edits of several knobs at once, so that what one costs another gives back: shape and batch.

A knob alone that is turned far leaves its neighbours where they were tuned for the old value:
half the layers with the width as it was is a smaller model, and half the batch with the same
rates a noisier one. Knobs are told by the names that the field gives them.
"""

import math
import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.syntax import calls, code, dotted, nodes, number, sole

_DEPTHS = re.compile(r"DEPTH|N_?LAYERS?|NUM_LAYERS|LAYERS")
_WIDTHS = re.compile(r"WIDTH|(?:N_|D_)?(?:EMBD|EMBED|MODEL)(?:_DIM|_WIDTH)?|D_MODEL|DIM|CHANNELS")
_HEAD_SIZES = re.compile(r".*HEAD_(?:DIM|SIZE|WIDTH)")
_HEAD_COUNTS = re.compile(r"(?:N_|NUM_)?HEADS?")
_RATIOS = re.compile(r"(?:MLP|FFN?|HIDDEN|EXPANSION)_?(?:RATIO|MULT|FACTOR)|EXPANSION|MLP_RATIO")
_BATCHES = re.compile(r"(?:DEVICE_|MICRO_|TRAIN_)?BATCH(?:_SIZE)?")
_ACCUMULATIONS = re.compile(r".*ACCUM.*")
_RATES = re.compile(
    r"(?!.*(?:FINAL|MIN|END|WARM|DECAY|RATIO|SCALE))(?:.*_)?(?:LR|LEARNING_RATE)(?:_\w+)?"
)
_MEMORIES = re.compile(r".*(?:BETA|MOMENTUM)\w*")

#: Attention kernels of GPUs want at least 16 channels a head.
_LARGEST_HEAD, _SMALLEST_HEAD = 128, 16

Knob = tuple[str, cst.BaseExpression, float]


def _numbers(module: cst.Module) -> list[Knob]:
    """Knobs with a positive number: name, literal and value."""
    found: list[Knob] = []
    for line in module.body:
        match sole(line):
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=literal):
                value = number(literal)
                if name.isupper() and value is not None and value > 0:
                    found.append((name, literal, value))
    return found


def _named(knobs: list[Knob], names: re.Pattern[str], *, is_whole: bool = True) -> list[Knob]:
    return [
        knob
        for knob in knobs
        if names.fullmatch(knob[0]) and (not is_whole or isinstance(knob[1], cst.Integer))
    ]


def _change(why: str, turned: list[tuple[Knob, float]]) -> Change:
    told, replaced = [], []
    for (name, literal, old), new in turned:
        text = f"{int(new)}" if isinstance(literal, cst.Integer) and new == int(new) else f"{new!r}"
        told.append(f"{name} {old:g} → {text}")
        replaced.append((literal, cst.parse_expression(text)))
    return Change(f"{why}: {', '.join(told)}", replaced)


# --- shape ---------------------------------------------------------------------------------------


def _find_depths(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """More layers and narrower, fewer and wider: depth × width² stays within a quarter."""
    knobs = _numbers(module)
    for depth in _named(knobs, _DEPTHS)[:1]:
        for width in _named(knobs, _WIDTHS)[:1]:
            old = int(depth[2])
            for new in sorted({old - 1, old + 1, old // 2, old * 2} - {0, old}):
                wide = width[2] * math.sqrt(old / new)
                found = _whole_heads(knobs, width, wide, (0.8 * wide, 1.12 * wide))
                if found is not None:
                    which = "more layers, narrower" if new > old else "fewer layers, wider"
                    yield _change(which, [(depth, new), *found])


def _find_ratios(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Width against the hidden layer's multiple of it: (4 + 2 × ratio) × width² stays."""
    knobs = _numbers(module)
    for ratio in _named(knobs, _RATIOS, is_whole=False)[:1]:
        for width in _named(knobs, _WIDTHS)[:1]:
            factor = float(rng.choice([0.5, 0.75, 1.5, 2.0]))
            new = max(1.0, ratio[2] * factor)
            wide = width[2] * math.sqrt((2 + ratio[2]) / (2 + new))
            found = _whole_heads(knobs, width, wide, (0.85 * wide, 1.12 * wide))
            if found is not None and new != ratio[2]:
                yield _change("width against hidden channels", [(ratio, new), *found])


def _find_heads(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """More and smaller heads, or fewer and larger, where both or either are knobs."""
    knobs = _numbers(module)
    width = next(iter(_named(knobs, _WIDTHS)), None)
    if width is None:
        return
    for size in _named(knobs, _HEAD_SIZES)[:1]:
        counts = _named(knobs, _HEAD_COUNTS)[:1]
        for factor in (0.5, 2.0):
            new = size[2] * factor
            others = [(count, count[2] / factor) for count in counts]
            if _is_head(new, width[2]) and all(n == int(n) >= 1 for _, n in others):
                yield _change("heads against their size", [(size, new), *others])
    for count in _named(knobs, _HEAD_COUNTS)[:1] if not _named(knobs, _HEAD_SIZES) else ():
        for factor in (0.5, 2.0):
            new = count[2] * factor
            if new == int(new) >= 1 and _is_head(width[2] / new, width[2]):
                yield _change("heads against their size", [(count, new)])


def _is_head(size: float, width: float) -> bool:
    is_even = size == int(size) and size % 2 == 0
    return is_even and width % size == 0 and _SMALLEST_HEAD <= size <= _LARGEST_HEAD


def _whole_heads(
    knobs: list[Knob], width: Knob, wanted: float, within: tuple[float, float]
) -> list[tuple[Knob, float]] | None:
    """The width nearest to ``wanted`` that is cut into whole heads, and the heads; None if none."""
    sizes, counts = _named(knobs, _HEAD_SIZES)[:1], _named(knobs, _HEAD_COUNTS)[:1]
    low, high = (math.ceil(within[0] / 8) * 8, math.floor(within[1] / 8) * 8)
    options = sorted(range(low, high + 1, 8), key=lambda w: abs(w - wanted))
    for new in options:
        if new == width[2] or new <= 0:
            continue
        if counts and _is_head(new / counts[0][2], new):
            resized = [(size, new / counts[0][2]) for size in sizes]
            return [(width, new), *resized]
        if sizes and not counts:
            heads = max(1, int(width[2] // sizes[0][2]))
            if _is_head(sizes[0][2], new):
                return [(width, new)]
            if _is_head(new / heads, new):
                return [(width, new), (sizes[0], new / heads)]
        if not sizes and not counts:
            return [(width, new)]
    return None


# --- batch ---------------------------------------------------------------------------------------


def _find_batches(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Half or double the batch, and rates that go with a power of it."""
    knobs = _numbers(module)
    rates = _named(knobs, _RATES, is_whole=False)
    for batch in _named(knobs, _BATCHES)[:1] if rates else ():
        power = float(rng.choice([0.25, 0.5, 0.75, 1.0]))
        for factor in _factors(batch):
            turned = [(rate, float(f"{rate[2] * factor**power:.3g}")) for rate in rates]
            why = f"batch × {factor:g}, rates × its power {power:g}"
            yield _change(why, [(batch, batch[2] * factor), *turned])


def _find_memories(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Half or double the batch, and running means that forget as fast as before, in tokens."""
    knobs = _numbers(module)
    means = [k for k in _named(knobs, _MEMORIES, is_whole=False) if 0.5 <= k[2] < 1]
    for batch in _named(knobs, _BATCHES)[:1] if means else ():
        for factor in _factors(batch):
            turned = [(mean, round(1 - min(0.5, (1 - mean[2]) * factor), 6)) for mean in means]
            why = f"batch × {factor:g}, memories as long in tokens"
            yield _change(why, [(batch, batch[2] * factor), *turned])


def _find_accumulations(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """The same sequences to a step in more and smaller passes, or fewer and larger."""
    knobs = _numbers(module)
    for batch in _named(knobs, _BATCHES)[:1]:
        for passes in _named(knobs, _ACCUMULATIONS)[:1]:
            for factor in _factors(batch):
                if passes[2] % factor == 0 and passes[2] >= factor:
                    turned = [(batch, batch[2] * factor), (passes, passes[2] / factor)]
                    yield _change("as many sequences a step in other passes", turned)


def _factors(batch: Knob) -> list[float]:
    return [2.0] if batch[2] < 2 or batch[2] % 2 else [0.5, 2.0]


def _find_growth(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Twice the passes to a step once a share of the budget is used."""
    progress = _progress(module)
    for place in places(module):
        function, passes = place.function, _passes(place)
        if function is None or passes is None or progress is None:
            continue
        if "backward" not in calls(place.node) or f"{progress}(" in code(function):
            continue
        share = float(rng.choice([0.25, 0.5, 0.75]))
        line = cst.parse_statement(f"passes = {passes} * (1 if {progress}() < {share} else 2)")
        first = next(x for x in function.body.body if not _is_docstring(x))
        names = [n for n in nodes(function) if dotted(n) == passes and isinstance(n, cst.Name)]
        inside = {id(n) for n in nodes(first)}
        if not isinstance(first, cst.BaseStatement) or any(id(n) in inside for n in names):
            continue
        replaced = [(first, cst.FlattenSentinel([line, first]))]
        yield Change(
            f"twice the passes a step from {share} of the budget on",
            [*replaced, *((name, cst.Name("passes")) for name in names)],
        )


def _passes(place: Place) -> str | None:
    """``PASSES`` of ``for _ in range(PASSES):`` in a function of its own."""
    match place.node:
        case cst.For(
            iter=cst.Call(func=cst.Name(value="range"), args=[cst.Arg(value=cst.Name(value=name))])
        ) if name.isupper() and place.owner is None:
            return name
    return None


def _progress(module: cst.Module) -> str | None:
    """How the module calls the ruler's clock; None if it imports it under no name."""
    heads = [code(line) for line in module.body if "prepare" in code(line)[:80]]
    if any(re.fullmatch(r"import prepare", head) for head in heads):
        return "prepare.progress"
    is_named = any(re.fullmatch(r"from prepare import .*\bprogress\b.*", head) for head in heads)
    return "progress" if is_named else None


def _is_docstring(line: cst.CSTNode) -> bool:
    match sole(line):
        case cst.Expr(value=cst.BaseString()):
            return True
    return False


EDITS = (
    Edit(
        "trade_depth",
        "the same parameters, in deeper or wider layers",
        _find_depths,
        Kind.SHAPE,
        weight=1.5,
    ),
    Edit(
        "trade_ratio", "the same parameters, in width or hidden channels", _find_ratios, Kind.SHAPE
    ),
    Edit("trade_heads", "more views, or richer ones", _find_heads, Kind.SHAPE, weight=0.7),
    Edit(
        "trade_batch_rates",
        "more steps of less certain gradients, or fewer of surer ones",
        _find_batches,
        Kind.BATCH,
    ),
    Edit(
        "trade_batch_memory",
        "another batch, and means over as many tokens",
        _find_memories,
        Kind.BATCH,
    ),
    Edit(
        "trade_passes",
        "small passes stay in the cache, large ones fill the machine",
        _find_accumulations,
        Kind.BATCH,
        weight=0.5,
    ),
    Edit(
        "grow_batch",
        "early steps need few tokens to be right, late ones many",
        _find_growth,
        Kind.BATCH,
    ),
)
