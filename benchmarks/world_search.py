"""The engine on a world: the run's own code, folder, git and database, with virtual trainings."""

import functools
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents import (
    Context,
    Crossover,
    GuidedCrossover,
    KnobEdit,
    Operator,
    Proposal,
    Refusal,
    Tuner,
)
from benchmarks.courses import Course
from benchmarks.coverage import places
from benchmarks.worlds import (
    CRASH_SHARE,
    FULL_SECONDS,
    SETUP_SECONDS,
    SNAPSHOT,
    Landscape,
)
from evolution.config import EvolutionConfig, OperatorSettings
from evolution.engine import Engine
from evolution.executors import Job, Performance, ScriptedExecutor
from evolution.workspace import create_run, open_run
from population import (
    Calibration,
    Failure,
    FailureClass,
    Origin,
    Outcome,
    Snapshot,
    Store,
    TrialStatus,
    canonical_hash,
)


class PartEdit:
    """Sets one part of a world's genome to another option: what a mutation by a model is there."""

    name = "structure"
    parent_count = 1

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape

    def propose(self, context: Context) -> Proposal | Refusal:
        """One edit of the parent, drawn evenly."""
        parent = context.parents[0]
        text = self._landscape.edited(parent.genome.main, context.rng)
        if text is None:
            return Refusal(self.name, "there are no parts")
        genome = parent.genome.with_main(text)
        if canonical_hash(genome) in context.seen:
            return Refusal(self.name, "tried before")
        return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "another option")


def operators_of(landscape: Landscape) -> dict[str, Operator]:
    """Edits of parts, and the shipped operators for knobs and merges."""
    operators: list[Operator] = [KnobEdit(), Tuner(), Crossover(), GuidedCrossover()]
    if landscape.world.parts:
        operators.append(PartEdit(landscape))
    return {operator.name: operator for operator in operators}


def played(landscape: Landscape, job: Job) -> Performance:
    """How a training of a world's genome goes."""
    measured = landscape.measure(job.genome.main, job.conditions.rng_seed)
    if measured.bpb is None or measured.snapshot is None:
        failure = Failure(FailureClass.ERROR, "it does not train")
        lost = SETUP_SECONDS + CRASH_SHARE * FULL_SECONDS
        outcome = Outcome(TrialStatus.CRASHED, failure=failure, total_seconds=lost)
        return Performance(outcome, CRASH_SHARE * FULL_SECONDS, SETUP_SECONDS)
    seconds = measured.seconds - SETUP_SECONDS
    outcome = Outcome(
        TrialStatus.COMPLETE,
        measured.bpb,
        train_seconds=seconds,
        total_seconds=measured.seconds,
        snapshots=(Snapshot(SNAPSHOT, measured.snapshot),),
    )
    return Performance(outcome, seconds, SETUP_SECONDS)


def settings_of(seed: int, changes: Mapping[str, Any]) -> EvolutionConfig:
    """The shipped settings, for a script that reports bits per byte; dotted keys change them.

    Its operators are those of the built-in task: a script of one's own has others.
    """
    task: dict[str, Any] = {
        **{f"operators.{name}": weight for name, weight in OperatorSettings()},
        "task.files": ["train.py"],
        "task.metric": "val_bpb",
        "task.unit": "bpb",
        "run.rng_seed": seed,
        "limits.trials": 1_000_000,
        "population.seeds": "",
    }
    return EvolutionConfig.from_mapping({}, task | dict(changes))


def evolved(
    landscape: Landscape,
    seed: int,
    *,
    workers: int,
    device_seconds: float,
    settings: Mapping[str, Any] | None = None,
) -> Course:
    """One search of the engine with its shipped settings, before any verdict.

    What it would hand over is the variant of the best posterior mean: what `evolve status` calls
    the champion.

    Args:
        landscape: Searched.
        seed: Of all chance of the search.
        workers: Trainings at once.
        device_seconds: To spend, of all workers together; the baseline's repeats count.
        settings: Changes to the shipped ones, by dotted key.
    """
    course = Course("evoresearch", landscape.world.name, landscape.number, seed, workers)
    executor = ScriptedExecutor(lambda job: played(landscape, job), slot_count=workers)

    @functools.cache
    def truth(champion: str) -> float | None:
        return landscape.truth(workspace.branches.genome(champion).main)

    def watch(_: Mapping[int, float]) -> None:
        spent = executor.now * workers
        champion = workspace.store.champion()
        if champion is not None:
            course.add(spent, truth(champion))
        if spent >= device_seconds:
            engine.request_stop()

    def no_price() -> Calibration:
        raise AssertionError("a budget of seconds has no price")

    with tempfile.TemporaryDirectory(prefix="evoresearch-world-") as scratch:
        project = Path(scratch)
        (project / "train.py").write_text(landscape.start, encoding="utf-8")
        config = settings_of(seed, settings or {})
        paths = create_run(project / "runs", config, name="world", project=project)
        with open_run(paths) as workspace:
            engine = Engine(
                workspace,
                executor,
                operators_of(landscape),
                measure_baseline=no_price,
                clock=lambda: executor.now,
                watch=watch,
            )
            engine.run()
            course.trials = len(workspace.store.trials())
            course.operators = dict(Counter(v.operator for v in workspace.store.variants()))
            course.claims = claims(workspace.store, truth)
            course.places = dict(places(workspace.store, landscape, workspace.branches.genome))
    return course


def claims(store: Store, truth: Callable[[str], float | None]) -> dict[str, list[float]]:
    """True gain of each champion over the one before it, in bpb.

    Those that were ``published``; those that were ``nominated`` for it, whatever came of them; and
    those that each had the best ``score`` so far, which is what a search without statistics keeps.
    """

    def gain(variant: str, before: str) -> float:
        own, other = truth(variant), truth(before)
        return -math.inf if own is None else math.inf if other is None else other - own

    publications = store.publications()
    best, before, of_scores = math.inf, store.run().baseline or "", []
    ended = [t for t in store.trials() if t.purpose.informs and t.outcome is not None]
    for trial in sorted(ended, key=lambda trial: (trial.finished_at or 0.0, trial.id)):
        score = trial.outcome.val_bpb if trial.outcome is not None else None
        if score is None or score >= best:
            continue
        if math.isfinite(best) and trial.variant != before:
            of_scores.append(gain(trial.variant, before))
        best, before = score, trial.variant
    return {
        "published": [gain(p.variant, p.before) for p in publications if p.is_published],
        "nominated": [gain(p.variant, p.before) for p in publications],
        "score": of_scores,
    }
