"""Do real edits add? Single edits of the baseline and merges of those that help, trained for real.

Three steps, all at the same number of tokens and scored at a quarter of them, too:

1. *Single edits* of the baseline (``benchmarks.single_edits``), each with the same seeds as the
   baseline; what trains as the baseline does to the last bit is no edit there and is left out.
2. *Merges*: sets of two to six of the edits that the search's own posterior believes to help,
   united by its own guided crossover. What it predicts of each is fixed before any of them trains.
3. *Fresh seeds*, which had no part in choosing: the merges, every edit in one of them, and the
   baseline. So the sum of the single gains and the gain of all together are free of the luck by
   which edits were chosen.

    python -m benchmarks.additivity --core 0

What was trained is kept by the genome's hash, so that the same command goes on where it was ended;
then its readings are written down with a page and a figure, which `benchmarks.additivity_page`
makes again of readings alone.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from numpy.random import Generator, default_rng
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agents import ArchivedEdit, Context, GuidedCrossover, Parent, Refusal
from agents.guided import CANDIDATES, LEAST_EFFECT, MOST_EDITS
from benchmarks.additivity_page import write_page
from benchmarks.edit_readings import FRESH, SNAPSHOT_AT, Readings, Trained, posterior
from benchmarks.effect_tables import at_profile
from benchmarks.effects import Measurement, Notebook
from benchmarks.single_edits import SingleEdit, root, single_edits, united_edit
from benchmarks.trainers import TrainerError, Trainers, with_trainer_settings
from evolution.noise import Posterior
from evolution.profiles import profile_names
from evolution.ruler import Ruler
from evolution.templates import template_path
from population import Genome

#: Sets that are drawn for each merge that is wanted, before it is known that there are no more.
PATIENCE = 10


class Bench:
    """Trains genomes and keeps what came out."""

    def __init__(self, measurement: Measurement, bar: Progress) -> None:
        self._measurement, self._bar = measurement, bar
        self.failed: dict[str, str] = {}

    def train(self, edits: Sequence[SingleEdit], seeds: Sequence[int], words: str) -> None:
        """Every edit with the first seed, then with the next: what is cut short is still even."""
        task = self._bar.add_task(words, total=len(edits) * len(seeds))
        for seed in seeds:
            for edit in edits:
                if edit.sha not in self.failed:
                    try:
                        self._measurement.run(edit.text, self._measurement.tokens, seed)
                    except TrainerError as error:
                        self.failed[edit.sha] = str(error)
                        print(f"{edit.what}: {error}", file=sys.stderr)
                self._bar.advance(task)

    def trained(self, edit: SingleEdit, seeds: Iterable[int]) -> Trained:
        """What is known of an edit; training what is not."""
        runs = {}
        for seed in seeds:
            run = self._measurement.run(edit.text, self._measurement.tokens, seed)
            if run is not None:
                runs[seed] = run
        return Trained(
            sha=edit.sha,
            source=edit.variant.operator,
            what=edit.what,
            adds=edit.variant.adds,
            finals={seed: run.val_bpb for seed, run in runs.items()},
            snapshots={
                seed: run.snapshot_bpb for seed, run in runs.items() if run.snapshot_bpb is not None
            },
        )


def drawn_merges(
    baseline: str,
    edits: Sequence[SingleEdit],
    belief: Posterior,
    *,
    count: int,
    rng: Generator,
) -> tuple[list[tuple[SingleEdit, tuple[float, float]]], Counter[str]]:
    """Merges with what is expected of each, and how sets of edits fared on the way.

    First the best two to six edits, then sets drawn from all that a guided crossover looks at.
    """
    effects = belief.edit_means([edit.sha for edit in edits])
    helpful = [edit for edit in edits if -effects[edit.sha] > LEAST_EFFECT * belief.sigma]
    helpful = sorted(helpful, key=lambda edit: effects[edit.sha])[:CANDIDATES]
    counts: Counter[str] = Counter({"helpful": len(helpful)})
    found: dict[str, tuple[SingleEdit, tuple[float, float]]] = {}
    sizes = list(range(2, min(MOST_EDITS, len(helpful)) + 1))
    for turn in range(PATIENCE * count if sizes else 0):
        if len(found) == count:
            break
        size = sizes[turn % len(sizes)]
        order = range(size) if turn < len(sizes) else rng.permutation(len(helpful))[:size].tolist()
        some = [helpful[number] for number in order]
        merged = _merged(baseline, some, effects, belief.sigma, rng)
        if merged is None:  # too little to hope for, all together
            continue
        counts["drawn"] += size
        counts["went in"] += len(merged.variant.adds)
        if len(merged.variant.adds) > 1 and merged.sha not in found:
            hope = belief.together(merged.variant.adds)
            found[merged.sha] = merged, (hope.mean, hope.sd)
    return list(found.values()), counts


def _merged(
    baseline: str,
    edits: Sequence[SingleEdit],
    effects: Mapping[str, float],
    sigma: float,
    rng: Generator,
) -> SingleEdit | None:
    """As many of the edits as go together, by the operator that a run asks."""
    genome, start = Genome.single(baseline), root(baseline)
    context = Context(
        parents=[Parent(start, genome)],
        baseline=genome,
        seen=frozenset(),
        rng=rng,
        sigma=sigma,
        archive=lambda: [
            ArchivedEdit(
                edit.variant,
                -effects[edit.sha],
                False,
                lambda after=edit.text: (genome, Genome.single(after)),  # type: ignore[misc]
            )
            for edit in edits
        ],
    )
    proposal = GuidedCrossover(may_drop=False).propose(context)
    if isinstance(proposal, Refusal):
        return None
    chosen = [edit for edit in edits if edit.sha in proposal.adds]
    return united_edit(proposal.genome.main, start, chosen)


def measure(bench: Bench, baseline: str, options: argparse.Namespace, tokens: int) -> Readings:
    """All three steps."""
    seeds = list(range(1, options.rng_seeds + 1))
    fresh = list(range(FRESH, FRESH + options.fresh))
    start = SingleEdit(root(baseline), baseline)
    edits = single_edits(baseline, options.profile, drawn=options.drawn, rng_seed=options.rng_seed)
    of_baseline = list(range(1, max(options.rng_seeds, options.baseline_seeds) + 1))
    bench.train([start], of_baseline, "baseline")
    bench.train(edits, seeds, "single edits")
    edits = [edit for edit in edits if edit.sha not in bench.failed]
    singles = {edit.sha: bench.trained(edit, seeds) for edit in edits}
    plain = bench.trained(start, of_baseline)
    same = {sha for sha, row in singles.items() if row.finals == plain.on(seeds).finals}
    edits = [edit for edit in edits if edit.sha not in same]
    # The baseline's other seeds would count what these seeds share for a gain of every edit.
    known = Readings(
        options.profile, tokens, plain.on(seeds), tuple(singles[e.sha] for e in edits), (), {}
    )
    merges, counts = drawn_merges(
        baseline,
        edits,
        posterior(known),
        count=options.merges,
        rng=default_rng(options.rng_seed),
    )
    used = {sha for merge, _ in merges for sha in merge.variant.adds}
    parts = [edit for edit in edits if edit.sha in used]
    together = [merge for merge, _ in merges]
    failed_edits = len(bench.failed)
    bench.train([start, *together, *parts], fresh, "merges and their edits")
    merges = [(merge, hope) for merge, hope in merges if merge.sha not in bench.failed]
    parts_seeds = {edit.sha: [*seeds, *(fresh if edit.sha in used else [])] for edit in edits}
    return Readings(
        profile=options.profile,
        tokens=tokens,
        baseline=bench.trained(start, [*of_baseline, *fresh]),
        edits=tuple(
            bench.trained(edit, parts_seeds[edit.sha])
            for edit in edits
            if edit.sha not in bench.failed
        ),
        merges=tuple(
            replace(bench.trained(merge, fresh), predicted=hope) for merge, hope in merges
        ),
        counts={
            **counts,
            "failed edits": failed_edits,
            "failed merges": len(bench.failed) - failed_edits,
            "same as the baseline": len(same),
        },
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is not known yet; write readings, page and figure."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=profile_names(), default="tiny")
    parser.add_argument("--steps", type=int, default=60, help="steps of the baseline")
    parser.add_argument("--drawn", type=int, default=26, help="edits of each built-in operator")
    parser.add_argument("--rng-seeds", type=int, default=4, help="pairs of each edit")
    parser.add_argument("--baseline-seeds", type=int, default=8)
    parser.add_argument("--fresh", type=int, default=4, help="pairs of merges and their edits")
    parser.add_argument("--merges", type=int, default=26)
    parser.add_argument("--rng-seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--core", type=int, default=None, help="pin trainers to this core")
    parser.add_argument("--cache", type=Path, default=Path("build/additivity.json"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/additivity.json"))
    options = parser.parse_args(arguments)
    if min(options.rng_seeds, options.fresh, options.merges) < 2:
        raise SystemExit(
            f"--rng-seeds is {options.rng_seeds}, --fresh {options.fresh} and --merges "
            f"{options.merges}: an interval needs two of each. Raise them."
        )
    with_trainer_settings()
    baseline = at_profile(template_path("train.py").read_text(encoding="utf-8"), options.profile)
    data = Ruler.load(template_path("prepare.py")).prepare(options.profile)
    measurement = Measurement(
        Trainers(data.path, options.core),
        Notebook(options.cache),
        baseline,
        data_hash=data.data_hash,
        seq_len=data.seq_len,
        steps=options.steps,
        rng_seeds=range(1, options.rng_seeds + 1),
        snapshot_at=SNAPSHOT_AT,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        readings = measure(Bench(measurement, bar), baseline, options, measurement.tokens)
    readings.write(options.output)
    write_page(readings, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
