"""The overview: the one figure that a run leaves behind, frontier above family tree."""

import math
from pathlib import Path

import pandas as pd

from analysis.family_tree import draw_family_tree
from analysis.frames import records, trials_frame, variants_frame, verdicts_frame
from analysis.frontier import plot_frontier, rung_words, sealed_words
from analysis.scale import Scale
from analysis.style import figure_style, new_figure
from population import Store


def save_overview(store: Store, path: Path) -> Path:
    """Write the frontier above the family tree as one PNG; returns ``path``.

    Draws on a canvas of its own, without any display or global state.
    """
    variants, trials, metric = variants_frame(store), trials_frame(store), store.metric()
    with figure_style():
        figure = new_figure(12, 10.5)
        above, below = figure.subplots(2, 1, height_ratios=[1, 1.35])
        plot_frontier(trials, variants, ax=above, metric=metric)
        champions = variants.loc[variants["is_champion"], "variant"]
        champion = str(champions.iloc[0]) if len(champions) else None
        draw_family_tree(store.variants(), variants, ax=below, champion=champion, metric=metric)
        findings, headline = _findings(store, variants), _headline(store, variants)
        pad = 21 + 15 * (findings.count("\n") or 1)
        above.set_title(headline, loc="left", size="x-large", weight="bold", pad=pad)
        above.text(0, 1.02, findings, transform=above.transAxes, color="#50555c")
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
    scale = Scale.of(store.metric(), variants)
    champions = variants[variants["is_champion"] & (variants["origin"] != "baseline")]
    words = [
        f"posterior gain over the baseline {scale.gain(gain, sd)} {scale.gain_unit} ({scale.how})"
        for gain, sd in zip(
            champions["gain"].astype(float), champions["gain_sd"].astype(float), strict=True
        )
        if math.isfinite(gain)
    ]
    verdicts = store.verdicts()
    if not verdicts:
        return "\n".join([*words, "no verdict yet"])
    last = verdicts[-1]
    if last.champion is None:
        return "\n".join([*words, f"verdict {last.label}: no claim was made"])
    rungs = verdicts_frame(store)
    rungs = rungs[rungs["verdict"] == last.label]
    said = "  ·  ".join(rung_words(rung, scale) for rung in records(rungs))
    words.append(f"verdict on {store.variant(last.champion).name}: {said}")
    sealed = [line for rung in records(rungs) if (line := sealed_words(rung, scale))]
    return "\n".join([*words, *(["  ·  ".join(sealed)] if sealed else [])])
