"""A sitting: the engine of an open run, with the workers of this machine and its operators."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from evolution.config import EvolutionConfig
from evolution.desk import desk_of
from evolution.devices import gpu_names, visible_devices
from evolution.engine import Engine
from evolution.executors import Limits, LocalExecutor, Slot, cpu_slots, gpu_slots
from evolution.executors.site import Scorer, TrialSite, Walls
from evolution.jobs import YARDSTICK
from evolution.manuals import manual_in_force
from evolution.models import Models
from evolution.operators import built_in
from evolution.sandbox.levels import Level, find_level
from evolution.sandbox.usage import remove_folder
from evolution.smoke import STARTUP_SECONDS, Rules, SmokeRuns
from evolution.staff import AgentStaff
from evolution.workspace import Workspace
from population import BudgetKind, Calibration, Genome, Manual, rule_problems


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
    agents = workspace.config.agents
    smoke = smoke_runs(workspace, level) if agents.is_on and agents.may_look else None
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
            built_in(workspace.config.tuner.sampler),
            staff=staff_of(workspace, smoke=smoke.run if smoke is not None else None),
            measure_baseline=measure,
            device_class=device_class,
            watch=watch,
        )
    finally:
        if smoke is not None:
            smoke.close()
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
    site = _site(workspace, level, _scorer(workspace.config))
    return LocalExecutor(site, slots, yardstick_seconds=_baseline_token_seconds(workspace))


def smoke_runs(
    workspace: Workspace, level: Level | None = None, *, limits: Limits | None = None
) -> SmokeRuns | None:
    """Short trainings beside the trials of a sitting, in the same boxes; closed with it.

    A trial holds its GPU, memory and all. So where trials train on GPUs, a smoke run needs one
    that no worker has (``workers.count`` below the number of GPUs).

    Args:
        workspace: The open run.
        level: What holds genomes; by default the strongest that works here.
        limits: When a smoke run is ended, before its two seconds begin.

    Returns:
        None where there is no such GPU.
    """
    slots, _ = machine_slots(workspace)
    slot = _spare_slot(slots)
    if slot is None:
        return None
    is_trusted = workspace.config.scoring.mode == "trusted"
    limits = limits or Limits(startup_seconds=STARTUP_SECONDS)
    if not is_trusted:  # its trials may learn before the clock starts as long as they like
        limits = replace(limits, startup_cpu_seconds=limits.startup_seconds)
    return SmokeRuns(
        # Whatever scores the trials: no validation text comes near a genome whose words a model
        # is going to read.
        _site(workspace, level, replace(_scorer(workspace.config), mode="trusted")),
        slot,
        workspace.budget,
        _rules(workspace),
        limits=limits,
        slot_count=len(slots),
    )


def _spare_slot(slots: list[Slot]) -> Slot | None:
    """A GPU that no trial has, where trials have GPUs; else any core, shared."""
    taken = {slot.gpu for slot in slots}
    if taken == {None}:
        return Slot()
    free = [device for device in visible_devices(len(gpu_names())) if device not in taken]
    return Slot(gpu=free[0]) if free else None


def _rules(workspace: Workspace) -> Rules:
    """The manual in force when a genome comes: it may change while the run goes on."""

    def manual() -> Manual:
        return manual_in_force(workspace.store) or Manual()

    def problems(genome: Genome) -> list[str]:
        found = rule_problems(manual(), genome, workspace.baseline, workspace.task.contract)
        return [problem.message for problem in found]

    return Rules(
        problems,
        lambda: manual().limits,
        lambda: _baseline_token_seconds(workspace),
    )


def _site(workspace: Workspace, level: Level | None, scorer: Scorer) -> TrialSite:
    # The name alone is not unique: another folder may hold a run of the same name.
    place = hashlib.sha256(str(workspace.paths.root.resolve()).encode()).hexdigest()[:12]
    return workspace.task.site(
        workspace.paths,
        f"{workspace.name}-{place}",
        workspace.baseline,
        _walls(workspace.config, level),
        scorer,
    )


def _baseline_token_seconds(workspace: Workspace) -> float | None:
    """CPU-seconds of the baseline's token, if the run has measured them."""
    yardstick = workspace.store.fact(YARDSTICK)
    return float(yardstick["seconds_per_token"]) if isinstance(yardstick, dict) else None


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
