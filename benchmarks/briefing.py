"""What does the briefing of one proposal cost late in a long run?

A run's database is filled with trials of made-up variants: each a child of an earlier one. Then a
briefing is gathered and shown again and again, with a new belief each time (as after each finished
trial) or the same. Diffs and genomes come from memory, as those of an engine that is up.

    python -m benchmarks.briefing --trials 5000 --fitted 300
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from agents import Context, Parent
from agents.briefing import shown_briefing
from evolution.breeding import Breeder, Field, Knowledge
from evolution.briefings import Briefings
from evolution.noise import Reading, VariantNode, fit
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Conditions,
    Failure,
    FailureClass,
    Fitness,
    Genome,
    Lineage,
    Manual,
    Origin,
    Outcome,
    Purpose,
    RunRecord,
    RunState,
    Store,
    TrialStatus,
    Variant,
)

CONDITIONS = Conditions(Budget(BudgetKind.TOKENS, 1e4), 1)


def variants_of(count: int, rng: np.random.Generator) -> list[Variant]:
    """A family tree: each a child of one of the last forty."""
    made: list[Variant] = []
    for n in range(count):
        parents = (made[max(0, n - 1 - int(rng.integers(40)))].sha,) if made else ()
        generation = 1 + next((v.generation for v in made[::-1] if v.sha in parents), -1)
        origin = Origin.MUTATION if parents else Origin.BASELINE
        name = f"g{generation:03d}-{n:03d}"
        idea = f"idea {n}"
        made.append(
            Variant(f"{n:040x}", name, generation, parents, origin, "knob", idea, f"{n:064x}", n)
        )
    return made


def filled(store: Store, variants: list[Variant], rng: np.random.Generator) -> dict[str, float]:
    """One finished trial a variant; a tenth of them fail."""
    scores: dict[str, float] = {}
    for variant in variants:
        store.add_variant(variant)
        trial = store.queue_trial(
            variant.sha, purpose=Purpose.SCREEN, conditions=CONDITIONS, at=0.0
        )
        store.start_trial(trial.id, slot=0, lease_seconds=1.0, at=0.0)
        before = scores.get(variant.parents[0], 2.0) if variant.parents else 2.0
        failure = Failure(FailureClass.ERROR, "it broke", "a line of its log\n" * 20)
        outcome = Outcome(TrialStatus.CRASHED, failure=failure)
        if not variant.parents or rng.random() > 0.1:
            scores[variant.sha] = before + 0.003 * float(rng.normal())
            outcome = Outcome(TrialStatus.COMPLETE, scores[variant.sha], train_seconds=9.0)
        store.finish_trial(trial.id, 1, outcome, at=1.0)
    return scores


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--fitted", type=int, default=0, help="variants in the belief; 0 for none")
    parser.add_argument("--repeats", type=int, default=20)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    variants = variants_of(asked.trials, rng)
    record = RunRecord("long", 0.0, RunState.RUNNING, {}, "r", "d", None, 0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "run.db", record)
        scores = filled(store, variants, rng)
        measure(store, variants, scores, asked)
        store.close()


def measure(
    store: Store, variants: list[Variant], scores: dict[str, float], asked: argparse.Namespace
) -> None:
    """Time briefings of the variant with the best score."""
    genome = Genome.single(template_path("train.py").read_text(encoding="utf-8"))
    breeder = cast("Breeder", SimpleNamespace(genome=lambda _: genome, diff=lambda _: "-a\n+b\n"))
    known = variants[: asked.fitted]
    nodes = [VariantNode.of(v) for v in known]
    readings = [Reading(v.sha, scores[v.sha], n) for n, v in enumerate(known) if v.sha in scores]
    belief = fit(nodes, readings) if known else None
    best = sorted(scores, key=lambda sha: scores[sha])
    fitnesses = {sha: Fitness(scores[sha], 0.002, 1) for sha in best}
    parent = next(v for v in variants if v.sha == best[0])
    briefings = Briefings(store=store, breeder=breeder)
    by_sha, lineage = {v.sha: v for v in variants}, Lineage(variants)
    gathered, shown = [], []
    for _ in range(asked.repeats):
        knowledge = Knowledge(dict(fitnesses), 0.003, (), Manual(), belief)
        field = Field(
            by_sha, [(parent.sha, fitnesses[parent.sha])], lineage, frozenset(), knowledge
        )
        began = time.perf_counter()
        made = briefings.briefing([parent.sha], field)
        gathered.append(time.perf_counter() - began)
        began = time.perf_counter()
        context: Any = Context(
            (Parent(parent, genome),), genome, frozenset(), np.random.default_rng(0), briefing=made
        )
        shown_briefing(context)
        shown.append(time.perf_counter() - began)
    for name, times in (("gathered", gathered), ("shown", shown)):
        first, rest = 1e3 * times[0], 1e3 * statistics.median(times[1:])
        print(f"{name}: first {first:.1f} ms, then {rest:.1f} ms (median of {len(times) - 1})")


if __name__ == "__main__":
    main()
