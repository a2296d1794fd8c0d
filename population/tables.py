"""The tables of a run's database; each row knows the value it stands for. Seen by the store alone.

A change here comes with a step in ``migrations/versions``; a test compares the two.
"""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from population.critique import Critique, Judgement, Suspect, VerdictReading
from population.encoding import (
    columns_of,
    curve_from_json,
    curve_to_json,
    outcome_from_json,
    outcome_of,
    rungs_from_json,
)
from population.fitness import Fitness
from population.lesson import Claim, Lesson, LessonState
from population.people import Mark, Marked, Suggestion
from population.records import (
    Call,
    CallState,
    Commission,
    CommissionState,
    LateResult,
    Lease,
    Request,
    RunRecord,
    RunState,
)
from population.trial import (
    Budget,
    BudgetKind,
    Calibration,
    Conditions,
    Outcome,
    Purpose,
    Snapshot,
    Trial,
    TrialStatus,
)
from population.variant import Origin, Variant
from population.verdict import Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


class Table(DeclarativeBase):
    """What all tables share: the types behind Python's, and named constraints."""

    # Named, so that a later migration can change them on every kind of database.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        float: Double(),
        int: BigInteger().with_variant(Integer(), "sqlite"),
        str: Text(),
    }


def columns_from(value: "DataclassInstance") -> dict[str, Any]:
    """The fields of a dataclass by name, closed sets as their text."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: str(v) if isinstance(v, StrEnum) else v for name, v in fields.items()}


def value_of(row: Table, kind: type[Value], **changed: Any) -> Value:  # noqa: ANN401
    """The ``kind`` whose fields are the columns of ``row``, except for those in ``changed``."""
    names = [field.name for field in dataclasses.fields(kind) if field.name not in changed]
    return kind(**{name: getattr(row, name) for name in names}, **changed)


class RunRow(Table):
    """The one run that owns the database."""

    __tablename__ = "run"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    name: Mapped[str]
    created_at: Mapped[float]
    state: Mapped[str]
    settings: Mapped[Any] = mapped_column(JSON)
    ruler_hash: Mapped[str]
    data_hash: Mapped[str]
    baseline: Mapped[str | None]
    rng_seed: Mapped[int]

    def value(self) -> RunRecord:
        """What the row stands for."""
        return value_of(self, RunRecord, state=RunState(self.state))


#: Columns of lists, null where there is nothing.
_VARIANT_LISTS = ("adds", "drops", "hunks", "repeats", "reverts")


class VariantRow(Table):
    """A variant; ``serial`` is the order of creation."""

    __tablename__ = "variants"

    serial: Mapped[int] = mapped_column(primary_key=True)
    sha: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    generation: Mapped[int]
    first_parent: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"), index=True)
    second_parent: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"), index=True)
    origin: Mapped[str]
    operator: Mapped[str]
    hypothesis: Mapped[str]
    genome_hash: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[float]
    expected_gain: Mapped[float | None]
    # No foreign key: SQLite would have to make the table anew, which others point at.
    suggestion: Mapped[int | None]
    adds: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    drops: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    hunks: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    repeats: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    reverts: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    island: Mapped[int | None]

    @classmethod
    def of(cls, variant: Variant) -> "VariantRow":
        """The row that stands for ``variant``."""
        columns = columns_from(variant)
        del columns["parents"]
        columns |= {name: list(getattr(variant, name)) or None for name in _VARIANT_LISTS}
        first, second, *_ = (*variant.parents, None, None)
        return cls(**columns, first_parent=first, second_parent=second)

    def value(self) -> Variant:
        """What the row stands for."""
        parents = tuple(sha for sha in (self.first_parent, self.second_parent) if sha is not None)
        return value_of(
            self,
            Variant,
            parents=parents,
            origin=Origin(self.origin),
            **{name: tuple(getattr(self, name) or ()) for name in _VARIANT_LISTS},
        )


class SnapshotRow(Table):
    """A reading inside an attempt, stored as it came."""

    __tablename__ = "snapshots"

    trial: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    fraction: Mapped[float] = mapped_column(primary_key=True)
    bpb: Mapped[float | None]  # SQLite has no NaN: None stands for it

    @classmethod
    def of(cls, trial: int, attempt: int, snapshot: Snapshot) -> "SnapshotRow":
        """The row that stands for ``snapshot``."""
        bpb = None if snapshot.bpb != snapshot.bpb else snapshot.bpb
        return cls(trial=trial, attempt=attempt, fraction=snapshot.fraction, bpb=bpb)

    def value(self) -> Snapshot:
        """What the row stands for."""
        return Snapshot(self.fraction, float("nan") if self.bpb is None else self.bpb)


class TrialRow(Table):
    """A trial: its conditions, who holds it, and what its last attempt came to."""

    __tablename__ = "trials"
    __table_args__ = (
        Index("ix_trials_status_id", "status", "id"),
        Index("ix_trials_purpose_val_bpb", "purpose", "val_bpb"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(ForeignKey("variants.sha"), index=True)
    purpose: Mapped[str]
    pair: Mapped[str | None] = mapped_column(index=True)
    budget_kind: Mapped[str]
    budget_amount: Mapped[float]
    rng_seed: Mapped[int]
    depth_scale: Mapped[float]
    device_class: Mapped[str]
    split: Mapped[str]
    status: Mapped[str]
    attempt: Mapped[int] = mapped_column(default=0)
    queued_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    slot: Mapped[int | None]
    supervisor_pid: Mapped[int | None]
    lease_until: Mapped[float | None]
    requeue_reason: Mapped[str | None]
    val_bpb: Mapped[float | None]
    test_bpb: Mapped[float | None]
    scoring: Mapped[str | None]
    containment: Mapped[str | None]
    audit: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    train_seconds: Mapped[float | None]
    total_seconds: Mapped[float | None]
    cpu_seconds: Mapped[float | None]
    train_tokens: Mapped[int | None]
    step_count: Mapped[int | None]
    peak_memory_mb: Mapped[float | None]
    summary: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    calibration: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    granted_tokens: Mapped[int | None]
    is_suspect: Mapped[bool | None]
    failure_kind: Mapped[str | None]
    failure_message: Mapped[str | None]
    failure_log_tail: Mapped[str | None]
    # Last and deferred: long, and only plots want it.
    curve: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)

    snapshots: Mapped[list[SnapshotRow]] = relationship(
        primaryjoin=(
            "and_(SnapshotRow.trial == TrialRow.id, SnapshotRow.attempt == TrialRow.attempt)"
        ),
        order_by=SnapshotRow.fraction,
        lazy="selectin",
        viewonly=True,
    )

    @classmethod
    def queued(
        cls, variant: str, purpose: Purpose, conditions: Conditions, *, pair: str | None, at: float
    ) -> "TrialRow":
        """The row of a trial that waits for its first attempt."""
        return cls(
            variant=variant,
            purpose=purpose.value,
            pair=pair,
            budget_kind=conditions.budget.kind.value,
            budget_amount=conditions.budget.amount,
            rng_seed=int(conditions.rng_seed),
            depth_scale=conditions.depth_scale,
            device_class=conditions.device_class,
            split=conditions.split,
            status=TrialStatus.QUEUED.value,
            attempt=0,
            queued_at=at,
        )

    def take(self, outcome: Outcome, *, at: float) -> None:
        """Become final with ``outcome``; the snapshots have rows of their own."""
        for name, value in columns_of(outcome).items():
            setattr(self, name, value)
        self.curve = curve_to_json(outcome.curve)
        self.finished_at = at
        self.supervisor_pid = None
        self.lease_until = None

    def value(self, *, with_curve: bool = False) -> Trial:
        """What the row stands for; without ``with_curve`` its outcome has no curve."""
        return Trial(
            id=self.id,
            variant=self.variant,
            purpose=Purpose(self.purpose),
            conditions=Conditions(
                budget=Budget(BudgetKind(self.budget_kind), self.budget_amount),
                rng_seed=self.rng_seed,
                depth_scale=self.depth_scale,
                device_class=self.device_class,
                split=self.split,
            ),
            status=TrialStatus(self.status),
            attempt=self.attempt,
            pair=self.pair,
            queued_at=self.queued_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            outcome=self._outcome(with_curve) if TrialStatus(self.status).has_run else None,
        )

    def _outcome(self, with_curve: bool) -> Outcome:
        return outcome_of(
            vars(self),
            snapshots=[row.value() for row in self.snapshots],
            curve=curve_from_json(self.curve or ()) if with_curve else (),
        )

    def lease(self) -> Lease:
        """Who holds the running trial."""
        if self.slot is None or self.lease_until is None:
            raise AssertionError(f"running trial {self.id} has no lease")
        return Lease(self.value(), self.slot, self.supervisor_pid, self.lease_until)


class LateResultRow(Table):
    """A result whose attempt had been given up."""

    __tablename__ = "late_results"

    trial: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[float]
    outcome: Mapped[Any] = mapped_column(JSON)

    def value(self) -> LateResult:
        """What the row stands for."""
        return value_of(self, LateResult, outcome=outcome_from_json(self.outcome))


class FitnessRow(Table):
    """What the engine believes of a variant."""

    __tablename__ = "fitnesses"

    variant: Mapped[str] = mapped_column(ForeignKey("variants.sha"), primary_key=True)
    mean: Mapped[float | None] = mapped_column(index=True)
    sd: Mapped[float]
    trial_count: Mapped[int]

    def value(self) -> Fitness:
        """What the row stands for."""
        return value_of(self, Fitness)


class CalibrationRow(Table):
    """One measurement of what a genome's token costs."""

    __tablename__ = "calibrations"

    id: Mapped[int] = mapped_column(primary_key=True)
    genome_hash: Mapped[str] = mapped_column(index=True)
    device_class: Mapped[str]
    cost_ratio: Mapped[float]
    pair_count: Mapped[int]
    genome_seconds: Mapped[float]
    baseline_seconds: Mapped[float]
    depth_scale: Mapped[float]

    def value(self) -> Calibration:
        """What the row stands for."""
        return value_of(self, Calibration)


class FactRow(Table):
    """One small fact of the run, as JSON."""

    __tablename__ = "facts"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class DecisionRow(Table):
    """One decision of the engine."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[Any] = mapped_column(JSON)
    rng_state: Mapped[Any] = mapped_column(JSON)


class VerdictRow(Table):
    """The verdict on one champion."""

    __tablename__ = "verdicts"

    label: Mapped[str] = mapped_column(primary_key=True)
    champion: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"))
    baseline: Mapped[str] = mapped_column(ForeignKey("variants.sha"))
    rungs: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[float]

    def value(self) -> Verdict:
        """What the row stands for."""
        return value_of(self, Verdict, rungs=rungs_from_json(self.rungs))


class RequestRow(Table):
    """What another command asks of the engine; ``outcome`` is None until it is settled."""

    __tablename__ = "requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[float | None]
    is_settled: Mapped[bool] = mapped_column(default=False, index=True)
    outcome: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))

    def value(self) -> Request:
        """What the row stands for."""
        return value_of(self, Request)


class LessonRow(Table):
    """Something learnt; the columns are the fields of ``Lesson``."""

    __tablename__ = "lessons"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    source: Mapped[str]
    confidence: Mapped[float]
    at: Mapped[float]
    evidence: Mapped[Any] = mapped_column(JSON)
    claim: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    retired_at: Mapped[float | None]
    reason: Mapped[str]
    call: Mapped[int | None] = mapped_column(ForeignKey("calls.id"))

    def value(self) -> Lesson:
        """What the row stands for."""
        return value_of(
            self,
            Lesson,
            evidence=tuple(self.evidence),
            claim=Claim(self.claim),
            state=LessonState(self.state),
        )


class CritiqueRow(Table):
    """What a critic said: of a proposal, or of the verdict ``label``; one a commission."""

    __tablename__ = "critiques"

    commission: Mapped[int] = mapped_column(ForeignKey("commissions.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)
    at: Mapped[float]
    call: Mapped[int | None] = mapped_column(ForeignKey("calls.id"))
    variant: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"), index=True)
    judgement: Mapped[str | None]
    reasons: Mapped[Any] = mapped_column(JSON)
    was_exempt: Mapped[bool]
    label: Mapped[str | None] = mapped_column(ForeignKey("verdicts.label"), index=True)
    explanation: Mapped[str]
    suspects: Mapped[Any] = mapped_column(JSON)

    def critique(self) -> Critique:
        """What the row of a proposal stands for."""
        return value_of(
            self, Critique, judgement=Judgement(self.judgement or ""), reasons=tuple(self.reasons)
        )

    def reading(self) -> VerdictReading:
        """What the row of a verdict stands for."""
        suspects = tuple(Suspect(str(edit), str(why)) for edit, why in self.suspects)
        return value_of(self, VerdictReading, champion=self.variant, suspects=suspects)


class SuggestionRow(Table):
    """An idea of a person. ``file`` is set while that file says ``text``."""

    __tablename__ = "suggestions"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    author: Mapped[str]
    at: Mapped[float]
    is_withdrawn: Mapped[bool]
    request: Mapped[int | None] = mapped_column(ForeignKey("requests.id"), unique=True)
    file: Mapped[str | None] = mapped_column(unique=True)

    def value(self, offers: int, under_way: int, variants: tuple[str, ...]) -> Suggestion:
        """What the row stands for, with what came of it."""
        return value_of(
            self, Suggestion, offer_count=offers, under_way=under_way, variants=variants
        )


class MarkRow(Table):
    """A person's mark on a variant, which has one at most."""

    __tablename__ = "marks"

    variant: Mapped[str] = mapped_column(ForeignKey("variants.sha"), primary_key=True)
    mark: Mapped[str]
    at: Mapped[float]
    note: Mapped[str]

    def value(self) -> Marked:
        """What the row stands for."""
        return value_of(self, Marked, mark=Mark(self.mark))


class TextRow(Table):
    """A text that several calls share, stored once under the hash of what it says."""

    __tablename__ = "texts"

    hash: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


class CommissionRow(Table):
    """Work that an operator was given; the columns are the fields of ``Commission``."""

    __tablename__ = "commissions"

    id: Mapped[int] = mapped_column(primary_key=True)
    operator: Mapped[str]
    parents: Mapped[Any] = mapped_column(JSON)
    intent: Mapped[str]
    rng_seed: Mapped[int]
    at: Mapped[float]
    state: Mapped[str] = mapped_column(index=True)
    variant: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"), index=True)
    reason: Mapped[str]
    suggestions: Mapped[Any] = mapped_column(JSON, server_default="[]")

    def value(self) -> Commission:
        """What the row stands for."""
        return value_of(
            self,
            Commission,
            parents=tuple(self.parents),
            state=CommissionState(self.state),
            suggestions=tuple(self.suggestions),
        )


class CallRow(Table):
    """One call of a language model; the columns are the fields of ``Call``.

    ``system`` and ``earlier`` hold hashes of texts, ``tools`` one.
    """

    __tablename__ = "calls"
    __table_args__ = (UniqueConstraint("commission", "ordinal"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    operator: Mapped[str]
    model: Mapped[str]
    prompt: Mapped[str]
    reply: Mapped[str]
    at: Mapped[float]
    latency_seconds: Mapped[float]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cached_input_tokens: Mapped[int]
    cost_usd: Mapped[float]
    stop_reason: Mapped[str]
    variant: Mapped[str | None] = mapped_column(ForeignKey("variants.sha"), index=True)
    trial: Mapped[int | None] = mapped_column(ForeignKey("trials.id"))
    details: Mapped[Any] = mapped_column(JSON)
    commission: Mapped[int | None] = mapped_column(ForeignKey("commissions.id"))
    ordinal: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="settled", index=True)
    failure: Mapped[str | None]
    reserved_usd: Mapped[float] = mapped_column(server_default="0")
    cache_write_tokens: Mapped[int] = mapped_column(server_default="0")
    template: Mapped[str] = mapped_column(server_default="")
    request_id: Mapped[str] = mapped_column(server_default="")
    tool_uses: Mapped[Any] = mapped_column(JSON, server_default="[]")
    native: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    system: Mapped[Any] = mapped_column(JSON, server_default="[]")
    earlier: Mapped[Any] = mapped_column(JSON, server_default="[]")
    tools: Mapped[str | None] = mapped_column(ForeignKey("texts.hash"))

    @property
    def text_hashes(self) -> set[str]:
        """Of every shared text that the call refers to."""
        return {*self.system, *self.earlier, *([self.tools] if self.tools else [])}

    def value(self, texts: Mapping[str, str] | None = None) -> Call:
        """What the row stands for; without ``texts`` the shared texts are left out."""
        known = texts or {}
        return value_of(
            self,
            Call,
            state=CallState(self.state),
            system=tuple(known[h] for h in self.system) if texts is not None else (),
            earlier=tuple(known[h] for h in self.earlier) if texts is not None else (),
            tools=known.get(self.tools or "", ""),
        )
