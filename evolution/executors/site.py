"""Site: where the trials of a run train on this machine, on which slots, within which limits."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from evolution.cgroups import usable_cores
from evolution.executors.protocol import Job
from evolution.sandbox.environment import trainer_environment
from evolution.sandbox.spec import Spec
from evolution.sandbox.visible import (
    corpus_folders,
    gpu_devices,
    gpu_readable,
    system_listable,
    system_readable,
)
from population import MAIN, BudgetKind, Genome


class TrialSite(Protocol):
    """How the trials of a run are laid out and started: one class for each kind of task."""

    @property
    def run_id(self) -> str:
        """Marks every process of the run; unique on this machine."""
        ...

    @property
    def scratch(self) -> Path:
        """Folder for the attempts' folders."""
        ...

    @property
    def baseline(self) -> Genome:
        """The run's baseline genome."""
        ...

    @property
    def logs(self) -> Path | None:
        """Folder for ``<trial>-<attempt>.log``; None keeps none."""
        ...

    def lay_out(self, folder: Path, genome: Genome) -> None:
        """Write the files of one attempt.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        ...

    def spec(
        self, slot: "Slot", limits: "Limits", job: Job, yardstick_seconds: float | None
    ) -> Spec:
        """What the supervisor of a job is told; folder and memory are added where known."""
        ...


@dataclass(frozen=True, slots=True)
class Walls:
    """How trainers are contained.

    Attributes:
        level: Containment level, a value of `evolution.sandbox.levels.Level`.
        shares_box: True where trainers of one attempt can be kept apart inside one box.
        workspace_mb: What a trainer may write to its folder.
        may_fork: True if trainers may start processes, as those of GPUs and scripts always may.
    """

    level: str = "basic"
    shares_box: bool = True
    workspace_mb: float = 512.0
    may_fork: bool = False


@dataclass(frozen=True, slots=True)
class Scorer:
    """How scores are obtained.

    Attributes:
        mode: ``trusted``: what a trial hands in is scored by the harness; ``reported``: the number
            that the trainer computes is believed.
        probe_count: Probes of an audit.
        confirming_probe_count: The same where a champion is confirmed.
        pair_count: Pairs of the pair test.
    """

    mode: str = "reported"
    probe_count: int = 1000
    confirming_probe_count: int = 4000
    pair_count: int = 64


@dataclass(frozen=True, slots=True)
class Site:
    """The things that every trial of the built-in task needs.

    Attributes:
        run_id: Marks every process of the run; unique on this machine.
        scratch: Folder for the attempts' folders.
        ruler: The run's own ``prepare.py``.
        ruler_hash: Its SHA-256.
        data: Folder of the prepared profile.
        baseline: The run's baseline genome, the yardstick of calibrations.
        logs: Folder for ``<trial>-<attempt>.log``; None keeps none.
        snapshots: Shares of the budget at which a reading is taken.
        preload: Modules that the trainers of a trial load once, together.
        walls: How they are contained.
        scorer: How scores are obtained.
    """

    run_id: str
    scratch: Path
    ruler: Path
    ruler_hash: str
    data: Path
    baseline: Genome
    logs: Path | None = None
    snapshots: tuple[float, ...] = (0.1, 0.25, 0.5)
    preload: tuple[str, ...] = ()
    walls: Walls = field(default_factory=Walls)
    scorer: Scorer = field(default_factory=Scorer)

    def lay_out(self, folder: Path, genome: Genome) -> None:
        """Genome and baseline, each beside the ruler."""
        write_scratch(self, folder, genome)

    def spec(
        self, slot: "Slot", limits: "Limits", job: Job, yardstick_seconds: float | None
    ) -> Spec:
        """A trainer that keeps the protocol of the ruler."""
        return job_spec(self, slot, limits, job, yardstick_seconds)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one trainer: a processor core or a GPU."""

    cpu: int | None = None
    gpu: str | None = None


def cpu_slots(count: int | None = None) -> list[Slot]:
    """One slot for each core this process may use, or ``count`` of them, shared if need be."""
    cores = usable_cores()
    many = range(count or len(cores))
    if not hasattr(os, "sched_getaffinity"):
        return [Slot() for _ in many]
    return [Slot(cpu=cores[index % len(cores)]) for index in many]


def gpu_slots(devices: list[str]) -> list[Slot]:
    """One slot for each GPU, by what ``CUDA_VISIBLE_DEVICES`` calls it."""
    return [Slot(gpu=device) for device in devices]


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall seconds and shares beyond which a trial is ended; generous but for the CPU cap.

    Attributes:
        startup_seconds: Until the first batch is asked for.
        wall_factor: A ``wall`` budget's deadline, from the first batch to the score, is this times
            the budget plus ``grace_seconds``: snapshots and evaluation are in it.
        cpu_factor: The same of a ``cpu`` budget, whose core may be shared with others.
        token_seconds: The deadline of a ``tokens`` budget.
        grace_seconds: See above; also the least time for a calibration.
        finish_seconds: From the score to the end of the process.
        evaluation_cpu_seconds: CPU-seconds, plus a tenth of the budget, that the cap of a ``cpu``
            budget leaves to snapshots and evaluation, where the trainer computes them itself.
        startup_cpu_seconds: CPU-seconds, plus a tenth of the budget, until the first batch is asked
            for, on a processor core: nobody learns before the clock starts.
        slack_share: Where the harness scores and keeps the clock: share of a ``wall`` budget, and
            of a ``cpu`` budget's cap, by which a training may run over before it hands in.
        slack_seconds: The same in seconds, for its last step and for writing its state.
        scoring_seconds: One pass of a scorer, plus the seconds of the budget, or ``token_seconds``.
        pair_count: Pairs of steps of a calibration.
        memory_share: Share of the machine's memory that all slots together may hold.
    """

    startup_seconds: float = 120.0
    wall_factor: float = 2.0
    cpu_factor: float = 10.0
    token_seconds: float = 3600.0
    grace_seconds: float = 60.0
    finish_seconds: float = 10.0
    evaluation_cpu_seconds: float = 5.0
    startup_cpu_seconds: float = 1.0
    slack_share: float = 0.02
    slack_seconds: float = 1.0
    scoring_seconds: float = 300.0
    pair_count: int = 20
    memory_share: float = 0.8

    def train_seconds(
        self, job: Job, yardstick_tokens: int | None, *, is_trusted: bool = False
    ) -> float:
        """Wall seconds from the first batch to the score, or to what is handed in for one."""
        budget = job.conditions.budget
        if budget.kind is BudgetKind.WALL and is_trusted:
            return budget.amount * (1 + self.slack_share) + self.slack_seconds
        if budget.kind is BudgetKind.TOKENS:
            return self.token_seconds
        if budget.kind is BudgetKind.WALL:
            return self.grace_seconds + self.wall_factor * budget.amount
        share = (job.token_budget or 0) / (yardstick_tokens or job.token_budget or 1)
        deeper = max(1.0, job.conditions.depth_scale) ** 2
        return self.grace_seconds + self.cpu_factor * deeper * max(1.0, share) * budget.amount


_COMPILES_ON_GPU = 'IS_COMPILED = DEVICE == "cuda"'


def write_scratch(site: Site, folder: Path, genome: Genome) -> None:
    """Lay out the files of one attempt; whatever lay there is gone.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    ruler = site.ruler.read_bytes()
    shown = shown_files(site.data) if site.scorer.mode == "trusted" else {}
    for name, files in (("genome", genome.files), ("baseline", site.baseline.files)):
        write_files(folder / name, files)
        (folder / name / "prepare.py").write_bytes(ruler)  # last: a genome brings none of its own
        for path, content in shown.items():
            (folder / name / "data").mkdir(exist_ok=True)
            (folder / name / "data" / path).write_bytes(content)


def shown_files(data: Path) -> dict[str, bytes]:
    """What a genome may see of a prepared folder: lengths, tokenizer, bytes of each token; no text.

    Raises:
        OSError, ValueError: The folder is not what ``prepare.py`` made.
    """
    manifest = json.loads((data / "manifest.json").read_text("utf-8"))
    shown = {key: manifest[key] for key in ("profile", "seq_len", "vocab_size", "budget", "recipe")}
    shown["tokens"] = {"train.bin": manifest["tokens"]["train.bin"]}
    files = {name: (data / name).read_bytes() for name in ("tokenizer.json", "token_bytes.bin")}
    return {**files, "manifest.json": json.dumps(shown).encode()}


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by their paths in a folder."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def job_spec(
    site: Site, slot: Slot, limits: Limits, job: Job, yardstick_seconds: float | None
) -> Spec:
    """What the supervisor of this job is told; folder and memory are added where they are known."""
    conditions, budget = job.conditions, job.conditions.budget
    is_trusted = site.scorer.mode == "trusted"
    box = box_options(site.walls, slot)
    yardstick_tokens = None
    if yardstick_seconds is not None and budget.kind is BudgetKind.CPU:
        yardstick_tokens = max(1, round(budget.amount / yardstick_seconds))
    return Spec(
        scratch="",
        command=[sys.executable, "-u", MAIN],
        environment=trainer_environment(marker(site, job.trial_id), Path(), slot.gpu),
        ruler_hash=site.ruler_hash,
        conditions={
            "data": str(site.data),
            "rng_seed": conditions.rng_seed,
            "depth_scale": conditions.depth_scale,
            "split": conditions.split,
            "scoring": site.scorer.mode,
            "snapshots": list(site.snapshots),
        },
        budget_kind=budget.kind.value,
        budget_amount=budget.amount,
        token_budget=job.token_budget,
        calibrate=job.calibrate,
        known_prices=[
            [known.cost_ratio, known.pair_count, known.baseline_seconds]
            for known in job.known_calibrations
        ],
        yardstick_tokens=yardstick_tokens,
        pair_count=limits.pair_count,
        preload=_preload(site, job),
        startup_cpu_seconds=_startup_cpu(site, slot, limits, job),
        **{**box, **_scoring_options(site, slot, job, box["readable"])},
        cpu=slot.cpu,
        startup_seconds=limits.startup_seconds,
        scoring_seconds=limits.scoring_seconds + (_seconds(job) or limits.token_seconds),
        train_seconds=limits.train_seconds(job, yardstick_tokens, is_trusted=is_trusted),
        calibration_seconds=limits.grace_seconds + limits.cpu_factor * _seconds(job),
        finish_seconds=limits.finish_seconds,
        evaluation_cpu_seconds=_aside(limits, job, is_trusted),
        log=log_path(site, job),
        parameters_millions=job.limits.parameters_millions,
        manual_memory_mb=job.limits.memory_mb,
    )


def box_options(walls: Walls, slot: Slot) -> dict[str, Any]:
    """What a supervisor is told of its boxes; also where a genome may start processes."""
    return {
        "level": walls.level,
        "shares_box": walls.shares_box,
        "readable": [*system_readable(), *(gpu_readable() if slot.gpu is not None else ())],
        "hidden": list(corpus_folders()),
        "listable": list(system_listable()),
        "devices": list(gpu_devices()) if slot.gpu is not None else [],
        # Compilers of kernels are programs of their own.
        "may_fork": walls.may_fork or slot.gpu is not None,
        "workspace_mb": walls.workspace_mb,
    }


def _scoring_options(site: Site, slot: Slot, job: Job, readable: list[str]) -> dict[str, Any]:
    scorer = site.scorer
    if scorer.mode != "trusted":
        return {"scoring": "reported", "readable": [*readable, str(site.data)]}
    probe_count = scorer.confirming_probe_count if job.is_confirmation else scorer.probe_count
    return {
        "scoring": "trusted",
        "data": str(site.data),
        "entry": job.genome.entry,
        "device": "cpu" if slot.gpu is None else "cuda",
        "probe_count": probe_count,
        "audit_pair_count": scorer.pair_count,
        # The sealed text is for those who confirm: no search ever sees a score on it.
        "second_split": "test" if job.is_confirmation else None,
    }


def marker(site: TrialSite, trial_id: int | str) -> str:
    """What every process of a trial carries in its environment."""
    return f"{site.run_id}/{trial_id}"


def log_path(site: TrialSite, job: Job) -> str | None:
    """Where the output of one attempt is kept; None where none is."""
    return None if site.logs is None else str(site.logs / f"{job.trial_id}-{job.attempt}.log")


def memory_mb(limits: Limits, slot_count: int) -> float:
    """Resident memory that the trainer of one slot may hold."""
    return float(psutil.virtual_memory().total / 2**20 * limits.memory_share / slot_count)


def _preload(site: Site, job: Job) -> list[str]:
    """What the warden loads: also the compiler, where the genome's start-up would load it.

    It takes 1.8 CPU-seconds, `torch.optim` and `torch.compile` load it at their first use, and a
    genome's start-up is limited. The shipped genome compiles on a GPU alone.
    """
    texts = job.genome.files.values()
    needs_compiler = any(
        "torch.optim" in text or ("torch.compile(" in text and _COMPILES_ON_GPU not in text)
        for text in texts
    )
    return [*site.preload, *(["torch._dynamo"] if site.preload and needs_compiler else [])]


def _startup_cpu(site: Site, slot: Slot, limits: Limits, job: Job) -> float | None:
    """A trainer that loads its own libraries, or starts a GPU, is limited by the clock alone."""
    if not site.preload or slot.gpu is not None or site.scorer.mode != "trusted":
        return None
    return limits.startup_cpu_seconds + 0.1 * _seconds(job)


def _aside(limits: Limits, job: Job, is_trusted: bool) -> float:
    """CPU-seconds that a trainer may use beside its steps."""
    if is_trusted:
        return limits.slack_seconds + limits.slack_share * _seconds(job)
    return limits.evaluation_cpu_seconds + 0.1 * _seconds(job)


def _seconds(job: Job) -> float:
    budget = job.conditions.budget
    return budget.amount if budget.kind is not BudgetKind.TOKENS else 0.0
