"""ScriptSite: how the trials of a script of the user's own are laid out and started."""

from dataclasses import dataclass
from pathlib import Path

from evolution.executors.protocol import Job
from evolution.executors.site import Limits, Slot, log_path, marker, write_files
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
    """

    run_id: str
    scratch: Path
    baseline: Genome
    command: tuple[str, ...]
    seed_variable: str
    script: ScriptSpec
    logs: Path | None = None

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
            manual_memory_mb=job.limits.memory_mb,
        )
