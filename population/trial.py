"""Trial: one run of one variant under one set of conditions, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TrialStatus(StrEnum):
    """The state machine: queued, running, then one of the ends."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    STOPPED_EARLY = "stopped_early"
    WITHDRAWN = "withdrawn"  # from the queue: it never ran, and has neither outcome nor end

    @property
    def is_final(self) -> bool:
        """True once nothing more can happen to the trial."""
        return self not in (TrialStatus.QUEUED, TrialStatus.RUNNING)

    @property
    def has_run(self) -> bool:
        """True once it has run to one of its ends, and has an outcome."""
        return self.is_final and self is not TrialStatus.WITHDRAWN


#: How a trial ends that gives no score by its genome's fault.
FAILED = (TrialStatus.CRASHED, TrialStatus.TIMED_OUT, TrialStatus.REJECTED)


class Purpose(StrEnum):
    """What a trial is for."""

    BASELINE = "baseline"  # repeats of the baseline, which tell the noise
    SCREEN = "screen"  # the first run of an offspring or a seed
    REPLICATE = "replicate"  # a further run of a promising variant
    PUBLICATION = "publication"  # fresh seeds of a champion, while the search goes on
    VERDICT = "verdict"  # fresh-seed pairs that confirm a champion

    @property
    def informs(self) -> bool:
        """True if selection goes by it. What bears a claim out must be fresh evidence."""
        return self not in (Purpose.PUBLICATION, Purpose.VERDICT)


class BudgetKind(StrEnum):
    """What a training budget counts."""

    WALL = "wall"  # seconds of an exclusive device
    CPU = "cpu"  # calibrated work: CPU-seconds of the baseline, turned into tokens
    TOKENS = "tokens"  # training tokens: bit-identical on repeat


@dataclass(frozen=True, slots=True)
class Budget:
    """What one trial may spend on training: ``amount`` seconds or tokens."""

    kind: BudgetKind
    amount: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that makes two trials of one variant comparable, or not.

    Attributes:
        budget: The training budget.
        rng_seed: The trial's seed.
        depth_scale: Factor on the genome's own depth (1 at home).
        device_class: ``cpu`` or the GPU's name; scores of different classes are offset.
        split: ``validation``, or ``test`` for the sealed one.
    """

    budget: Budget
    rng_seed: int
    depth_scale: float = 1.0
    device_class: str = "cpu"
    split: str = "validation"


class FailureClass(StrEnum):
    """Why a trial gave no score."""

    OUT_OF_MEMORY = "out_of_memory"
    NOT_FINITE = "not_finite"  # the score or the loss was NaN or infinite
    TIME_OUT = "time_out"  # wall deadline, or CPU time beyond the cap
    IMPORT_ERROR = "import_error"
    CONTRACT = "contract"  # no score was handed in, or the contract was broken
    ERROR = "error"  # any other exception in the genome
    KILLED = "killed"  # ended by a signal that was not ours
    HARNESS = "harness"  # our fault: retried, never charged to the variant


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial gave no score, with bounded evidence."""

    kind: FailureClass
    message: str  # one line
    log_tail: str = ""  # last lines of what the trainer printed, control characters stripped


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A reading inside a run: the model at ``fraction`` of its budget, on a fixed small slice."""

    fraction: float
    bpb: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a training curve, as the genome reported it. For display only."""

    progress: float
    loss: float
    scalars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one training token of a genome costs, against one of the baseline.

    Measured by alternating steps of both on one pinned core (``evolution.calibration``).

    Attributes:
        genome_hash: Whose.
        device_class: Where.
        cost_ratio: CPU-seconds per token of the genome ÷ those of the baseline; below 1 is faster.
        pair_count: Alternating pairs of steps behind the ratio.
        genome_seconds: CPU-seconds per token of the genome, fastest quartile.
        baseline_seconds: The same of the baseline step beside it.
        depth_scale: Factor on both genomes' depth while they were measured.
    """

    genome_hash: str
    device_class: str
    cost_ratio: float
    pair_count: int
    genome_seconds: float
    baseline_seconds: float
    depth_scale: float = 1.0


class Scoring(StrEnum):
    """How a score was obtained; shown wherever the score is."""

    REPORTED = "reported"  # the genome's process computed it
    TRUSTED = "trusted"  # the harness computed it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt at a trial came to.

    Attributes:
        status: A final status.
        val_bpb: Bits per byte on the trial's split, lower is better; None without a score.
        test_bpb: The same model on the sealed test split, which only verdict runs of the built-in
            task read; None elsewhere, and where it could not be had. Nothing is selected by it.
        scoring: How ``val_bpb`` was obtained.
        containment: The level of the box that held the trainer.
        audit: Figures of the audit that a trusted score passed, and ``work_ratio``: CPU time of the
            training as the harness measured it, over what its tokens should have cost. None where
            nothing was audited.
        train_seconds: Wall seconds of training, without start-up and evaluation.
        total_seconds: Wall seconds from start of the process to its end.
        cpu_seconds: CPU-seconds of the whole process tree, calibration included.
        train_tokens: Training tokens used.
        step_count: Batches drawn.
        peak_memory_mb: Peak resident memory of the tree.
        summary: The ``name: value`` lines the genome printed after ``---``.
        snapshots: Readings inside the run, in order.
        curve: Reported points, thinned to a bounded number.
        calibration: The calibration made for this attempt, if one was made.
        granted_tokens: Tokens that a ``cpu`` budget bought.
        is_suspect: True if the run's own steps disagree with its calibration by over 10 %.
        failure: Why there is no score; None if there is one.
    """

    status: TrialStatus
    val_bpb: float | None = None
    test_bpb: float | None = None
    scoring: Scoring = Scoring.REPORTED
    containment: str = "basic"
    audit: Mapping[str, float] | None = None
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    cpu_seconds: float = 0.0
    train_tokens: int = 0
    step_count: int = 0
    peak_memory_mb: float = 0.0
    summary: Mapping[str, float] = field(default_factory=dict)
    snapshots: tuple[Snapshot, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    calibration: Calibration | None = None
    granted_tokens: int | None = None
    is_suspect: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one variant under one set of conditions.

    Attributes:
        id: Number in the run, from 1.
        variant: Commit of the variant.
        purpose: What it is for.
        conditions: Under which it runs.
        status: Where it stands.
        attempt: 0 while queued for the first time, then 1, 2, … at each start.
        pair: Trials of one verdict pair share this label, e.g. ``v001:1.5:2``; else None.
        queued_at: Seconds since the epoch; so are the next two, None while they lie ahead.
        started_at: Start of the present attempt.
        finished_at: End of the last attempt.
        outcome: What it came to; None until it is final, and for one that was withdrawn.
    """

    id: int
    variant: str
    purpose: Purpose
    conditions: Conditions
    status: TrialStatus
    attempt: int = 0
    pair: str | None = None
    queued_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None
