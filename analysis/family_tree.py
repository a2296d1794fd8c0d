"""The family tree as it is drawn: colour for fitness, shape for origin, merges with two edges.

The other parent of a crossover, on which it does not hang, is shown by a second, dashed edge.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.scale import Scale, drawable
from analysis.tree_places import Place, champion_line, tree_layout, tree_parents
from population import Metric, Origin, Variant

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize

# Beyond these, names would cover each other: only the champion's line keeps them.
_NAMED_ROWS, _NAMED_COLUMNS = 34, 11
_PATH_COLOUR, _MERGE_COLOUR, _EDGE_COLOUR, _BLANK_COLOUR = (
    "#222222",
    "#cc78bc",
    "#c9ccd1",
    "#b4b8be",
)
_SHAPES = {
    Origin.BASELINE: ("s", "baseline"),
    Origin.SEED: ("P", "seed"),
    Origin.MUTATION: ("o", "mutation"),
    Origin.CROSSOVER: ("D", "crossover"),
}


def draw_family_tree(
    variants: Sequence[Variant],
    frame: "pd.DataFrame",
    *,
    ax: "Axes",
    champion: str | None = None,
    metric: Metric | None = None,
) -> "Axes":
    """Draw the lineage on ``ax``: colour is the gain over the baseline, shape is the origin.

    The champion's line is bold; a crossover's other parent is joined by a dashed line; what has
    no score is a small empty mark.

    Args:
        variants: In order of creation (``store.variants()``).
        frame: ``variants_frame`` of the same store.
        ax: Where to draw.
        champion: Commit whose line is drawn bold; none if None.
        metric: ``store.metric()``; val_bpb by default.
    """
    from matplotlib.ticker import MaxNLocator

    scale = Scale.of(metric, frame)
    places, line = tree_layout(variants, champion), champion_line(variants, champion)
    gains = dict(zip(frame["variant"], frame["gain"] * scale.gain_factor, strict=True))
    _draw_edges(ax, variants, places, line)
    _draw_variants(ax, variants, places, gains, line, scale)
    _draw_names(ax, variants, places, line)
    _draw_legend(ax, variants, gains)
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
    """Colours of gains: white at the baseline, blue above it, orange below, tails clipped."""
    import numpy as np
    import seaborn as sns
    from matplotlib.colors import Normalize

    known = np.asarray([g for g in gains if np.isfinite(g)])
    # As far down as up: one runaway failure must not wash out everyone else's colour.
    reach = float(known.max(initial=0.0)) or -float(known.min(initial=0.0)) or 1.0
    palette = sns.diverging_palette(30, 250, s=90, l=42, sep=12, as_cmap=True)
    return palette, Normalize(-reach, reach)


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
        (p, v.sha)
        for v in variants
        for p in (*v.parents, *v.adds)
        if p in places and p != hangs_on[v.sha]
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
    scale: Scale,
) -> None:
    size = max(9.0, min(60.0, 2600 / max(len(variants), 1)))
    palette, norm = gain_colours(list(gains.values()))
    dots = None
    for origin, (shape, _) in _SHAPES.items():
        own = [v.sha for v in variants if v.origin is origin]
        blank = [sha for sha in own if not _is_scored(sha, gains)]
        scored = [sha for sha in own if _is_scored(sha, gains)]
        ax.scatter(
            [places[sha].column for sha in blank],
            [places[sha].row for sha in blank],
            marker=shape,
            s=size * 0.45,
            facecolors="white",
            edgecolors=_BLANK_COLOUR,
            linewidths=0.8,
            zorder=4,
        )
        if not scored:
            continue
        dots = ax.scatter(
            [places[sha].column for sha in scored],
            [places[sha].row for sha in scored],
            marker=shape,
            c=[gains[sha] for sha in scored],
            s=[size * (1.9 if sha in line[:1] else 1.0) for sha in scored],
            cmap=palette,
            norm=norm,
            edgecolors=[_PATH_COLOUR if sha in line else "#8a8f96" for sha in scored],
            linewidths=[1.4 if sha in line else 0.4 for sha in scored],
            zorder=5,
        )
    if dots is not None:
        _draw_colour_bar(ax, dots, gains, scale)


def _is_scored(sha: str, gains: Mapping[str, float]) -> bool:
    return math.isfinite(gains.get(sha, math.nan))


def _draw_colour_bar(
    ax: "Axes", dots: "ScalarMappable", gains: Mapping[str, float], scale: Scale
) -> None:
    clipped_at = min(dots.get_clim()[0] or 0.0, 0.0)
    lowest = min(gain for gain in gains.values() if math.isfinite(gain))
    tail = "min" if lowest < clipped_at else "neither"
    beside = ax.inset_axes((1.012, 0.36, 0.012, 0.62))
    bar = ax.get_figure(root=True).colorbar(dots, cax=beside, extend=tail)  # type: ignore[union-attr]
    bar.set_label(drawable(scale.gain_label()), size="small")
    beside.tick_params(labelsize="small", length=2)
    for spine in beside.spines.values():
        spine.set_visible(False)


def _draw_legend(ax: "Axes", variants: Sequence[Variant], gains: Mapping[str, float]) -> None:
    """What shapes and lines stand for, those that are there."""
    from matplotlib.lines import Line2D

    there = {variant.origin for variant in variants}
    ink = {"linestyle": "", "color": "#e6e8eb", "markeredgecolor": _PATH_COLOUR}
    marks = [
        Line2D([], [], marker=shape, markersize=5.5, label=label, **ink)  # type: ignore[arg-type]
        for origin, (shape, label) in _SHAPES.items()
        if origin in there
    ]
    if any(not _is_scored(variant.sha, gains) for variant in variants):
        blank = ink | {"color": "white", "markeredgecolor": _BLANK_COLOUR}
        marks.append(Line2D([], [], marker="o", markersize=4, label="no score", **blank))  # type: ignore[arg-type]
    if any(len(variant.parents) > 1 or variant.adds for variant in variants):
        label = "other parent"
        if any(variant.adds for variant in variants):
            label += ", or edit taken in"
        style = {"color": _MERGE_COLOUR, "linestyle": (0, (3, 2)), "label": label}
        marks.append(Line2D([], [], **style))  # type: ignore[arg-type]
    ax.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(1.005, 0.0),
        frameon=False,
        fontsize="small",
    )


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
