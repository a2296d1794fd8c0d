"""Smaller plots: noise, curves, operators and spending. Frame + axes -> axes."""

from typing import TYPE_CHECKING

import pandas as pd

from analysis.frames import records
from analysis.frontier import operator_styles
from analysis.scale import INTERVAL, Scale, drawable
from population import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PARTS = 40
_PURPOSES = {"baseline": "o", "screen": "s", "replicate": "D", "publication": "P", "verdict": "^"}
_QUIET_COLOUR, _INK = "#8a8f96", "#3c4046"


def plot_repeats(
    trials: pd.DataFrame, *, ax: "Axes", metric: Metric | None = None, sigma: float | None = None
) -> "Axes":
    """How noisy a score is: every variant that ran more than once at home, around its own mean.

    Args:
        trials: ``trials_frame``.
        ax: Where to draw.
        metric: ``store.metric()``; val_bpb by default.
        sigma: Seed noise as the engine knows it (the fact ``sigma``); its 95 % range is shaded.
    """
    import seaborn as sns

    scale = Scale.of(metric, trials)
    ax.set_xlabel(drawable(scale.gain_label("score − mean of the same variant")))
    home = trials[(trials["depth_scale"] == 1.0) & trials["val_bpb"].notna()]
    repeated = home.groupby(["name", "split"], sort=False).filter(lambda group: len(group) > 1)
    if repeated.empty:
        ax.set_yticks([])
        return _say(ax, "nothing ran twice yet")
    groups = repeated.groupby(["name", "split"], sort=False)["val_bpb"]
    spread = scale.sign * (repeated["val_bpb"] - groups.transform("mean")) * scale.gain_factor
    rows = groups.ngroup()
    if sigma is not None:
        reach = INTERVAL * sigma * scale.gain_factor
        ax.axvspan(-reach, reach, color=_QUIET_COLOUR, alpha=0.15, lw=0, label="± 1.96 σ")
    ax.axvline(0, color=_QUIET_COLOUR, linewidth=0.9)
    palette = sns.color_palette("colorblind")
    for colour, (purpose, shape) in zip(palette, _PURPOSES.items(), strict=False):
        own = repeated["purpose"] == purpose
        if own.any():
            style = {"marker": shape, "color": colour, "edgecolors": "white", "s": 34}
            ax.scatter(spread[own], rows[own], label=purpose, **style)
    ax.legend(loc="upper left", bbox_to_anchor=(1.005, 1), frameon=False, fontsize="small")
    labels = (repeated["name"] + ", " + repeated["split"]).drop_duplicates().tolist()
    ax.set_yticks(range(groups.ngroups), labels)
    ax.set_ylim(groups.ngroups - 0.5, -0.5)
    return ax


def plot_curves(
    curves: pd.DataFrame, *, ax: "Axes", names: tuple[str, ...] = (), quantity: str = "loss"
) -> "Axes":
    """Every training curve at home depth, thin; those of the variants in ``names`` in colour.

    Args:
        curves: ``curves_frame``.
        ax: Where to draw.
        names: Variants to bring out, such as the baseline and the champion.
        quantity: ``loss``, ``snapshot``, or another that the genomes report.
    """
    import seaborn as sns

    ax.set_xlabel("share of the training budget used")
    wanted = curves[(curves["quantity"] == quantity) & (curves["depth_scale"] == 1.0)]
    how = Scale.of(None, wanted).how
    ax.set_ylabel(f"{drawable(quantity, 30)}{', ' if how else ''}{how}")
    if wanted.empty:
        return _say(ax, f"no {drawable(quantity, 30)} was reported")
    colours = dict(zip(names, sns.color_palette("colorblind"), strict=False))
    # Means over fortieths of the budget: single batches are noise.
    smooth = wanted.assign(part=(wanted["progress"] * _PARTS).round())
    means = smooth.groupby(["trial", "name", "part"], sort=False)[["progress", "value"]].mean()
    for (_, name), curve in means.groupby(["trial", "name"], sort=False):
        is_named = name in colours
        ax.plot(
            curve["progress"],
            curve["value"],
            color=colours.get(str(name), _QUIET_COLOUR),
            linewidth=1.5 if is_named else 0.6,
            alpha=0.9 if is_named else 0.35,
            zorder=3 if is_named else 2,
        )
    for name, colour in colours.items():
        ax.plot([], [], color=colour, label=drawable(name))
    ax.plot([], [], color=_QUIET_COLOUR, linewidth=0.6, label="all others")
    # A run that went astray must not press the others together.
    values = wanted["value"]
    low, high = float(values.min()), float(values.quantile(0.98))
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.set_xlim(0, 1)
    ax.legend(loc="upper right", frameon=False, fontsize="small")
    return ax


def plot_operators(variants: pd.DataFrame, *, ax: "Axes", metric: Metric | None = None) -> "Axes":
    """What each operator's edits brought over the better parent, each with its 95 % interval.

    An effect beyond the scale stands on its edge as a triangle.
    """
    scale = Scale.of(metric, variants)
    ax.set_xlabel(drawable(scale.gain_label("gain over the better parent")))
    known = variants[variants["parent_gain"].notna()].sort_values("parent_gain")
    if known.empty:
        ax.set_yticks([])
        return _say(ax, "no offspring has a score yet")
    styles = operator_styles(list(variants["operator"]))
    names = [name for name in styles if (known["operator"] == name).any()]
    table = pd.DataFrame(
        {
            "operator": known["operator"],
            "gain": known["parent_gain"] * scale.gain_factor,
            "error": INTERVAL * known["parent_gain_sd"] * scale.gain_factor,
        }
    )
    reach = 1.15 * float((table["gain"].abs() + table["error"]).quantile(0.8))
    for row, name in enumerate(names):
        own = table[table["operator"] == name]
        places = [row + 0.7 * ((n + 1) / (len(own) + 1) - 0.5) for n in range(len(own))]
        colour, shape = styles[name]
        _draw_effects(ax, own.assign(place=places), reach, {"color": colour, "marker": shape})
    ax.axvline(0, color=_QUIET_COLOUR, linewidth=0.9)
    counts = table["operator"].value_counts()
    ax.set_yticks(range(len(names)), [f"{drawable(n, 20)} ({counts[n]})" for n in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-reach, reach)
    return ax


def _draw_effects(
    ax: "Axes", effects: pd.DataFrame, reach: float, style: dict[str, object]
) -> None:
    """Effects with their intervals; one beyond ``reach`` is a triangle on the edge."""
    inside = effects[effects["gain"].abs() <= reach]
    ax.errorbar(
        inside["gain"],
        inside["place"],
        xerr=inside["error"],
        linestyle="",
        markersize=5.5,
        elinewidth=0.9,
        alpha=0.9,
        markeredgecolor="white",
        **style,  # type: ignore[arg-type]
    )
    for side, shape in ((-1, "<"), (1, ">")):
        beyond = effects[side * effects["gain"] > reach]
        at = [side * 0.985 * reach] * len(beyond)
        ax.scatter(at, beyond["place"], marker=shape, s=34, color=style["color"])


def plot_spending(spending: pd.DataFrame, *, ax: "Axes") -> "Axes":
    """Where the device-hours went: one bar a destination, those worth their time in blue.

    Args:
        spending: ``spending_frame``.
        ax: Where to draw.
    """
    ax.set_xlabel("device-hours")
    if spending.empty:
        ax.set_yticks([])
        return _say(ax, "no trial has ended yet")
    kinds = {
        "champion's descent": "#0173b2",
        "better than the parent": "#56b4e9",
        "verdict": "#029e73",
        "publications": "#029e73",
        "baseline's noise": "#949494",
        "replicates": "#949494",
    }
    rows = range(len(spending))
    colours = [kinds.get(name, "#d55e00") for name in spending["went_to"]]
    ax.barh(list(rows), spending["device_hours"], color=colours, height=0.66)
    for row, part in zip(rows, records(spending), strict=True):
        share = f"{part['share']:.0%}" if part["share"] >= 0.01 else "under 1%"
        words = f"{share}, {part['trials']} trial{'s' if part['trials'] != 1 else ''}"
        ax.annotate(
            words,
            (part["device_hours"], row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            size="small",
            color=_INK,
        )
    ax.set_yticks(list(rows), spending["went_to"])
    ax.set_ylim(len(spending) - 0.5, -0.5)
    ax.margins(x=0.18)
    ax.grid(visible=False, axis="y")
    return ax


def _say(ax: "Axes", words: str) -> "Axes":
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", color=_QUIET_COLOUR)
    return ax
