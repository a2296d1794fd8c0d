"""What goes into a supervisor and what comes out: one JSON line each way."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class ScriptSpec:
    """What a supervisor needs to know of a script of the user's own.

    Attributes:
        metric: Name of the number that the script prints.
        pattern: Regular expression that finds it in a line, in its one group.
        pattern_use: ``only`` or ``last``.
        sign: −1 where more is better: the score that is kept is better when lower.
        data: Name in the script's folder and source of each data file or folder.
        is_linked: True to link the data, False to copy them for every trial.
    """

    metric: str
    pattern: str
    pattern_use: str = "only"
    sign: float = 1.0
    data: dict[str, str] = field(default_factory=dict)
    is_linked: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything a supervisor needs to run one attempt at a trial.

    Attributes:
        scratch: Folder of the attempt: ``genome/`` and ``baseline/`` hold what was written for it.
            The supervisor removes it at the end.
        command: How to start a trainer in its folder.
        environment: All a trainer may know.
        ruler_hash: SHA-256 of ``prepare.py``; another one is a fault of the harness. "" where there
            is no ruler.
        conditions: ``data``, ``rng_seed``, ``depth_scale``, ``split``, ``snapshots``.
        budget_kind: ``wall``, ``cpu`` or ``tokens``.
        budget_amount: Seconds or tokens.
        token_budget: Train for exactly these tokens; None leaves it to the budget.
        calibrate: True to price the genome's token first.
        measure_only: True to stop after that.
        train_only: True to end where a score would be taken; only where the harness scores.
        known_prices: ``[cost_ratio, pair_count, baseline_seconds]`` of earlier calibrations, the
            latest last.
        yardstick_tokens: Tokens that a ``cpu`` budget buys the baseline.
        pair_count: Pairs of steps of a calibration.
        preload: Modules that the warden loads once for all trainers, which are then forked; empty
            where each is a program of its own.
        cpu: The core to pin to; None for none.
        niceness: By how much everything of the attempt gives way to others.
        startup_seconds: Wall seconds until the first batch is asked for.
        train_seconds: Wall seconds from there to the score: the deadline. Of a script, from its
            start to its end.
        calibration_seconds: Wall seconds for all steps of a calibration.
        finish_seconds: Wall seconds from the score to the end of the process.
        evaluation_cpu_seconds: CPU-seconds beside training that the cap leaves to snapshots and
            evaluation of the baseline; a dearer genome gets more in proportion.
        memory_mb: Resident memory of the tree that ends the trial; None for no limit.
        parameters_millions: Parameters that the manual allows the model at home depth; they are
            counted before anything trains. None counts nothing.
        manual_memory_mb: Resident memory that the manual allows a trainer; None for no limit.
        log: Where the head and tail of what the trainer printed are kept; None for nowhere.
        script: What makes this a run of the user's own script; None for the built-in task.
        level: Containment level of the boxes.
        shares_box: True where trainers of one attempt can be kept apart inside one box.
        readable: Files and folders that a box shows, read-only.
        hidden: Folders below them that it does not.
        listable: Folders of which it shows the names alone.
        devices: Device nodes that a trainer may use.
        may_fork: True if a trainer may start processes.
        workspace_mb: What a trainer may write to its folder.
        scoring: ``trusted`` if the harness scores what is handed in, ``reported`` if a number is
            believed.
        data: The prepared folder, for the harness alone; None where nothing is scored by it.
        device: ``cpu`` or ``cuda``: what scores are computed on.
        entry: The file that holds ``build_model()``.
        probe_count: Probes of an audit.
        audit_pair_count: Pairs of its pair test.
        second_split: Scored and audited likewise after the score; None for no second one.
        scoring_seconds: Wall seconds for one pass of a scorer.
        startup_cpu_seconds: CPU-seconds before the first batch, where the clock does not run yet;
            None for no limit.
    """

    scratch: str
    command: list[str]
    environment: dict[str, str]
    ruler_hash: str
    conditions: dict[str, object]
    budget_kind: str
    budget_amount: float
    token_budget: int | None = None
    calibrate: bool = False
    measure_only: bool = False
    train_only: bool = False
    known_prices: list[list[float]] = field(default_factory=list)
    yardstick_tokens: int | None = None
    pair_count: int = 24
    preload: list[str] = field(default_factory=list)
    cpu: int | None = None
    niceness: int = 0
    startup_seconds: float = 120.0
    train_seconds: float = 600.0
    calibration_seconds: float = 120.0
    finish_seconds: float = 10.0
    evaluation_cpu_seconds: float = 10.0
    memory_mb: float | None = None
    parameters_millions: float | None = None
    manual_memory_mb: float | None = None
    log: str | None = None
    script: ScriptSpec | None = None
    level: str = "basic"
    shares_box: bool = True
    readable: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    listable: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    may_fork: bool = False
    workspace_mb: float = 512.0
    scoring: str = "reported"
    data: str | None = None
    device: str = "cpu"
    entry: str = "train.py"
    probe_count: int = 1000
    audit_pair_count: int = 64
    second_split: str | None = None
    scoring_seconds: float = 300.0
    startup_cpu_seconds: float | None = None

    def to_line(self) -> bytes:
        """The spec as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The spec of one line."""
        fields = json.loads(line)
        script = fields.pop("script", None)
        return cls(**fields, script=None if script is None else ScriptSpec(**script))


@dataclass(slots=True)
class Result:
    """What one attempt came to, as its supervisor saw it.

    ``status`` and ``failure_kind`` are the values of ``population.TrialStatus`` and
    ``FailureClass``. ``log_tail`` is the end of what the trainer printed, control characters
    stripped. ``price`` is ``[genome_seconds, baseline_seconds, pair_count]`` of a calibration.
    ``audit`` has the figures of the audit that the score passed. ``test_bpb`` is the score on the
    second split, where one was asked for and could be had. ``token_seconds`` are CPU-seconds of a
    token in the quicker steps, as the trainer says.
    """

    status: str = "crashed"
    failure_kind: str | None = None
    failure_message: str = ""
    val_bpb: float | None = None
    test_bpb: float | None = None
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    cpu_seconds: float = 0.0
    train_tokens: int = 0
    token_seconds: float = 0.0
    step_count: int = 0
    peak_memory_mb: float = 0.0
    log_tail: str = ""
    price: list[float] | None = None
    granted_tokens: int | None = None
    is_suspect: bool = False
    scoring: str = "reported"
    containment: str = "basic"
    audit: dict[str, float] | None = None
    ignored_count: int = 0
    survivor_count: int = 0

    def to_message(self) -> dict[str, object]:
        """The result as an event."""
        return {"type": "result", **asdict(self)}

    @classmethod
    def from_message(cls, message: dict[str, object]) -> Self:
        """The result in an event."""
        fields = {name: value for name, value in message.items() if name != "type"}
        return cls(**fields)  # type: ignore[arg-type] # written by to_message
