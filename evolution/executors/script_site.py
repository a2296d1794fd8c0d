"""ScriptSite: how the trials of a script of the user's own are laid out and started."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolution.executors.protocol import Job
from evolution.executors.site import Limits, Slot, Walls, box_options, log_path, marker, write_files
from evolution.sandbox.environment import trainer_environment
from evolution.sandbox.spec import ScriptSpec, Spec
from population import Genome


@dataclass(frozen=True, slots=True)
class ScriptSite:
    """The things that every trial of a script needs.

    Attributes:
        run_id: Marks every process of the run; unique on this machine.
        scratch: Folder for the attempts' folders.
        baseline: The run's baseline genome.
        command: Program and arguments, started in the folder that holds the genome and the data.
        seed_variable: Environment variable that carries the trial's seed.
        script: Metric and data.
        logs: Folder for ``<trial>-<attempt>.log``; None keeps none.
        walls: How a script is contained.
    """

    run_id: str
    scratch: Path
    baseline: Genome
    command: tuple[str, ...]
    seed_variable: str
    script: ScriptSpec
    logs: Path | None = None
    walls: Walls = field(default_factory=Walls)

    def lay_out(self, folder: Path, genome: Genome) -> None:
        """The genome alone: data come when the script starts."""
        write_files(folder / "genome", genome.files)

    def spec(
        self,
        slot: Slot,
        limits: Limits,  # noqa: ARG002 - a script has one limit, the budget's
        job: Job,
        yardstick_seconds: float | None,  # noqa: ARG002 - and no yardstick
    ) -> Spec:
        """A script that is told its seed, and knows no more of us."""
        conditions, budget = job.conditions, job.conditions.budget
        environment = trainer_environment(marker(self, job.trial_id), Path(), slot.gpu)
        return Spec(
            scratch="",
            command=list(self.command),
            environment={
                **environment,
                "PYTHONUNBUFFERED": "1",  # what it said before it was ended is not lost
                self.seed_variable: str(conditions.rng_seed),
            },
            ruler_hash="",
            conditions={"rng_seed": conditions.rng_seed},
            budget_kind=budget.kind.value,
            budget_amount=budget.amount,
            cpu=slot.cpu,
            train_seconds=budget.amount,
            log=log_path(self, job),
            script=self.script,
            **self._box(slot),
            manual_memory_mb=job.limits.memory_mb,
        )

    def _box(self, slot: Slot) -> dict[str, Any]:
        """A script may start processes, and reads the data that its settings name."""
        options = box_options(self.walls, slot)
        sources = [str(Path(source).resolve()) for source in self.script.data.values()]
        readable = [*options["readable"], *(sources if self.script.is_linked else [])]
        return {**options, "readable": readable, "may_fork": True}
