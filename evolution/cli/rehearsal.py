"""A rehearsal: the engine of a run whose trials are made up, for ``--dry-run``."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evolution.engine import Engine
from evolution.executors import Performance, ScriptedExecutor
from evolution.operators import built_in
from evolution.workspace import Workspace
from population import Direction, Outcome, Snapshot, TrialStatus

if TYPE_CHECKING:
    from evolution.executors import Job


@contextmanager
def rehearsal(
    workspace: Workspace, *, watch: Callable[[Mapping[int, float]], None] | None = None
) -> Iterator[Engine]:
    """An engine that trains nothing: the twin of ``evolution.sitting.sitting``."""
    count = workspace.config.worker_count()
    level = 1.6 if workspace.task.metric.direction is Direction.MINIMIZE else -0.6
    has_snapshots = not workspace.task.contract.is_script
    play = functools.partial(made_up, level=level, has_snapshots=has_snapshots)
    executor = ScriptedExecutor(play, count, baseline=workspace.baseline)
    yield Engine(
        workspace,
        executor,
        built_in(workspace.config.tuner.sampler),
        measure_baseline=executor.calibrate_baseline,
        watch=watch,
    )


def made_up(job: "Job", *, level: float = 1.6, has_snapshots: bool = True) -> Performance:
    """A landscape on which gains add up: each line of a genome is worth what its hash says."""
    lines = {line for text in job.genome.files.values() for line in text.splitlines()}
    worth = 0.012 * sum(_draw(line) for line in lines)
    noise = 0.004 * _draw(f"{job.conditions.rng_seed} {sorted(lines)}")
    val_bpb = level + worth + noise
    readings = tuple(Snapshot(share, val_bpb + 0.3 * (1 - share)) for share in (0.1, 0.25, 0.5))
    return Performance(
        Outcome(
            TrialStatus.COMPLETE,
            val_bpb=val_bpb,
            train_seconds=1.0,
            total_seconds=1.0,
            cpu_seconds=1.0,
            train_tokens=job.token_budget or 1000,
            step_count=1,
            snapshots=readings if has_snapshots else (),
        )
    )


def _draw(text: str) -> float:
    """A number from -1 to 1 that depends on ``text`` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**31 - 1
