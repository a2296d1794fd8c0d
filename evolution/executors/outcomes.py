"""From what a supervisor saw to what the search stores."""

from collections.abc import Mapping, Sequence

from evolution.executors.protocol import Job
from evolution.sandbox.spec import Result
from population import (
    BudgetKind,
    Calibration,
    CurvePoint,
    Failure,
    FailureClass,
    Outcome,
    Scoring,
    Snapshot,
    TrialStatus,
    canonical_hash,
    read_summary,
)

_TAIL_LINES = 60
_TAIL_CHARS = 8_192


class Curve:
    """Reported points, thinned evenly to a bounded number."""

    def __init__(self, limit: int = 200) -> None:
        self._points: list[CurvePoint] = []
        self._limit = limit
        self._stride = 1
        self._seen_count = 0

    def add(self, point: CurvePoint) -> None:
        """Take in a point; now and then every other one is forgotten."""
        if self._seen_count % self._stride == 0:
            self._points.append(point)
        self._seen_count += 1
        if len(self._points) >= self._limit:
            del self._points[1::2]
            self._stride *= 2

    def points(self) -> tuple[CurvePoint, ...]:
        """What is kept, in order."""
        return tuple(self._points)


def outcome_of(
    job: Job, result: Result, snapshots: Sequence[Snapshot] = (), curve: Curve | None = None
) -> Outcome:
    """The outcome of a job from its supervisor's result."""
    summary = read_summary(result.log_tail)
    return Outcome(
        status=TrialStatus(result.status),
        val_bpb=result.val_bpb,
        test_bpb=result.test_bpb,
        scoring=_scoring(job, result),
        containment=result.containment,
        audit=result.audit,
        train_seconds=result.train_seconds,
        total_seconds=result.total_seconds,
        cpu_seconds=result.cpu_seconds,
        train_tokens=result.train_tokens,
        step_count=result.step_count,
        peak_memory_mb=result.peak_memory_mb,
        summary=dict(summary.values) if summary is not None else {},
        snapshots=tuple(snapshots),
        curve=curve.points() if curve is not None else (),
        calibration=calibration_of(job, result),
        granted_tokens=result.granted_tokens,
        is_suspect=result.is_suspect,
        failure=_failure(result),
    )


def _scoring(job: Job, result: Result) -> Scoring:
    """Trusted if the harness took the score and kept the clock; it cannot count tokens."""
    is_timed = job.conditions.budget.kind is not BudgetKind.TOKENS
    return Scoring.TRUSTED if result.scoring == "trusted" and is_timed else Scoring.REPORTED


def calibration_of(job: Job, result: Result) -> Calibration | None:
    """The calibration that was made for a job, if one was."""
    if result.price is None:
        return None
    genome_seconds, baseline_seconds, pair_count = result.price
    return Calibration(
        genome_hash=canonical_hash(job.genome),
        device_class=job.conditions.device_class,
        cost_ratio=genome_seconds / baseline_seconds,
        pair_count=round(pair_count),
        genome_seconds=genome_seconds,
        baseline_seconds=baseline_seconds,
        depth_scale=job.conditions.depth_scale,
    )


def harness_failure(message: str, evidence: str = "") -> Outcome:
    """Our own fault: retried, never charged to the variant."""
    return Outcome(
        status=TrialStatus.CRASHED,
        failure=Failure(FailureClass.HARNESS, message, evidence[-_TAIL_CHARS:]),
    )


def point_of(event: Mapping[str, object]) -> CurvePoint:
    """The point of a training curve in a supervisor's event."""
    scalars = event["scalars"]
    assert isinstance(scalars, dict)
    return CurvePoint(_number(event["progress"]), _number(event["loss"]), scalars)


def snapshot_of(event: Mapping[str, object]) -> Snapshot:
    """The reading in a supervisor's event."""
    return Snapshot(_number(event["fraction"]), _number(event["bpb"]))


def _failure(result: Result) -> Failure | None:
    if result.failure_kind is None:
        return None
    tail = "\n".join(result.log_tail.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARS:]
    return Failure(FailureClass(result.failure_kind), result.failure_message, tail)


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
