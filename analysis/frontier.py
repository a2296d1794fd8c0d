"""The frontier: the best score that a run had reached by each moment. Frames -> frame, axes."""

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from analysis.frames import FRESH, records
from analysis.scale import INTERVAL, Scale, cut, drawable
from population import Metric, TrialStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

Across = Literal["order", "device_hours"]

_ACROSS = {"order": "trials finished", "device_hours": "device-hours of the search"}
_LINE_COLOUR, _QUIET_COLOUR, _WORDS_COLOUR = "#222222", "#8a8f96", "#5c6168"
# An operator has a shape beside its colour: print may have no colours.
_SHAPES = "osD^vPX*<>"
_BASELINE_COLOUR = (0.45, 0.47, 0.5)
_SILENT = {
    "stopped_early": ("1", "stopped early"),
    "crashed": ("x", "crashed"),
    "timed_out": ("+", "timed out"),
    "rejected": ("_", "rejected"),
}


def best_so_far(trials: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """The frontier: after each finished trial of the search, the best variant tried by then.

    It is read with today's posterior, so the line never worsens: what later trials taught of an
    early variant counts from the start.

    Args:
        trials: ``trials_frame``.
        variants: ``variants_frame`` of the same store.

    Returns:
        One row a finished trial, in order of their ends: ``order`` from 1, ``device_hours`` spent
        on the search by its end, the trial's own ``val_bpb``, ``operator``, ``status``;
        ``best_name``, ``best``, ``low``, ``high`` (scores as they are kept: lower is better) and
        ``is_step``, true where the frontier moved.
    """
    final = [str(status) for status in TrialStatus if status.has_run]
    done = trials[~trials["purpose"].isin(FRESH) & trials["status"].isin(final)]
    done = done.sort_values(["finished_at", "trial"]).reset_index(drop=True)
    known = variants.set_index("variant")[["fitness", "fitness_sd"]]
    table = done[["variant", "name", "operator", "purpose", "status", "val_bpb"]].join(
        known, on="variant"
    )
    table.insert(0, "order", range(1, len(table) + 1))
    table["device_hours"] = done["total_seconds"].fillna(0.0).cumsum() / 3600
    table["best"] = table["fitness"].cummin().ffill()
    is_step = table["fitness"].notna() & (
        table["best"] < table["best"].shift(fill_value=float("inf"))
    )
    table["is_step"] = is_step
    table["best_name"] = table["name"].where(is_step).ffill()
    spread = INTERVAL * table["fitness_sd"].where(is_step).ffill()
    table["low"], table["high"] = table["best"] - spread, table["best"] + spread
    return table


def plot_frontier(
    trials: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    ax: "Axes",
    metric: Metric | None = None,
    verdicts: pd.DataFrame | None = None,
    across: Across = "order",
) -> "Axes":
    """Each trial a dot of its operator, the frontier a step line with the leader's 95 % band.

    A trial without a score is a mark on the edge of the worst; a score too bad for the scale is a
    dot there. Verdict trials are left out: they take no part in the search.

    Args:
        trials: ``trials_frame``.
        variants: ``variants_frame`` of the same store.
        ax: Where to draw.
        metric: ``store.metric()``; val_bpb by default.
        verdicts: ``verdicts_frame``; with it, what fresh seeds say of the champion stands beside.
        across: What the horizontal axis counts.
    """
    scale = Scale.of(metric, trials, variants)
    table = best_so_far(trials, variants)
    ax.set_xlabel(_ACROSS[across])
    ax.set_ylabel(drawable(scale.score_label))
    if table["val_bpb"].notna().sum() == 0:
        ax.text(0.5, 0.5, "no score yet", transform=ax.transAxes, ha="center", color=_QUIET_COLOUR)
        return ax
    table["at"] = table[across]
    baseline = variants.loc[variants["origin"] == "baseline", "fitness"]
    reference = float(baseline.iloc[0]) if baseline.notna().any() else None
    best, worst = _limits(table, reference)
    end = float(table["at"].iloc[-1])
    # A kept score turned round is the metric's own value again; the better side stays the better.
    for column in ("val_bpb", "best", "low", "high"):
        table[column] = scale.sign * table[column]
    _draw_trials(ax, table, best=scale.sign * best, worst=scale.sign * worst)
    _draw_line(ax, table, end=end * (1 + 1 / len(table)), sign=scale.sign)
    ax.set_ylim(
        min(best * scale.sign, worst * scale.sign), max(best * scale.sign, worst * scale.sign)
    )
    ax.set_xlim(0, end * (1 + 1 / len(table)))
    if reference is not None:
        _draw_reference(ax, scale.sign * reference)
    ax.legend(loc="upper left", bbox_to_anchor=(1.005, 1), frameon=False, fontsize="small")
    if verdicts is not None and not verdicts.empty:
        _draw_verdict(ax, verdicts, table, scale)
    return ax


def operator_styles(operators: "Sequence[str]") -> "dict[str, tuple[object, str]]":
    """Colour and marker of each operator, the same in every figure of a run."""
    import seaborn as sns

    names = sorted(set(operators) - {"baseline"})
    colours = sns.color_palette("colorblind", max(len(names), 1))
    styles: dict[str, tuple[object, str]] = {
        name: (colour, _SHAPES[number % len(_SHAPES)])
        for number, (name, colour) in enumerate(zip(names, colours, strict=False))
    }
    return {"baseline": (_BASELINE_COLOUR, "o")} | styles


def _limits(table: pd.DataFrame, reference: float | None) -> tuple[float, float]:
    """Best and worst score on a scale that stays readable, whatever the worst trial was."""
    scores, frontier = table["val_bpb"].dropna(), table[["best", "low"]].dropna()
    middling = float(scores.quantile(0.8))
    lowest = min([scores.min(), *frontier["low"]])
    highest = max([middling, reference or middling, *frontier["best"]])
    room = max(highest - lowest, 1e-3)
    return lowest - 0.2 * room, highest + 0.45 * room


def _draw_trials(ax: "Axes", table: pd.DataFrame, *, best: float, worst: float) -> None:
    edge = worst + 0.02 * (best - worst)
    shown = table["val_bpb"].clip(lower=min(edge, best), upper=max(edge, best))
    styles = operator_styles(list(table["operator"]))
    size = max(12.0, min(36.0, 6000 / len(table)))
    for operator, (colour, shape) in styles.items():
        own = table["operator"] == operator
        if not own.any():
            continue
        ax.scatter(
            table["at"][own],
            shown[own],
            s=size,
            marker=shape,
            color=colour,
            edgecolors="white",
            linewidths=0.5,
            alpha=0.9,
            label=f"{drawable(operator, 20)} ({own.sum()})",
            zorder=4,
        )
    silent = table[table["val_bpb"].isna()]
    for status, (mark, label) in _SILENT.items():
        marks = silent[silent["status"] == status]
        if marks.empty:
            continue
        style = {"marker": mark, "s": 26, "linewidths": 1.1}
        colours = [styles[operator][0] for operator in marks["operator"]]
        ax.scatter(marks["at"], [edge] * len(marks), c=colours, alpha=0.85, zorder=3, **style)  # type: ignore[arg-type]
        ax.scatter([], [], color=_QUIET_COLOUR, label=f"{label} ({len(marks)})", **style)  # type: ignore[arg-type]


def _draw_line(ax: "Axes", table: pd.DataFrame, *, end: float, sign: int) -> None:
    # The last step is drawn on to the edge: a champion found at the end is seen, too.
    line = pd.concat([table, table.tail(1).assign(at=end)])
    ax.step(
        line["at"],
        line["best"],
        where="post",
        color=_LINE_COLOUR,
        lw=1.8,
        zorder=5,
        label="best so far",
    )
    ax.fill_between(
        line["at"],
        line["low"],
        line["high"],
        step="post",
        color=_LINE_COLOUR,
        alpha=0.12,
        lw=0,
        label="its 95 % band",
    )
    _name_steps(ax, table, end=end, sign=sign)


def _name_steps(ax: "Axes", table: pd.DataFrame, *, end: float, sign: int) -> None:
    """Names on the better side of the line, slanted away from it."""
    steps = table[table["is_step"] & (table["operator"] != "baseline")]
    last = float("inf")
    # From the champion backwards: a name that would cover a later one is left out.
    for step in records(steps.iloc[::-1]):
        at = float(step["at"])
        if last - at < 0.06 * end:
            continue
        last = at
        ends = [sign * float(step[side]) for side in ("low", "val_bpb") if step[side] == step[side]]
        at_left = at < 0.08 * end
        ax.annotate(
            str(step["name"]),
            (at, sign * min(ends)),
            xytext=(0, -4 * sign) if at_left else (1, -4 * sign),
            textcoords="offset points",
            ha="left" if at_left else "right",
            va="top" if sign > 0 else "bottom",
            size=7.5,
            color=_LINE_COLOUR,
            rotation=sign * (-30 if at_left else 30),
            rotation_mode="anchor",
        )


def _draw_reference(ax: "Axes", reference: float) -> None:
    ax.axhline(reference, color=_QUIET_COLOUR, linestyle=(0, (4, 3)), linewidth=1, zorder=2)
    ax.annotate(
        f"baseline {reference:.3f}",
        (1, reference),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
        size="small",
        color=_WORDS_COLOUR,
        zorder=6,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
    )


def _draw_verdict(ax: "Axes", verdicts: pd.DataFrame, table: pd.DataFrame, scale: Scale) -> None:
    """What fresh seeds say of the last champion, below the legend; a star where it was found."""
    last = verdicts[verdicts["verdict"] == verdicts["verdict"].iloc[-1]]
    name = str(last["name"].iloc[0])
    home = last[last["depth_scale"] == 1.0]
    is_confirmed = (home["ruling"] == "confirmed").any()
    first = table[table["name"] == name].head(1)
    if len(first) and is_confirmed:
        ax.scatter(
            first["at"],
            scale.sign * first["fitness"],
            marker="*",
            s=190,
            color="#ece133",
            edgecolors=_LINE_COLOUR,
            linewidths=1.0,
            zorder=7,
        )
    head = f"★ {name}: confirmed" if is_confirmed else f"{name}: not confirmed"
    how = Scale.of(scale.metric, last).how
    lines = [head, f"fresh seeds{', ' if how else ''}{how}:", *_rung_lines(last, scale)]
    ax.text(
        1.02,
        0.0,
        "\n".join(lines),
        transform=ax.transAxes,
        va="bottom",
        size="small",
        color=_LINE_COLOUR,
        linespacing=1.5,
    )


def _rung_lines(rungs: pd.DataFrame, scale: Scale) -> list[str]:
    return [rung_words(rung, scale) for rung in records(rungs)]


def rung_words(rung: "Mapping[str, Any]", scale: Scale) -> str:
    """One row of ``verdicts_frame``: ``depth × 1: +85 mbpb (+68 to +101), confirmed``."""
    depth, ruling = rung["depth_scale"], str(rung["ruling"]).replace("_", " ")
    said = scale.interval(rung["gain"], rung["low"], rung["high"])
    return cut(f"depth × {depth:g}: {said}{', ' if said else ''}{ruling}", 80)


def sealed_words(rung: "Mapping[str, Any]", scale: Scale) -> str:
    """The same pairs on the sealed split, likewise; "" where that was not read."""
    said = scale.interval(rung["test_gain"], rung["test_low"], rung["test_high"])
    depth = rung["depth_scale"]
    return cut(f"sealed test split at depth × {depth:g}: {said}", 80) if said else ""
