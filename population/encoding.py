"""Outcomes and verdicts as plain JSON and back. Pure; the columns of a trial carry these names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from population.trial import (
    Calibration,
    CurvePoint,
    Failure,
    FailureClass,
    Outcome,
    Scoring,
    Snapshot,
    TrialStatus,
)
from population.verdict import FreshGain, Publication, Ruling, RungVerdict, SealedGain

Document = dict[str, Any]


def number_to_json(value: float) -> float | str:
    """A number as JSON has it; a genome's NaN and infinities become words."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def numbers_to_json(values: Mapping[str, float]) -> dict[str, float | str]:
    """Each value of ``values`` as JSON has it."""
    return {name: number_to_json(value) for name, value in values.items()}


def numbers_from_json(values: Mapping[str, float | str]) -> dict[str, float]:
    """The inverse of ``numbers_to_json``."""
    return {name: float(value) for name, value in values.items()}


def curve_to_json(curve: Sequence[CurvePoint]) -> list[list[Any]]:
    """A curve as rows of progress, loss and, if there are any, scalars."""
    return [
        [number_to_json(point.progress), number_to_json(point.loss)]
        + ([numbers_to_json(point.scalars)] if point.scalars else [])
        for point in curve
    ]


def curve_from_json(rows: Sequence[Sequence[Any]]) -> tuple[CurvePoint, ...]:
    """The inverse of ``curve_to_json``."""
    return tuple(
        CurvePoint(float(row[0]), float(row[1]), numbers_from_json(row[2] if row[2:] else {}))
        for row in rows
    )


def columns_of(outcome: Outcome) -> Document:
    """Every part of an outcome but its snapshots and curve, by the name of its column."""
    failure = outcome.failure
    return {
        "status": outcome.status.value,
        "val_bpb": outcome.val_bpb,
        "test_bpb": outcome.test_bpb,
        "scoring": outcome.scoring.value,
        "containment": outcome.containment,
        "audit": None if outcome.audit is None else numbers_to_json(outcome.audit),
        "train_seconds": outcome.train_seconds,
        "total_seconds": outcome.total_seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "train_tokens": outcome.train_tokens,
        "step_count": outcome.step_count,
        "peak_memory_mb": outcome.peak_memory_mb,
        "summary": numbers_to_json(outcome.summary),
        "calibration": asdict(outcome.calibration) if outcome.calibration else None,
        "granted_tokens": outcome.granted_tokens,
        "is_suspect": outcome.is_suspect,
        "failure_kind": failure.kind.value if failure else None,
        "failure_message": failure.message if failure else None,
        "failure_log_tail": failure.log_tail if failure else None,
    }


def outcome_of(
    columns: Mapping[str, Any],
    *,
    snapshots: Sequence[Snapshot] = (),
    curve: Sequence[CurvePoint] = (),
) -> Outcome:
    """The inverse of ``columns_of``."""
    calibration = columns["calibration"]
    return Outcome(
        status=TrialStatus(columns["status"]),
        val_bpb=columns["val_bpb"],
        test_bpb=columns.get("test_bpb"),
        scoring=Scoring(columns["scoring"]),
        containment=columns["containment"],
        audit=None if columns.get("audit") is None else numbers_from_json(columns["audit"]),
        train_seconds=columns["train_seconds"],
        total_seconds=columns["total_seconds"],
        cpu_seconds=columns["cpu_seconds"],
        train_tokens=columns["train_tokens"],
        step_count=columns["step_count"],
        peak_memory_mb=columns["peak_memory_mb"],
        summary=numbers_from_json(columns["summary"]),
        snapshots=tuple(snapshots),
        curve=tuple(curve),
        calibration=Calibration(**calibration) if calibration else None,
        granted_tokens=columns["granted_tokens"],
        is_suspect=columns["is_suspect"],
        failure=_failure_of(columns),
    )


def _failure_of(columns: Mapping[str, Any]) -> Failure | None:
    if columns["failure_kind"] is None:
        return None
    return Failure(
        FailureClass(columns["failure_kind"]),
        columns["failure_message"],
        columns["failure_log_tail"],
    )


def outcome_to_json(outcome: Outcome) -> Document:
    """A whole outcome as one document."""
    return columns_of(outcome) | {
        "snapshots": [
            [number_to_json(s.fraction), number_to_json(s.bpb)] for s in outcome.snapshots
        ],
        "curve": curve_to_json(outcome.curve),
    }


def outcome_from_json(document: Mapping[str, Any]) -> Outcome:
    """The inverse of ``outcome_to_json``."""
    return outcome_of(
        document,
        snapshots=[Snapshot(float(f), float(bpb)) for f, bpb in document["snapshots"]],
        curve=curve_from_json(document["curve"]),
    )


def publication_from_json(document: Mapping[str, Any]) -> Publication:
    """The inverse of ``asdict``."""
    gains = {
        name: FreshGain(**document[name]) if document[name] is not None else None
        for name in ("step", "gain")
    }
    return Publication(**{**document, **gains, "trials": tuple(document["trials"])})


def rungs_to_json(rungs: Sequence[RungVerdict]) -> list[Document]:
    """The rungs of a verdict, one document each."""
    return [asdict(rung) | {"ruling": rung.ruling.value} for rung in rungs]


def rungs_from_json(documents: Sequence[Mapping[str, Any]]) -> tuple[RungVerdict, ...]:
    """The inverse of ``rungs_to_json``."""
    return tuple(
        RungVerdict(
            **{
                **document,
                "ruling": Ruling(document["ruling"]),
                "sealed": SealedGain(**document["sealed"]) if document.get("sealed") else None,
            }
        )
        for document in documents
    )
