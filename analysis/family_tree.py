"""The family tree: where each variant stands (pure), and how it is drawn.

Generations run from left to right. A variant hangs on its parent of the highest generation; the
other parent of a crossover is shown by a second, dashed edge.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from population import Origin, Variant

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

# Beyond these, names would cover each other: only the champion's line keeps them.
_NAMED_ROWS, _NAMED_COLUMNS = 34, 11
_PATH_COLOUR, _MERGE_COLOUR, _EDGE_COLOUR, _BLANK_COLOUR = (
    "#222222",
    "#b0569b",
    "#c9ccd1",
    "#b4b8be",
)


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


def draw_family_tree(
    variants: Sequence[Variant], frame: "pd.DataFrame", *, ax: "Axes", champion: str | None = None
) -> "Axes":
    """Draw the lineage on ``ax``: colour is the gain over the baseline, the champion's line bold.

    Args:
        variants: In order of creation (``store.variants()``).
        frame: ``variants_frame`` of the same store.
        ax: Where to draw.
        champion: Commit whose line is drawn bold; none if None.
    """
    from matplotlib.ticker import MaxNLocator

    places, line = tree_layout(variants, champion), champion_line(variants, champion)
    gains = dict(zip(frame["variant"], frame["gain"] * 1000, strict=True))
    _draw_edges(ax, variants, places, line)
    _draw_variants(ax, variants, places, gains, line)
    _draw_names(ax, variants, places, line)
    ax.set_xlabel("generation")
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.margins(x=0.04, y=0.06)
    ax.invert_yaxis()
    return ax


def gain_colours(gains: Sequence[float]) -> "tuple[Colormap, Normalize]":
    """Colours of gains in mbpb: white at the baseline, green above it, red below, tails clipped."""
    import numpy as np
    import seaborn as sns
    from matplotlib.colors import TwoSlopeNorm

    known = np.asarray([g for g in gains if np.isfinite(g)])
    top = max(float(known.max(initial=0.0)), 1.0)
    # One runaway failure must not wash out everyone else's colour.
    bottom = max(-float(known.min(initial=0.0)), 1.0)
    return (
        sns.diverging_palette(12, 150, s=85, l=45, sep=12, as_cmap=True),
        TwoSlopeNorm(0.0, vmin=-min(bottom, top), vmax=top),
    )


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


def _draw_edges(
    ax: "Axes", variants: Sequence[Variant], places: Mapping[str, Place], line: Sequence[str]
) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path

    def curve(parent: str, child: str) -> Path:
        (x0, y0), (x1, y1) = places[parent], places[child]
        bend = (x1 - x0) * 0.5
        # An edge past a whole generation on one row would run through whoever stands between.
        bow = 1.2 if y0 == y1 and x1 - x0 > 1 else 0.0
        points = [(x0, y0), (x0 + bend, y0 + bow), (x1 - bend, y1 + bow), (x1, y1)]
        return Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])

    hangs_on = tree_parents(variants)
    first = [(p, v.sha) for v in variants if (p := hangs_on[v.sha])]
    second = [
        (p, v.sha) for v in variants for p in v.parents if p in places and p != hangs_on[v.sha]
    ]
    bold = [(p, sha) for p, sha in first if sha in line]
    crowd = min(1.0, 60 / max(len(variants), 1))
    for edges, colour, width, style, layer in (
        (first, _EDGE_COLOUR, 0.5 + 0.6 * crowd, "-", 1),
        (second, _MERGE_COLOUR, 0.5 + 0.5 * crowd, (0, (3, 2)), 2),
        (bold, _PATH_COLOUR, 2.0, "-", 3),
    ):
        paths = PathCollection(
            [curve(p, sha) for p, sha in edges],
            facecolors="none",
            edgecolors=colour,
            linewidths=width,
            linestyles=[style],
            alpha=0.35 + 0.4 * crowd if edges is second else 1.0,
            zorder=layer,
        )
        ax.add_collection(paths)


def _draw_variants(
    ax: "Axes",
    variants: Sequence[Variant],
    places: Mapping[str, Place],
    gains: Mapping[str, float],
    line: Sequence[str],
) -> None:
    import math

    size = max(9.0, min(60.0, 2600 / max(len(variants), 1)))
    blank = [v.sha for v in variants if not math.isfinite(gains.get(v.sha, math.nan))]
    scored = [v.sha for v in variants if math.isfinite(gains.get(v.sha, math.nan))]
    ax.scatter(
        [places[sha].column for sha in blank],
        [places[sha].row for sha in blank],
        s=size * 0.45,
        facecolors="white",
        edgecolors=_BLANK_COLOUR,
        linewidths=0.8,
        zorder=4,
    )
    palette, norm = gain_colours(list(gains.values()))
    dots = ax.scatter(
        [places[sha].column for sha in scored],
        [places[sha].row for sha in scored],
        c=[gains[sha] for sha in scored],
        s=[size * (1.9 if sha in line[:1] else 1.0) for sha in scored],
        cmap=palette,
        norm=norm,
        edgecolors=[_PATH_COLOUR if sha in line else "#8a8f96" for sha in scored],
        linewidths=[1.4 if sha in line else 0.4 for sha in scored],
        zorder=5,
    )
    if scored:
        tail = "min" if min(gains[sha] for sha in scored) < (norm.vmin or 0.0) else "neither"
        beside = ax.inset_axes((1.012, 0.32, 0.012, 0.62))
        bar = ax.get_figure(root=True).colorbar(dots, cax=beside, extend=tail)  # type: ignore[union-attr]
        bar.set_label("gain over baseline (mbpb)", size="small")
        beside.tick_params(labelsize="small", length=2)
        for spine in beside.spines.values():
            spine.set_visible(False)


def _draw_names(
    ax: "Axes", variants: Sequence[Variant], places: Mapping[str, Place], line: Sequence[str]
) -> None:
    rows = [place.row for place in places.values()]
    columns = max((place.column for place in places.values()), default=0)
    everyone = bool(rows) and max(rows) - min(rows) < _NAMED_ROWS and columns <= _NAMED_COLUMNS
    named = {v.sha for v in variants} if everyone else _spaced(line, places, columns)
    for variant in variants:
        if variant.sha not in named:
            continue
        label = "baseline" if variant.origin is Origin.BASELINE else variant.name
        on_line = variant.sha in line
        ax.annotate(
            label,
            places[variant.sha],
            xytext=(0, 6) if on_line else (0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=7.5 if on_line else 6,
            weight="bold" if on_line else "normal",
            color=_PATH_COLOUR if on_line else "#6b7078",
            zorder=6,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.6},
        )


def _spaced(line: Sequence[str], places: Mapping[str, Place], columns: float) -> set[str]:
    """As many of the champion's line, from the champion back, as have room for their names."""
    named: list[str] = []
    for sha in line:
        if not named or places[named[-1]].column - places[sha].column >= 0.11 * columns:
            named.append(sha)
    if line and line[-1] not in named:  # the baseline always, rather than who comes next
        named[-1:] = [*named[-1:], line[-1]] if len(named) == 1 else [line[-1]]
    return set(named)
