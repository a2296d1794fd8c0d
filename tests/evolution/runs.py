"""Runs for tests: a real folder, repository and database; a scripted executor plays the trials."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents import Context, Operator, Proposal, Refusal
from evolution.commissions import Staff
from evolution.config import EvolutionConfig
from evolution.engine import Ending, Engine
from evolution.executors import Job, Performance, ScriptedExecutor
from evolution.workspace import Workspace, create_run, open_run
from population import (
    Failure,
    FailureClass,
    Origin,
    Outcome,
    RunPaths,
    Snapshot,
    TrialStatus,
    canonical_hash,
    knobs,
    set_knobs,
)

SIGMA = 0.003
#: What the world of these tests rewards: knobs that a mutation may set, and their effect in bpb.
EFFECTS = {"ROPE_BASE": -0.03, "MATRIX_LR": -0.02, "SOFTCAP": 0.05, "EMBED_STD": 0.0}


def settings(**changes: Any) -> EvolutionConfig:
    """Settings of a short run on the ``tiny`` profile; dotted keys with ``__`` change them."""
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    defaults: dict[str, Any] = {
        "run.profile": "tiny",
        "limits.trials": 6,
        "population.seeds": "",
        "verdict.max_pairs": 3,
    }
    return EvolutionConfig.from_mapping({}, defaults | overrides)


def a_run(folder: Path, **changes: Any) -> RunPaths:
    """A new run in ``folder``."""
    name = changes.pop("name", "night")
    return create_run(folder, settings(**changes), name=name)


class Twiddle:
    """Doubles one of the knobs that matter in the world of these tests."""

    name = "knob"
    parent_count = 1

    def propose(self, context: Context) -> Proposal | Refusal:
        """One of the knobs, times two."""
        parent = context.parents[0]
        present = knobs(parent.genome.main)
        name = str(context.rng.choice(list(EFFECTS)))
        text = set_knobs(parent.genome.main, {name: 2 * present[name]})  # type: ignore[operator]
        genome = parent.genome.with_main(text)
        if canonical_hash(genome) in context.seen:
            return Refusal(self.name, "tried before")
        return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, f"{name} × 2")


class Steps(Twiddle):
    """Always finds something new: a knob that does nothing, or one of those that matter."""

    def propose(self, context: Context) -> Proposal | Refusal:
        proposal = super().propose(context)
        if isinstance(proposal, Proposal):
            return proposal
        parent = context.parents[0]
        text = set_knobs(parent.genome.main, {"EMBED_STD": 1 + float(context.rng.random())})
        genome = parent.genome.with_main(text)
        return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "EMBED_STD")


def truth(job: Job) -> float:
    """What the world of these tests gives a genome: each doubled knob counts once."""
    start = {"ROPE_BASE": 10000.0, "MATRIX_LR": 0.04, "SOFTCAP": 15.0, "EMBED_STD": 1.0}
    present = knobs(job.genome.main)
    return 2.0 + sum(EFFECTS[name] for name in EFFECTS if present[name] != start[name])


def world(job: Job) -> Performance:
    """A trial's outcome: truth and seed noise, with a snapshot at a quarter of the budget."""
    chance = random.Random(f"{job.conditions.rng_seed} {truth(job):.4f}")
    score = truth(job) + chance.gauss(0, SIGMA)
    snapshots = tuple(
        Snapshot(fraction, score + offset + chance.gauss(0, SIGMA / 2))
        for fraction, offset in ((0.1, 0.9), (0.25, 0.5), (0.5, 0.2))
    )
    outcome = Outcome(
        status=TrialStatus.COMPLETE,
        val_bpb=score,
        total_seconds=10.0,
        train_seconds=9.0,
        snapshots=snapshots,
    )
    return Performance(outcome, duration_seconds=8 + 4 * chance.random())


def crash(kind: FailureClass, message: str = "it broke") -> Outcome:
    """A trial without a score."""
    return Outcome(status=TrialStatus.CRASHED, failure=Failure(kind, message))


@contextmanager
def an_engine(
    paths: RunPaths,
    executor: ScriptedExecutor | None = None,
    operators: Mapping[str, Operator] | None = None,
    after_turn: Callable[[Engine, int], None] | None = None,
    staff: Callable[[Workspace], Staff] | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[tuple[Engine, Workspace, ScriptedExecutor]]:
    """An engine on an open run; by default two workers in the world of these tests."""
    executor = executor or ScriptedExecutor(world, slot_count=2)
    with open_run(paths) as workspace:
        turns = itertools.count(1)

        def watch(_: Mapping[int, float]) -> None:
            if after_turn is not None:
                after_turn(engine, next(turns))

        engine = Engine(
            workspace,
            executor,
            operators or {"knob": Twiddle()},
            measure_baseline=executor.calibrate_baseline,
            staff=staff(workspace) if staff is not None else None,
            clock=clock,
            watch=watch,
        )
        yield engine, workspace, executor


def run_in_cuts(
    paths: RunPaths, cut: int | None, operators: Mapping[str, Operator] | None = None
) -> None:
    """Run to the end with an engine that is killed after every ``cut`` trials; None lets it be.

    One worker: nothing is in flight when it is killed.
    """
    while True:
        executor = ScriptedExecutor(world, slot_count=1)
        with an_engine(paths, executor, operators) as (engine, workspace, _):
            if cut is None:
                assert engine.run() is Ending.FINISHED
                return
            engine._begin()
            before = len([t for t in workspace.store.trials() if t.status.is_final])
            while not engine._is_over():
                engine.step()
                after = len([t for t in workspace.store.trials() if t.status.is_final])
                if after - before >= cut:
                    break  # the process is gone: nothing is closed in order
            else:
                return
