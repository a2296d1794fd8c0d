"""The waterfall: how the edits of one line of descent add up to its gain. Frame + axes -> axes."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.frames import records
from analysis.scale import INTERVAL, Scale, drawable
from population import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bars that stay apart from each other on a page.
MOST_BARS = 24

_BETTER, _WORSE, _TOTAL, _FRESH = "#0173b2", "#d55e00", "#222222", "#029e73"
_INK = "#3c4046"


def plot_waterfall(
    descent: pd.DataFrame,
    *,
    ax: "Axes",
    metric: Metric | None = None,
    verdicts: pd.DataFrame | None = None,
    total_sd: float | None = None,
) -> "Axes":
    """One bar an edit, each from where the last one ended; the total, and what fresh seeds say.

    Args:
        descent: ``descent_frame``: the oldest edit is the highest bar.
        ax: Where to draw; about a quarter of an inch a bar is enough.
        metric: ``store.metric()``; val_bpb by default.
        verdicts: ``verdicts_frame``: the last verdict's gains are drawn under the total, if it is
            on the same variant.
        total_sd: Standard deviation of the total (``gain_sd`` of ``variants_frame``).
    """
    scale = Scale.of(metric, descent)
    ax.set_xlabel(drawable(scale.gain_label()))
    if descent.empty:
        ax.set_yticks([])
        words = "no edit yet is thought better than the baseline"
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", color="#8a8f96")
        return ax
    bars = _folded(descent, MOST_BARS)
    labels = [_label(bar) for bar in records(bars)]
    for row, bar in enumerate(records(bars)):
        _draw_edit(ax, row, bar, scale)
    total = float(descent["after"].iloc[-1])
    _draw_total(ax, len(bars), total, total_sd, scale)
    labels.append("all together, posterior")
    for rung in _rungs(descent, verdicts):
        _draw_rung(ax, len(labels), rung, scale)
        labels.append(f"verdict at depth × {rung['depth_scale']:g}, fresh seeds")
        if rung["test_low"] == rung["test_low"]:  # not missing
            sealed = {key: rung[f"test_{key}"] for key in ("gain", "low", "high")}
            _draw_rung(ax, len(labels), sealed, scale)
            labels.append("the same on the sealed test split")
    ax.axvline(0.0, color="#8a8f96", linewidth=0.9, zorder=1)
    ax.axhline(len(bars) - 0.5, color="#c9ccd1", linewidth=0.8)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    _make_room(ax, has_verdict=len(labels) > len(bars) + 1)
    ax.grid(visible=False, axis="y")
    return ax


def waterfall_height(descent: pd.DataFrame) -> float:
    """Inches that a figure of this waterfall needs to stay legible."""
    return 1.6 + 0.3 * (min(len(descent), MOST_BARS) + 3)


def _folded(descent: pd.DataFrame, most: int) -> pd.DataFrame:
    """The edits of the largest effects in their order, the others as one bar before them."""
    table = descent[["name", "hypothesis", "effect", "effect_sd", "is_measured"]]
    if len(table) > most:
        large = table["effect"].abs().nlargest(most - 1).index
        small = table.drop(index=large)
        folded = {
            "name": "",
            "hypothesis": f"{len(small)} smaller edits",
            "effect": small["effect"].sum(),
            "effect_sd": math.hypot(*small["effect_sd"]),
            "is_measured": True,
        }
        table = pd.concat([pd.DataFrame([folded]), table.loc[sorted(large)]], ignore_index=True)
    after = table["effect"].cumsum()
    return table.assign(before=after - table["effect"], after=after)


def _label(bar: dict[str, Any]) -> str:
    return f"{drawable(str(bar['hypothesis']), 50)}   {bar['name']}".rstrip()


def _draw_edit(ax: "Axes", row: int, bar: dict[str, Any], scale: Scale) -> None:
    before, after = bar["before"] * scale.gain_factor, bar["after"] * scale.gain_factor
    if not bar["is_measured"]:
        ax.plot([before], [row], marker="|", color=_INK, markersize=9)
        ax.annotate("no score", (before, row), xytext=(6, 0), **_BESIDE)  # type: ignore[arg-type]
        return
    colour = _BETTER if after >= before else _WORSE
    ax.barh(row, after - before, left=before, height=0.62, color=colour, alpha=0.85, zorder=2)
    error = INTERVAL * bar["effect_sd"] * scale.gain_factor
    _whisker(ax, row, after, error, _INK)
    ax.plot([after, after], [row, row + 1], color="#8a8f96", linewidth=0.8, zorder=1)
    _write(ax, row, max(before, after + error), scale.gain(bar["effect"], bar["effect_sd"]))


def _draw_total(ax: "Axes", row: int, total: float, sd: float | None, scale: Scale) -> None:
    length = total * scale.gain_factor
    ax.barh(row, length, height=0.62, color=_TOTAL, alpha=0.85, zorder=2)
    if sd is None or not math.isfinite(sd):
        _write(ax, row, max(0.0, length), f"{length:+.0f}")
        return
    error = INTERVAL * sd * scale.gain_factor
    _whisker(ax, row, length, error, "#8a8f96")
    _write(ax, row, max(0.0, length + error), scale.gain(total, sd))


def _draw_rung(ax: "Axes", row: int, rung: dict[str, Any], scale: Scale) -> None:
    gain, low, high = (rung[side] * scale.gain_factor for side in ("gain", "low", "high"))
    ax.barh(row, gain, height=0.62, color=_FRESH, alpha=0.85, zorder=2)
    ax.plot([low, high], [row, row], color=_INK, linewidth=1.3, zorder=3)
    said = scale.interval(rung["gain"], rung["low"], rung["high"])
    ruling = f", {str(rung['ruling']).replace('_', ' ')}" if "ruling" in rung else ""
    _write(ax, row, max(0.0, high), f"{said}{ruling}")


def _rungs(descent: pd.DataFrame, verdicts: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The rungs of the last verdict that gave a gain, if it judged this very variant."""
    if verdicts is None or verdicts.empty:
        return []
    last = verdicts[verdicts["verdict"] == verdicts["verdict"].iloc[-1]]
    same = last[(last["champion"] == descent["variant"].iloc[-1]) & last["low"].notna()]
    return records(same)


def _make_room(ax: "Axes", *, has_verdict: bool) -> None:
    """Space on the right for the words beside the longest bars."""
    left, right = ax.dataLim.intervalx
    span = max(right - left, 1e-9)
    ax.set_xlim(left - 0.04 * span, right + (0.68 if has_verdict else 0.16) * span)


_BESIDE = {
    "textcoords": "offset points",
    "va": "center",
    "size": "small",
    "color": _INK,
}


def _whisker(ax: "Axes", row: int, at: float, error: float, colour: str) -> None:
    ax.plot([at - error, at + error], [row, row], color=colour, linewidth=1.3, zorder=3)


def _write(ax: "Axes", row: int, at: float, words: str) -> None:
    ax.annotate(words, (at, row), xytext=(5, 0), **_BESIDE)  # type: ignore[arg-type]
