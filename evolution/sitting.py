"""A sitting: the engine of an open run, with the workers of this machine and its operators."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from evolution.config import EvolutionConfig
from evolution.desk import desk_of
from evolution.devices import gpu_names, visible_devices
from evolution.engine import Engine
from evolution.executors import LocalExecutor, Slot, cpu_slots, gpu_slots
from evolution.executors.site import Scorer, Walls
from evolution.jobs import YARDSTICK
from evolution.models import Models
from evolution.operators import built_in
from evolution.sandbox.levels import Level, find_level
from evolution.sandbox.usage import remove_folder
from evolution.staff import AgentStaff
from evolution.workspace import Workspace
from population import BudgetKind, Calibration, Genome


@contextmanager
def sitting(
    workspace: Workspace,
    *,
    level: Level | None = None,
    watch: Callable[[Mapping[int, float]], None] | None = None,
) -> Iterator[Engine]:
    """An engine that trains on this machine; what an earlier one left behind is swept first.

    Args:
        workspace: The open run.
        level: What holds the trainers; by default the strongest that works here.
        watch: Called now and then with the progress of each running trial.
    """
    slots, device_class = machine_slots(workspace)
    executor = local_executor(workspace, slots, level)
    try:
        killed = executor.sweep_orphans()
        if killed:
            workspace.events.append("orphans_killed", {"pids": killed})
        remove_folder(workspace.paths.scratch)

        def measure() -> Calibration:
            calibration = executor.calibrate_baseline(device_class)
            executor.set_yardstick(calibration.baseline_seconds)
            return calibration

        yield Engine(
            workspace,
            executor,
            built_in(),
            staff=staff_of(workspace),
            measure_baseline=measure,
            device_class=device_class,
            watch=watch,
        )
    finally:
        executor.close()


def staff_of(
    workspace: Workspace,
    clock: Callable[[], float] = time.time,
    *,
    smoke: Callable[[Genome], str] | None = None,
) -> AgentStaff | None:
    """Who asks language models in this run; None if nobody does.

    Args:
        workspace: The open run.
        clock: Seconds since the epoch.
        smoke: Trains a genome for a moment, for models that ask; None if nothing does.

    Raises:
        EvolveError: A model has no key, or no price.
    """
    settings = workspace.config.agents
    if not settings.is_on:
        return None
    models = Models(settings, clock=clock)
    return AgentStaff(
        settings, workspace.store, models, desk=desk_of(workspace, smoke), clock=clock
    )


def local_executor(
    workspace: Workspace, slots: list[Slot], level: Level | None = None
) -> LocalExecutor:
    """The run's executor on this machine, its trainers held at ``level``."""
    yardstick = workspace.store.fact(YARDSTICK)
    # The name alone is not unique: another folder may hold a run of the same name.
    place = hashlib.sha256(str(workspace.paths.root.resolve()).encode()).hexdigest()[:12]
    site = workspace.task.site(
        workspace.paths,
        f"{workspace.name}-{place}",
        workspace.baseline,
        _walls(workspace.config, level),
        _scorer(workspace.config),
    )
    seconds = float(yardstick["seconds_per_token"]) if isinstance(yardstick, dict) else None
    return LocalExecutor(site, slots, yardstick_seconds=seconds)


def _walls(config: EvolutionConfig, level: Level | None) -> Walls:
    """Trainers share a box only where each can still be shut in by itself."""
    report = find_level()
    level = level or report.level
    return Walls(
        level=level.value,
        shares_box=level is not Level.NAMESPACE or report.has_landlock,
        workspace_mb=float(config.sandbox.scratch_mb),
    )


def _scorer(config: EvolutionConfig) -> Scorer:
    scoring = config.scoring
    return Scorer(
        mode=scoring.mode,
        probe_count=scoring.probes,
        confirming_probe_count=scoring.champion_probes,
        pair_count=scoring.pairs,
    )


def machine_slots(workspace: Workspace) -> tuple[list[Slot], str]:
    """The slots that the settings ask for, and their device class.

    A ``wall`` budget is meant for GPUs, and takes them where there are any: one trainer each. The
    other kinds train on processor cores.
    """
    asked = workspace.config.workers.count
    gpus = gpu_names() if workspace.budget.kind is BudgetKind.WALL else []
    if not gpus or not visible_devices(len(gpus)):
        return cpu_slots(asked or None), "cpu"
    devices = visible_devices(len(gpus))
    return gpu_slots(devices[: asked or len(devices)]), gpus[0]
