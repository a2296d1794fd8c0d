"""The family tree's layout: where each variant stands. Pure.

Generations run from left to right. A variant hangs on its parent of the highest generation.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from population import Variant

# Childless brothers share a row once a generation holds more variants than this.
_CROWD, _MOST_ABREAST, _STEP_ABREAST = 45, 5, 0.13

_Shape = list[tuple[float, float]]  # first and last row of a subtree, one entry a generation


class Place(NamedTuple):
    """Where a variant stands: generation across, row down."""

    column: float
    row: float


def tree_layout(variants: Sequence[Variant], champion: str | None = None) -> dict[str, Place]:
    """A tidy tree: no two variants share a place, and no edge of the tree crosses another.

    Subtrees are packed row by row, so that the tree is no higher than it has to be. Every line
    goes straight on into its largest family, the champion's into the champion: the trunk. The
    childless stand next to their parent, several to a row where a generation is crowded.

    Args:
        variants: In order of creation: parents before their children.
        champion: Commit whose line is the trunk; none if None.
    """
    hangs_on = tree_parents(variants)
    trunk = frozenset(champion_line(variants, champion))
    abreast = _abreast(variants)
    children: dict[str | None, list[str]] = {}
    for sha, parent in hangs_on.items():
        children.setdefault(parent, []).append(sha)
    sizes: dict[str, int] = {}
    for sha in reversed(hangs_on):
        sizes[sha] = 1 + sum(sizes[child] for child in children.get(sha, []))
    shapes: dict[str, _Shape] = {}
    offsets: dict[str, Place] = {}  # relative to the parent
    for sha in reversed(hangs_on):
        units = _units(children.get(sha, []), sizes, trunk, abreast)
        shapes[sha] = [(0.0, 0.0), *_stack(units, shapes, offsets)]
    _stack(_units(children.get(None, []), sizes, trunk, abreast), shapes, offsets)
    places: dict[str, Place] = {}
    for variant in variants:
        parent, offset = hangs_on[variant.sha], offsets[variant.sha]
        row = offset.row + (places[parent].row if parent else 0.0)
        places[variant.sha] = Place(variant.generation + offset.column, row)
    return places


def tree_parents(variants: Sequence[Variant]) -> dict[str, str | None]:
    """The parent each variant hangs on: the one of the highest generation, the first if equal."""
    generation = {v.sha: v.generation for v in variants}
    return {
        v.sha: max(
            (p for p in v.parents if p in generation), key=lambda p: generation[p], default=None
        )
        for v in variants
    }


def champion_line(variants: Sequence[Variant], champion: str | None) -> list[str]:
    """From the champion back to the root, over the parents that the tree hangs on."""
    hangs_on, line = tree_parents(variants), []
    while champion in hangs_on:
        line.append(champion)
        champion = hangs_on[champion]
    return line


def _abreast(variants: Sequence[Variant]) -> int:
    """How many childless brothers share a row: more than one where a generation is crowded."""
    widest = max(Counter(v.generation for v in variants).values(), default=0)
    return min(_MOST_ABREAST, 1 + widest // _CROWD)


def _units(
    family: Sequence[str], sizes: Mapping[str, int], trunk: Collection[str], abreast: int
) -> list[list[str]]:
    """Brothers as rows in order of placing: the trunk or the largest, the leaves, the rest."""
    if not family:
        return []
    first = max(family, key=lambda sha: (sha in trunk, sizes[sha]))
    leaves = [sha for sha in family if sizes[sha] == 1 and sha != first]
    others = sorted(
        (sha for sha in family if sizes[sha] > 1 and sha != first), key=lambda sha: sizes[sha]
    )
    rows = [leaves[start : start + abreast] for start in range(0, len(leaves), abreast)]
    return [[first], *rows, *([sha] for sha in others)]


def _stack(
    units: Sequence[Sequence[str]], shapes: Mapping[str, _Shape], offsets: dict[str, Place]
) -> _Shape:
    """Place the first unit beside the parent, the others below and above it in turn, closely.

    Writes each brother's offset from the parent; returns the shape of them all together.
    """
    joint: _Shape = []
    for number, unit in enumerate(units):
        shape = shapes[unit[0]]
        both = list(zip(joint, shape, strict=False))
        if number % 2:
            row = max((have[1] - new[0] + 1 for have, new in both), default=0.0)
        else:
            row = min((have[0] - new[1] - 1 for have, new in both), default=0.0)
        for place, sha in enumerate(unit):
            offsets[sha] = Place(_STEP_ABREAST * place, row)
        for depth, (top, bottom) in enumerate(shape):
            if depth < len(joint):
                high, low = joint[depth]
                joint[depth] = (min(high, top + row), max(low, bottom + row))
            else:
                joint.append((top + row, bottom + row))
    return joint
