"""Plots: frame + axes -> axes; and the overview, the one figure that a run leaves behind."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.family_tree import draw_family_tree
from analysis.frames import trials_frame, variants_frame
from population import RungVerdict, Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE_COLOUR, _QUIET_COLOUR = "#222222", "#8a8f96"
_INTERVAL = 1.96  # standard deviations on each side of a 95 % interval
_MARKS = {"stopped_early": ("v", "stopped early"), "failed": ("x", "no score")}


def best_so_far(trials: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """The frontier: after each finished trial of the search, the best variant tried by then.

    It is read with today's posterior, so the line never rises: what later trials taught of an
    early variant counts from the start.

    Args:
        trials: ``trials_frame``.
        variants: ``variants_frame`` of the same store.

    Returns:
        One row a finished trial, in order of their ends: ``order`` from 1, the trial's own
        ``val_bpb``, ``operator``, ``status``; ``best_name``, ``best``, ``low``, ``high`` and
        ``is_step``, true where the frontier moved.
    """
    from population import TrialStatus

    final = [str(status) for status in TrialStatus if status.is_final]
    done = trials[(trials["purpose"] != "verdict") & trials["status"].isin(final)]
    done = done.sort_values(["finished_at", "trial"]).reset_index(drop=True)
    known = variants.set_index("variant")[["fitness", "fitness_sd"]]
    table = done[["variant", "name", "operator", "purpose", "status", "val_bpb"]].join(
        known, on="variant"
    )
    table.insert(0, "order", range(1, len(table) + 1))
    table["best"] = table["fitness"].cummin().ffill()
    is_step = table["fitness"].notna() & (
        table["best"] < table["best"].shift(fill_value=float("inf"))
    )
    table["is_step"] = is_step
    table["best_name"] = table["name"].where(is_step).ffill()
    spread = _INTERVAL * table["fitness_sd"].where(is_step).ffill()
    table["low"], table["high"] = table["best"] - spread, table["best"] + spread
    return table


def plot_frontier(trials: pd.DataFrame, variants: pd.DataFrame, *, ax: "Axes") -> "Axes":
    """Each trial a dot coloured by operator, the frontier a step line with its 95 % band.

    A trial without a score is a mark on the upper edge; a score too bad for the scale is a dot
    there. Verdict trials are left out: they take no part in the search.
    """
    table = best_so_far(trials, variants)
    ax.set_xlabel("trials finished")
    ax.set_ylabel("val_bpb, reported (lower is better)")
    if table["val_bpb"].notna().sum() == 0:
        ax.text(0.5, 0.5, "no score yet", transform=ax.transAxes, ha="center", color=_QUIET_COLOUR)
        return ax
    baseline = variants.loc[variants["origin"] == "baseline", "fitness"]
    reference = float(baseline.iloc[0]) if baseline.notna().any() else None
    bottom, top = _scale(table, reference)
    _draw_trials(ax, table, bottom, top)
    _draw_frontier_line(ax, table)
    ax.set_ylim(bottom, top)
    ax.set_xlim(0, len(table) + 1)
    if reference is not None:
        ax.axhline(reference, color=_QUIET_COLOUR, linestyle=(0, (4, 3)), linewidth=1, zorder=2)
        ax.annotate(
            f"baseline {reference:.3f}",
            (1, reference),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            size="small",
            color="#6b7078",
            zorder=6,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
        )
    ax.legend(loc="upper left", bbox_to_anchor=(1.005, 1), frameon=False, fontsize="small")
    return ax


def save_overview(store: Store, path: Path) -> Path:
    """Write the frontier above the family tree as one PNG; returns ``path``.

    Draws on a canvas of its own, without any display or global state.
    """
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    variants, trials = variants_frame(store), trials_frame(store)
    with (
        sns.axes_style("whitegrid", {"grid.color": "#eceef0"}),
        sns.plotting_context("notebook", 0.8),
    ):
        figure = Figure(figsize=(12, 10.5), layout="constrained", dpi=150)
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, height_ratios=[1, 1.35])
        plot_frontier(trials, variants, ax=above)
        champions = variants.loc[variants["is_champion"], "variant"]
        champion = str(champions.iloc[0]) if len(champions) else None
        draw_family_tree(store.variants(), variants, ax=below, champion=champion)
        above.set_title(
            _headline(store, variants), loc="left", size="x-large", weight="bold", pad=36
        )
        above.text(0, 1.02, _findings(store, variants), transform=above.transAxes, color="#50555c")
        figure.savefig(path)
    return path


def _headline(store: Store, variants: pd.DataFrame) -> str:
    """What the run is, and who leads it."""
    champions = variants[variants["is_champion"]]
    count = f"{len(variants)} variant{'s' if len(variants) != 1 else ''}"
    leader = "no score yet" if champions.empty else f"champion {champions.iloc[0]['name']}"
    if not champions.empty and champions.iloc[0]["origin"] == "baseline":
        leader = "none is thought better than the baseline"
    made_up = "  ·  dry run: scores are made up" if store.fact("dry_run") else ""
    return f"{store.run().name}  ·  {count}  ·  {leader}{made_up}"


def _findings(store: Store, variants: pd.DataFrame) -> str:
    """What is believed of the champion, and what the last verdict says, at each depth."""
    champions = variants[variants["is_champion"] & (variants["origin"] != "baseline")]
    words = [
        f"posterior gain over the baseline {gain * 1000:.0f} ± {_INTERVAL * sd * 1000:.0f} mbpb "
        "(reported)"
        for gain, sd in zip(
            champions["gain"].astype(float), champions["gain_sd"].astype(float), strict=True
        )
        if math.isfinite(gain)
    ]
    verdicts = store.verdicts()
    if not verdicts:
        return "\n".join([*words, "no verdict yet"])
    verdict = verdicts[-1]
    if verdict.champion is None:
        return "\n".join([*words, f"verdict {verdict.label}: no claim was made"])
    said = "  ·  ".join(_rung_words(rung) for rung in verdict.rungs)
    return "\n".join([*words, f"verdict on {store.variant(verdict.champion).name}: {said}"])


def _rung_words(rung: RungVerdict) -> str:
    text = f"at depth × {rung.depth_scale:g} {rung.ruling.replace('_', ' ')}"
    if rung.gain is not None:
        text += f", {rung.gain * 1000:+.0f} mbpb"
    if rung.low is not None and rung.high is not None:
        text += f" ({rung.low * 1000:+.0f} to {rung.high * 1000:+.0f})"
    return text


def _scale(table: pd.DataFrame, reference: float | None) -> tuple[float, float]:
    """A scale on which the frontier is readable, whatever the worst trial was."""
    scores, frontier = table["val_bpb"].dropna(), table[["best", "low"]].dropna()
    middling = float(scores.quantile(0.8))
    lowest = min([scores.min(), *frontier["low"]])
    highest = max([middling, reference or middling, *frontier["best"]])
    room = max(highest - lowest, 1e-3)
    return lowest - 0.2 * room, highest + 0.45 * room


def _draw_trials(ax: "Axes", table: pd.DataFrame, bottom: float, top: float) -> None:
    import seaborn as sns

    edge = top - 0.02 * (top - bottom)
    names = sorted(set(table["operator"]) - {"baseline"})
    colours = dict(zip(names, sns.color_palette("colorblind", max(len(names), 1)), strict=False))
    colours["baseline"] = (0.45, 0.47, 0.5)
    scored = table.dropna(subset=["val_bpb"])
    for operator in [*(["baseline"] if "baseline" in set(table["operator"]) else []), *names]:
        dots = scored[scored["operator"] == operator]
        ax.scatter(
            dots["order"],
            dots["val_bpb"].clip(upper=edge),
            s=max(10.0, min(34.0, 6000 / len(table))),
            color=colours[operator],
            edgecolors="white",
            linewidths=0.5,
            alpha=0.9,
            label=f"{operator} ({len(table[table['operator'] == operator])})",
            zorder=4,
        )
    silent = table[table["val_bpb"].isna()]
    kinds = silent["status"].where(silent["status"] == "stopped_early", "failed")
    for kind, (marker, label) in _MARKS.items():
        marks = silent[kinds == kind]
        if marks.empty:
            continue
        ax.scatter(
            marks["order"],
            [edge] * len(marks),
            marker=marker,
            s=16,
            c=[colours[operator] for operator in marks["operator"]],
            linewidths=0.9,
            alpha=0.8,
            zorder=3,
        )
        ax.scatter(
            [], [], marker=marker, s=16, color=_QUIET_COLOUR, label=f"{label} ({len(marks)})"
        )


def _draw_frontier_line(ax: "Axes", table: pd.DataFrame) -> None:
    # The last step is drawn on to the edge: a champion found at the end is seen, too.
    line = pd.concat([table, table.tail(1).assign(order=len(table) + 1)])
    ax.fill_between(
        line["order"], line["low"], line["high"], step="post", color=_LINE_COLOUR, alpha=0.12, lw=0
    )
    ax.step(
        line["order"],
        line["best"],
        where="post",
        color=_LINE_COLOUR,
        lw=1.8,
        zorder=5,
        label="best so far, 95 % band",
    )
    steps = table[table["is_step"] & (table["operator"] != "baseline")]
    last_order = math.inf
    # From the champion backwards: a name that would cover a later one is left out.
    for step in steps.iloc[::-1].to_dict("records"):
        order, low, score = int(step["order"]), float(step["low"]), float(step["val_bpb"])
        if last_order - order < 0.06 * len(table):
            continue
        last_order = order
        at_left = order < 0.08 * len(table)
        ax.annotate(
            str(step["name"]),
            (order, low if math.isnan(score) else min(low, score)),
            xytext=(0, -4) if at_left else (1, -4),
            textcoords="offset points",
            ha="left" if at_left else "right",
            va="top",
            size=7.5,
            color=_LINE_COLOUR,
            rotation=-30 if at_left else 30,
            rotation_mode="anchor",
        )
