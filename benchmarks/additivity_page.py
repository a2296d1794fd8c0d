"""Page and figure of what `benchmarks.additivity` measured, beside the engine's own constants.

    python -m benchmarks.additivity_page docs/results/additivity.json

writes ``additivity.md`` and ``additivity.png`` beside the readings.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.guided import LEAST_EFFECT, MOST_EDITS
from analysis.style import figure_style, new_figure
from benchmarks.additivity_figures import Findings, findings
from benchmarks.agents import Figures
from benchmarks.edit_readings import SNAPSHOT_AT, Readings
from benchmarks.effect_spread import FREEDOMS
from benchmarks.seed_noise import Estimate
from evolution.mixed_model import EFFECT_DF, SCALE_START, SEED_SHARE

FIGURE = (10.5, 3.4)  # inches


def page(readings: Readings, found: Findings, command: str) -> str:
    """All of it, for people."""
    fresh = len(readings.merges[0].finals)
    pairs = len(readings.chosen_by().baseline.finals)
    parts = [
        "# Do real edits add?",
        "",
        f"`{command}`: {found.edit_count} single edits of the baseline, {pairs} paired seeds each, "
        f"and {len(found.sums.sizes)} merges of two to {MOST_EDITS} of those that the search's own "
        f"posterior believed to help, on {fresh} fresh seeds with their edits and the baseline. "
        f"Profile `{readings.profile}`, {readings.tokens:,} tokens each: equal tokens, not equal "
        f"work. Snapshots at {SNAPSHOT_AT:g} of them. Figures in thousandths of a bit per byte "
        "(mbpb), or in σ, the seed noise of one run; 95 % intervals in brackets.",
        "",
        "## The constants of the search",
        "",
        _table(
            ("what", "the search takes", "measured", "told apart"),
            [
                _constant("effect of an edit, in σ", SCALE_START.effect, found.effect.scale),
                _constant("degrees of freedom of effects", EFFECT_DF, found.effect.df),
                _constant("only in company, in σ", SCALE_START.company, _company(found)),
                _constant(
                    "at the snapshot beyond the end, in σ", SCALE_START.curve, found.curve.scale
                ),
                _constant("a snapshot's own noise, in σ", SCALE_START.snapshot, found.snapshot),
                _constant("of seed noise in a snapshot", SEED_SHARE, found.seed_share),
            ],
        ),
        "",
        _own_scales(found),
        "",
        "## Noise",
        "",
        _table(
            ("what", "measured"),
            [
                ("σ, mbpb", found.sigma.text(1000, 1)),
                ("correlation of paired seeds, of any two genomes", found.pair.text()),
                (
                    "the same of an edit with the baseline, quartiles",
                    ", ".join(f"{each:.2f}" for each in found.pair_quartiles),
                ),
                ("least effect of one edit found four times in five, mbpb", _mbpb(found)),
                ("edits told from nought, each for itself", f"{found.told} of {found.edit_count}"),
            ],
        ),
        "",
        "## Snapshot and score",
        "",
        _table(
            ("what", "correlation"),
            [
                ("ranks of edits, means over seeds", found.rank_of_means.text()),
                ("ranks of single runs of one seed", found.rank_of_runs.text()),
                ("the same without disasters (beyond 5 σ)", found.rank_near.text()),
                ("over the seeds of one genome", found.seed_correlation.text()),
            ],
        ),
        "",
        "## Merges",
        "",
        _table(
            ("what", "measured"),
            [
                (
                    "realised on predicted gain, slope through the origin",
                    found.realised_on_predicted.text(),
                ),
                (
                    "what the edits gain alone, summed, on predicted",
                    found.parts_on_predicted.text(),
                ),
                ("lost in company, mbpb a merge", found.lost.text(1000, 1)),
                (
                    "the same, errors that merges share weighed",
                    found.company.mean.text(1000, 1),
                ),
                ("merges in the model's 95 % interval", _shown(found.covered)),
                ("their single edits in theirs, fresh seeds", _shown(found.covered_parts)),
            ],
        ),
        "",
        _table(
            ("edits in a merge", "merges", "predicted, mbpb", "alone, summed", "realised"),
            _by_size(found),
        ),
        "",
        f"What was expected of a single edit, and what it gained on fresh seeds; the guided "
        f"crossover takes edits from {LEAST_EFFECT:g} σ on:",
        "",
        _table(
            ("expected", "edits", "expected, mbpb", "gained"),
            [
                (name, str(count), f"{1000 * hoped:.1f}", f"{1000 * gained:.1f}")
                for name, (count, hoped, gained) in found.bands.items()
            ],
        ),
        "",
        _left_out(found),
        "",
        "![Predicted and realised gains, effects, snapshots](additivity.png)",
        "",
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _constant(what: str, taken: float, measured: Estimate) -> tuple[str, str, str, str]:
    told = "no" if measured.holds(taken) else "yes"
    return what, f"{taken:g}", measured.text(), told


def _company(found: Findings) -> Estimate:
    scale, sigma = found.company.scale, found.sigma.value
    return Estimate(scale.value / sigma, scale.low / sigma, scale.high / sigma)


def _mbpb(found: Findings) -> str:
    return f"{1000 * found.detectable:.1f}"


def _own_scales(found: Findings) -> str:
    before, after = found.before, found.after
    return (
        "Effects and what edits do at the snapshot are fitted as Student's t with "
        f"{EFFECT_DF:g} degrees of freedom, each source of edits with a mean of its own; fewer "
        f"than {min(FREEDOMS):g} are not tried. "
        "The search's own fit gave "
        f"effect {before.effect:.2f}, curve {before.curve:.2f}, snapshot {before.snapshot:.2f} "
        f"before any merge, and effect {after.effect:.2f}, company {after.company:.2f}, curve "
        f"{after.curve:.2f}, snapshot {after.snapshot:.2f} with all readings. A t is "
        f"{found.effect.better:+.1f} likelier (natural logarithm) than a normal distribution."
    )


def _shown(figures: Figures) -> str:
    return (
        f"{figures['count']} of {figures['of']}, {figures['share']:.0%} "
        f"({figures['low']:.0%} to {figures['high']:.0%})"
    )


def _by_size(found: Findings) -> list[tuple[str, ...]]:
    rows = []
    for size in sorted(set(found.sums.sizes.tolist())):
        some = found.sums.sizes == size
        means = (
            f"{1000 * float(np.mean(values[some])):.1f}"
            for values in (found.sums.predicted, found.sums.parts, found.sums.realised)
        )
        rows.append((str(size), str(int(some.sum())), *means))
    return rows


def _left_out(found: Findings) -> str:
    counts = found.counts
    return (
        f"Left out: {counts['same as the baseline']} edits that train as the baseline to the last "
        f"bit, {counts['failed edits']} that fail, and of the merges {counts['failed merges']}. "
        f"Of {counts['drawn']} edits in sets that were drawn among the {counts['helpful']} most "
        f"promising, {counts['went in']} went in: the others clash with one before them, in text "
        "or in a knob."
    )


def save_figure(readings: Readings, found: Findings, path: Path) -> None:
    """Merges, effects, and snapshots against scores."""
    chosen = readings.chosen_by()
    plain = chosen.baseline
    seeds = sorted(plain.finals)
    effects = 1000 * np.array(
        [np.mean([e.finals[s] - plain.finals[s] for s in seeds]) for e in chosen.edits]
    )
    early = 1000 * np.array(
        [np.mean([e.snapshots[s] - plain.snapshots[s] for s in seeds]) for e in chosen.edits]
    )
    sources = [edit.source for edit in chosen.edits]
    with figure_style():
        import seaborn as sns

        figure = new_figure(*FIGURE)
        left, middle, right = figure.subplots(1, 3)
        gains = found.sums
        sns.scatterplot(
            x=1000 * gains.predicted,
            y=1000 * gains.realised,
            hue=gains.sizes,
            palette="viridis",
            ax=left,
        )
        low, high = 0.0, 1050 * float(max(gains.predicted.max(), gains.realised.max()))
        left.plot([low, high], [low, high], color="grey", linewidth=0.8)
        found_slope = found.realised_on_predicted.value
        left.plot([low, high], [low, found_slope * high], color="firebrick", linewidth=1.2)
        left.set(xlabel="predicted gain, mbpb", ylabel="realised gain, mbpb", title="merges")
        left.legend(title="edits", frameon=False, fontsize="small", title_fontsize="small")
        sns.stripplot(x=effects, y=sources, hue=sources, size=4, alpha=0.8, ax=middle, legend=False)
        middle.axvline(0.0, color="grey", linewidth=0.8)
        middle.set_xscale("symlog", linthresh=20)
        middle.set(xlabel="effect, mbpb (below 0 helps)", ylabel="", title="single edits")
        sns.scatterplot(x=early, y=effects, hue=sources, s=24, alpha=0.8, ax=right)
        for axis in ("x", "y"):
            getattr(right, f"set_{axis}scale")("symlog", linthresh=20)
        right.set(
            xlabel="effect at the snapshot, mbpb",
            ylabel="effect at the end, mbpb",
            title="snapshots",
        )
        right.legend(frameon=False, fontsize="small")
        figure.savefig(path)


def write_page(readings: Readings, path: Path) -> None:
    """Page and figure beside the file of the readings."""
    found = findings(readings)
    pairs, fresh = len(readings.chosen_by().baseline.finals), len(readings.merges[0].finals)
    command = f"python -m benchmarks.additivity --rng-seeds {pairs} --fresh {fresh}"
    text = page(readings, found, command)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    save_figure(readings, found, path.with_suffix(".png"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page of readings that were kept."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readings", type=Path)
    path = parser.parse_args(arguments).readings
    write_page(Readings.read(path), path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
