"""Store: the only reader and writer of the database. Values in, values out.

Every public write is one transaction, on disk when it returns. The clock is the caller's: times
come in as ``at``, in seconds since the epoch.
"""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session, undefer

from population import learning, ledger, people_rows
from population.critique import Critique, VerdictReading
from population.database import (
    Database,
    DiskFullError,
    LockedError,
    SchemaError,
    StoreError,
    address,
    place,
    sqlite_file,
)
from population.encoding import outcome_to_json, publication_from_json, rungs_to_json
from population.fitness import Fitness
from population.lesson import Lesson, LessonChanges, LessonState
from population.metric import Metric
from population.people import Mark, Marked, Suggestion, barred_by, marks_of, suggestion_label
from population.records import (
    Call,
    CallResult,
    CallState,
    Commission,
    CommissionState,
    Json,
    LateResult,
    Lease,
    Request,
    RunRecord,
    RunState,
    Spending,
)
from population.remembered import Remembered
from population.tables import (
    CalibrationRow,
    CallRow,
    CommissionRow,
    CritiqueRow,
    DecisionRow,
    FactRow,
    FitnessRow,
    LateResultRow,
    LessonRow,
    RequestRow,
    RunRow,
    SnapshotRow,
    SuggestionRow,
    TrialRow,
    VariantRow,
    VerdictRow,
    columns_from,
)
from population.trial import (
    Calibration,
    Conditions,
    FailureClass,
    Outcome,
    Purpose,
    Snapshot,
    Trial,
    TrialStatus,
)
from population.variant import Variant
from population.verdict import Publication, Verdict, last_published

__all__ = ["DiskFullError", "LockedError", "SchemaError", "Store", "StoreError"]

_SHORTEST_PREFIX = 6
#: Digits of a commit.
_WHOLE_COMMIT = 40
_METRIC = "metric"
_PUBLICATIONS = "publications"

Row = TypeVar("Row", TrialRow, RequestRow, CallRow, CommissionRow, SuggestionRow)


class Store:
    """One run's database. Open it with ``Store.create`` or ``Store.open``, close it after use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(database.reading, database.version)

    @classmethod
    def create(cls, path_or_url: Path | str, run: RunRecord) -> "Store":
        """Make the database of a new run; a failure leaves nothing behind.

        Raises:
            StoreError: There is one already, or the place cannot be written.
        """
        url = address(path_or_url)
        file = sqlite_file(url)
        if file is None:
            return cls._create_at(Database(url), run)
        if file.exists():
            raise _exists(place(url))
        partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
        try:
            cls._create_at(Database(address(partial)), run).close()
            partial.rename(file)
        finally:
            for left in partial.parent.glob(f"{partial.name}*"):
                left.unlink()
        return cls.open(path_or_url)

    @classmethod
    def _create_at(cls, database: Database, run: RunRecord) -> "Store":
        try:
            if database.is_built():
                raise _exists(database.where)
            database.build()
            with database.writing() as session:
                session.add(RunRow(**columns_from(run)))
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def open(
        cls, path_or_url: Path | str, read_only: bool = False, *, busy_seconds: float = 10.0
    ) -> "Store":
        """Open a run's database; a writer brings an older schema up to date.

        Raises:
            SchemaError: Its schema is newer, or older and ``read_only``.
            StoreError: There is none, or it is no run's database.
        """
        url = address(path_or_url)
        file = sqlite_file(url)
        if file is not None and not file.is_file():
            raise StoreError(
                f"There is no database at {file}, but a run keeps its results in one. Check the "
                "name of the run, or begin it with `evolve run`."
            )
        database = Database(url, read_only=read_only, busy_seconds=busy_seconds)
        try:
            database.check_schema()
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Everything read inside is of one moment, also while an engine writes."""
        with self._database.at_one_moment():
            yield

    # The run

    def run(self) -> RunRecord:
        """The run that owns the database."""
        with self._database.reading() as session:
            return session.scalars(select(RunRow)).one().value()

    def update_run(self, *, state: RunState | None = None, baseline: str | None = None) -> None:
        """Change the run's state, its baseline, or both."""
        with self._database.writing() as session:
            row = session.scalars(select(RunRow)).one()
            row.state = row.state if state is None else state.value
            row.baseline = row.baseline if baseline is None else baseline

    # Variants

    def add_variant(self, variant: Variant) -> None:
        """Store a variant; one that is there already stays as it is."""
        with self._database.writing() as session:
            if _variant_row(session, variant.sha) is None:
                session.add(VariantRow.of(variant))

    def variant(self, key: str) -> Variant:
        """The variant with this commit, name, or unambiguous start of a commit (6 digits or more).

        Raises:
            StoreError: None has it, or several have.
        """
        known = self._kept().variant(key) if len(key) == _WHOLE_COMMIT else None
        if known is not None:
            return known
        with self._database.reading() as session:
            for column in (VariantRow.sha, VariantRow.name):
                row = session.scalar(select(VariantRow).where(column == key))
                if row is not None:
                    return row.value()
            found = self._starting_with(session, key.lower())
        if len(found) == 1:
            return found[0].value()
        raise _no_variant(key, [row.name for row in found])

    def _starting_with(self, session: Session, prefix: str) -> Sequence[VariantRow]:
        if len(prefix) < _SHORTEST_PREFIX or not set(prefix) <= set("0123456789abcdef"):
            return []
        inside = (VariantRow.sha >= prefix, VariantRow.sha < prefix + "g")
        return session.scalars(select(VariantRow).where(*inside).limit(5)).all()

    def variants(self) -> list[Variant]:
        """All variants, in the order they were made."""
        return self._kept().variants()

    def _kept(self) -> Remembered:
        """What was read before; nothing at one moment, which may lie before it."""
        if self._database.is_at_one_moment:
            return Remembered(self._database.reading, lambda: None)
        return self._remembered

    def next_serial(self) -> int:
        """The serial number for the name of the next variant; the first has 0."""
        with self._database.reading() as session:
            return session.scalars(select(func.count()).select_from(VariantRow)).one()

    def genome_hashes(self) -> frozenset[str]:
        """Canonical hashes of every genome of the run."""
        with self._database.reading() as session:
            return frozenset(session.scalars(select(VariantRow.genome_hash)))

    # Trials

    def queue_trial(
        self,
        variant_sha: str,
        *,
        purpose: Purpose,
        conditions: Conditions,
        at: float,
        pair: str | None = None,
    ) -> Trial:
        """Queue a trial of a stored variant."""
        with self._database.writing() as session:
            if _variant_row(session, variant_sha) is None:
                raise _no_variant(variant_sha, [])
            row = TrialRow.queued(variant_sha, purpose, conditions, pair=pair, at=at)
            session.add(row)
            session.flush()
            return row.value()

    def start_trial(
        self,
        trial_id: int,
        *,
        slot: int,
        lease_seconds: float,
        at: float,
        supervisor_pid: int | None = None,
    ) -> Trial:
        """Begin the next attempt at a queued trial.

        Raises:
            StoreError: The trial is not queued.
        """
        with self._database.writing() as session:
            row = _numbered(session, TrialRow, trial_id)
            _expect(row, TrialStatus.QUEUED, "started")
            row.status = TrialStatus.RUNNING.value
            row.attempt += 1
            row.started_at, row.finished_at = at, None
            row.slot, row.supervisor_pid = slot, supervisor_pid
            row.lease_until = at + lease_seconds
            session.flush()
            return row.value()

    def set_supervisor(self, trial_id: int, attempt: int, pid: int) -> None:
        """Note which process owns the trainer of a running attempt; too late, it is ignored."""
        with self._database.writing() as session:
            row = _numbered(session, TrialRow, trial_id)
            if _is_running(row, attempt):
                row.supervisor_pid = pid

    def add_snapshot(self, trial_id: int, attempt: int, snapshot: Snapshot) -> None:
        """Keep a reading of a running attempt; too late, it is ignored."""
        with self._database.writing() as session:
            if _is_running(_numbered(session, TrialRow, trial_id), attempt):
                session.merge(SnapshotRow.of(trial_id, attempt, snapshot))

    def snapshots(self, trial_id: int) -> list[Snapshot]:
        """The readings of a trial's last attempt so far, in order."""
        with self._database.reading() as session:
            return [row.value() for row in _numbered(session, TrialRow, trial_id).snapshots]

    def finish_trial(self, trial_id: int, attempt: int, outcome: Outcome, *, at: float) -> bool:
        """Take in what an attempt came to.

        A trial ends after all that ended before, if only by a moment, even where the clock stands
        still or was set back: so ends are in the order in which they were stored.

        Returns:
            True if the trial ended with it. False if it had ended before, or if the attempt had
            been given up: such a result is kept among the ``late_results``.

        Raises:
            StoreError: No such attempt was ever started, or the outcome is not final.
        """
        _check_final(trial_id, outcome)
        with self._database.writing() as session:
            row = _numbered(session, TrialRow, trial_id)
            if not 1 <= attempt <= row.attempt:
                raise StoreError(
                    f"Trial {trial_id} has had {row.attempt} attempts, but a result came for "
                    f"attempt {attempt}; only a started attempt ends. Start the trial first."
                )
            if _is_running(row, attempt):
                row.take(outcome, at=_after_others(session, at))
                for snapshot in outcome.snapshots:
                    session.merge(SnapshotRow.of(trial_id, attempt, snapshot))
                return True
            waits = row.status in (TrialStatus.QUEUED, TrialStatus.WITHDRAWN)
            if attempt < row.attempt or waits:
                _keep_late(session, LateResult(trial_id, attempt, at, outcome))
            return False

    def requeue_trial(self, trial_id: int, reason: str) -> None:
        """Give up the running attempt and queue the trial again; no fault of the variant.

        Raises:
            StoreError: The trial is not running.
        """
        with self._database.writing() as session:
            row = _numbered(session, TrialRow, trial_id)
            _expect(row, TrialStatus.RUNNING, "queued again")
            row.status = TrialStatus.QUEUED.value
            row.requeue_reason = reason
            row.slot = row.supervisor_pid = row.lease_until = None

    def withdraw_trial(self, trial_id: int) -> None:
        """Take a trial off the queue: it will never run.

        Raises:
            StoreError: The trial is not queued.
        """
        with self._database.writing() as session:
            row = _numbered(session, TrialRow, trial_id)
            _expect(row, TrialStatus.QUEUED, "withdrawn")
            row.status = TrialStatus.WITHDRAWN.value

    def trial(self, trial_id: int) -> Trial:
        """The trial with this number, its curve included."""
        with self._database.reading() as session:
            return _numbered(session, TrialRow, trial_id).value(with_curve=True)

    def trials(
        self,
        *,
        status: TrialStatus | None = None,
        variant: str | None = None,
        purpose: Purpose | None = None,
        with_curves: bool = False,
    ) -> list[Trial]:
        """Trials in the order they were queued; curves, which are long, only when asked for."""
        if with_curves or self._database.is_at_one_moment:
            return self._queried_trials(status, variant, purpose, with_curves)
        return [
            trial
            for trial in self._remembered.trials()
            if (status is None or trial.status is status)
            and (variant is None or trial.variant == variant)
            and (purpose is None or trial.purpose is purpose)
        ]

    def _queried_trials(
        self,
        status: TrialStatus | None,
        variant: str | None,
        purpose: Purpose | None,
        with_curves: bool,
    ) -> list[Trial]:
        wanted: list[ColumnElement[bool]] = []
        if status is not None:
            wanted.append(TrialRow.status == status.value)
        if variant is not None:
            wanted.append(TrialRow.variant == variant)
        if purpose is not None:
            wanted.append(TrialRow.purpose == purpose.value)
        query = select(TrialRow).where(*wanted).order_by(TrialRow.id)
        if with_curves:
            query = query.options(undefer(TrialRow.curve))
        with self._database.reading() as session:
            return [row.value(with_curve=with_curves) for row in session.scalars(query)]

    def failed_variants(self) -> frozenset[str]:
        """Commits of variants of which a trial ended without a score, by their own fault.

        Trials that take no part in selection are left out. Reads two columns: it is asked at every
        turn of a search, of thousands of trials.
        """
        ends = [TrialStatus.CRASHED.value, TrialStatus.TIMED_OUT.value]
        query = (
            select(TrialRow.variant)
            .where(TrialRow.status.in_(ends))
            .where(TrialRow.failure_kind != FailureClass.HARNESS.value)
            .where(TrialRow.purpose.in_([each for each in Purpose if each.informs]))
            .distinct()
        )
        with self._database.reading() as session:
            return frozenset(session.scalars(query))

    def latest_trials(
        self, count: int, *, purpose: Purpose, status: Collection[TrialStatus]
    ) -> list[Trial]:
        """The ``count`` trials that were queued last, of a purpose and in one of the states.

        The last one comes first; curves are left out. Reads no others.
        """
        query = (
            select(TrialRow)
            .where(TrialRow.purpose == purpose.value)
            .where(TrialRow.status.in_([one.value for one in status]))
            .order_by(TrialRow.id.desc())
            .limit(count)
        )
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(query)]

    def running(self) -> list[Lease]:
        """The running trials and who holds each."""
        running = TrialRow.status == TrialStatus.RUNNING.value
        with self._database.reading() as session:
            rows = session.scalars(select(TrialRow).where(running).order_by(TrialRow.id))
            return [row.lease() for row in rows]

    def late_results(self) -> list[LateResult]:
        """Results whose attempt had been given up."""
        with self._database.reading() as session:
            order = (LateResultRow.trial, LateResultRow.attempt)
            return [row.value() for row in session.scalars(select(LateResultRow).order_by(*order))]

    # What is believed and judged

    def save_fitnesses(self, fitnesses: Mapping[str, Fitness]) -> None:
        """Replace the fitness of each variant named."""
        with self._database.writing() as session:
            there = set(session.scalars(select(FitnessRow.variant)))
            rows = {sha: {"variant": sha} | columns_from(f) for sha, f in fitnesses.items()}
            changed = [row for sha, row in rows.items() if sha in there]
            new = [row for sha, row in rows.items() if sha not in there]
            if changed:
                session.execute(update(FitnessRow), changed)
            if new:
                session.execute(insert(FitnessRow), new)

    def fitnesses(self) -> dict[str, Fitness]:
        """The fitness of each variant that has one, best first."""
        return self._kept().fitnesses()

    def champion(self) -> str | None:
        """Commit of the scored variant of the best fitness; None while nothing is scored.

        One that a person banned is never put forward, nor what descends from it.
        """
        fitnesses, barred = self.fitnesses(), self.barred()
        scored = [sha for sha, f in fitnesses.items() if f.is_scored and sha not in barred]
        return max(scored, key=lambda sha: fitnesses[sha], default=None)

    def add_calibration(self, calibration: Calibration) -> None:
        """Keep one more measurement."""
        with self._database.writing() as session:
            session.add(CalibrationRow(**columns_from(calibration)))

    def calibrations(
        self, genome_hash: str, device_class: str, depth_scale: float = 1.0
    ) -> list[Calibration]:
        """Every measurement of a genome on a device class at a depth, oldest first."""
        same = CalibrationRow.depth_scale == depth_scale
        query = select(CalibrationRow).where(*_measured(genome_hash, device_class), same)
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(query.order_by(CalibrationRow.id))]

    def drop_calibrations(self, genome_hash: str, device_class: str) -> None:
        """Forget the measurements of a genome on a device class, whatever the depth."""
        with self._database.writing() as session:
            session.execute(delete(CalibrationRow).where(*_measured(genome_hash, device_class)))

    def set_fact(self, key: str, value: Json) -> None:
        """Keep a small fact of the run, in place of the one that had this key."""
        with self._database.writing() as session:
            session.merge(FactRow(key=key, value=value))

    def fact(self, key: str) -> Json:
        """The fact with this key; None if there is none."""
        with self._database.reading() as session:
            row = session.get(FactRow, key)
            found: Json = None if row is None else row.value
            return found

    def forget_fact(self, key: str) -> None:
        """Drop the fact with this key, if there is one."""
        with self._database.writing() as session:
            session.execute(delete(FactRow).where(FactRow.key == key))

    def set_metric(self, metric: Metric) -> None:
        """Keep what the run's score is; once, when the run is made."""
        self.set_fact(_METRIC, metric.to_json())

    def metric(self) -> Metric:
        """What the run's score is called and which way it is better."""
        return Metric.from_json(self.fact(_METRIC))

    def add_verdict(self, verdict: Verdict) -> None:
        """Keep a verdict, in place of the one that had this label."""
        with self._database.writing() as session:
            columns = columns_from(verdict) | {"rungs": rungs_to_json(verdict.rungs)}
            session.merge(VerdictRow(**columns))

    def verdicts(self) -> list[Verdict]:
        """All verdicts, oldest first."""
        query = select(VerdictRow).order_by(VerdictRow.created_at, VerdictRow.label)
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(query)]

    def add_publication(self, publication: Publication) -> None:
        """Keep what came of a nominee."""
        kept = [*self.publications(), publication]
        self.set_fact(_PUBLICATIONS, [asdict(each) for each in kept])

    def publications(self) -> list[Publication]:
        """What came of every nominee, oldest first."""
        kept = self.fact(_PUBLICATIONS)
        return [publication_from_json(each) for each in kept] if isinstance(kept, list) else []

    def published(self) -> Publication | None:
        """The champion that was published last and that stands.

        Neither banned since, nor tried by a verdict that did not confirm it.
        """
        refuted = {v.champion for v in self.verdicts() if not v.is_confirmed and v.champion}
        return last_published(self.publications(), self.barred() | refuted)

    # What the engine decided, was asked, and paid for

    def record_decision(self, kind: str, payload: Json, rng_state: Json) -> None:
        """Keep a decision and the random state after it."""
        with self._database.writing() as session:
            session.add(DecisionRow(kind=kind, payload=payload, rng_state=rng_state))

    def last_rng_state(self) -> Json:
        """The random state after the last decision; None before the first."""
        query = select(DecisionRow.rng_state).order_by(DecisionRow.id.desc()).limit(1)
        with self._database.reading() as session:
            state: Json = session.scalar(query)
            return state

    def decided(self, *kinds: str) -> list[Json]:
        """What the decisions of these kinds were about, oldest first."""
        with self._database.reading() as session:
            wanted = select(DecisionRow.payload).where(DecisionRow.kind.in_(kinds))
            return list(session.scalars(wanted.order_by(DecisionRow.id)))

    def add_request(self, kind: str, payload: Json, *, at: float | None = None) -> int:
        """Ask something of a live run; returns the request's number."""
        with self._database.writing() as session:
            row = RequestRow(kind=kind, payload=payload, created_at=at, is_settled=False)
            session.add(row)
            session.flush()
            return row.id

    def pending_requests(self) -> list[Request]:
        """Requests that nobody has settled, oldest first."""
        pending = select(RequestRow).where(RequestRow.is_settled.is_(False))
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(pending.order_by(RequestRow.id))]

    def settle_request(self, request_id: int, outcome: Json) -> None:
        """Note what came of a request. The first outcome stands."""
        with self._database.writing() as session:
            row = _numbered(session, RequestRow, request_id)
            if not row.is_settled:
                row.is_settled, row.outcome = True, outcome

    # What people ask of it

    def add_suggestion(
        self, text: str, author: str, *, at: float, request: int | None = None
    ) -> int:
        """Keep a suggestion; returns its number. That of one request is kept once."""
        with self._database.writing() as session:
            return people_rows.add(session, text, author, at=at, request=request)

    def set_idea(self, file: str, text: str | None, *, at: float) -> tuple[int | None, int | None]:
        """Let a file of ideas say ``text``, or be gone; what it said before is withdrawn.

        The same text again changes nothing, not even after a person withdrew it.

        Returns:
            Numbers of the new suggestion and of the withdrawn one; None where there is none.
        """
        with self._database.writing() as session:
            return people_rows.set_file(session, file, text, at=at)

    def idea_files(self) -> list[str]:
        """The files whose present text is a suggestion, oldest first."""
        with self._database.reading() as session:
            return people_rows.files(session)

    def withdraw_suggestion(self, number: int) -> None:
        """Offer a suggestion no more; what took it up keeps its name.

        Raises:
            StoreError: There is no such suggestion.
        """
        with self._database.writing() as session:
            _numbered(session, SuggestionRow, number).is_withdrawn = True

    def suggestions(self) -> list[Suggestion]:
        """Suggestions of people, oldest first, each with what came of it."""
        with self._database.reading() as session:
            return people_rows.suggestions(session)

    def set_mark(self, variant: str, mark: Marked | None) -> None:
        """Give a variant a mark in place of the one it had, or none."""
        with self._database.writing() as session:
            people_rows.set_mark(session, variant, mark)

    def marked(self) -> dict[str, Marked]:
        """The marks that people set, by commit."""
        with self._database.reading() as session:
            return people_rows.marked(session)

    def marks(self) -> dict[str, Mark]:
        """How each variant stands with people, descent included; without a mark it is left out."""
        marked = self.marked()
        return marks_of(marked, self.variants()) if marked else {}

    def barred(self) -> frozenset[str]:
        """Commits of the banned variants, and of what descends from them."""
        return barred_by(self.marks())

    # Language models: what they are asked for, and what it costs

    def open_commission(
        self,
        operator: str,
        *,
        parents: Sequence[str],
        rng_seed: int,
        at: float,
        intent: str = "",
        suggestions: Sequence[int] = (),
    ) -> Commission:
        """Keep work that is given to an operator, before it asks its model."""
        commission = Commission(0, operator, tuple(parents), intent, rng_seed, at)
        columns = columns_from(commission)
        columns |= {"parents": list(parents), "suggestions": list(suggestions)}
        del columns["id"]
        with self._database.writing() as session:
            row = CommissionRow(**columns)
            session.add(row)
            session.flush()
            return row.value()

    def close_commission(
        self,
        commission: int,
        state: CommissionState,
        *,
        variant: str | None = None,
        reason: str = "",
        was_read: bool = True,
    ) -> None:
        """Note what came of an open commission; its calls and critique led to ``variant``, too.

        What is still set aside for its calls is charged: nobody asks for those replies any more.

        Args:
            commission: Its number.
            state: What came of it.
            variant: Commit of what was made.
            reason: Why nothing was made.
            was_read: False if no model answered: its suggestions then were offered to nobody.

        Raises:
            StoreError: It is not open, or ``state`` is ``open``.
        """
        with self._database.writing() as session:
            _close(session, commission, state, variant=variant, reason=reason, was_read=was_read)

    def commissions(self, state: CommissionState | None = None) -> list[Commission]:
        """Commissions, oldest first."""
        query = select(CommissionRow).order_by(CommissionRow.id)
        if state is not None:
            query = query.where(CommissionRow.state == state.value)
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(query)]

    def add_call(self, call: Call) -> int:
        """Keep a call of a language model; returns its number."""
        with self._database.writing() as session:
            return ledger.add(session, call)

    def reserve_call(self, call: Call, *, limit_usd: float | None) -> int | None:
        """Set the worst case of a call aside, if there is room for it below ``limit_usd``.

        Asking and setting aside are one transaction that no other can come between: neither a
        thread nor another process.

        Args:
            call: What will be asked, with ``reserved_usd``; its place in its commission is given
                here.
            limit_usd: The most that all calls of the run may cost; None is no limit.

        Returns:
            The call's number; None if all that was spent or set aside leaves too little room.
        """
        with self._database.writing() as session:
            return ledger.reserve(session, call, limit_usd)

    def settle_call(self, call_id: int, result: CallResult) -> None:
        """Take in the reply to a reserved call, and what it cost.

        A call that was thought abandoned is put right.

        Raises:
            StoreError: It has its result already.
        """
        with self._database.writing() as session:
            ledger.end(_numbered(session, CallRow, call_id), CallState.SETTLED, result)

    def fail_call(self, call_id: int, failure: str, result: CallResult) -> None:
        """Note that a reserved call gave no reply, why, and what it is charged at.

        Raises:
            StoreError: It has its result already.
        """
        with self._database.writing() as session:
            row = _numbered(session, CallRow, call_id)
            ledger.end(row, CallState.FAILED, result, failure=failure)

    def release_call(self, call_id: int) -> None:
        """Forget a reserved call that was never sent; nothing of it is kept.

        Raises:
            StoreError: It is not reserved.
        """
        with self._database.writing() as session:
            ledger.release(session, _numbered(session, CallRow, call_id))

    def note_calls(self, details: Mapping[int, Mapping[str, Json]]) -> None:
        """Add facts to reserved calls, to all or to none; their results keep them.

        Raises:
            StoreError: One has its result already.
        """
        with self._database.writing() as session:
            for call_id, facts in details.items():
                ledger.note(_numbered(session, CallRow, call_id), facts)

    def abandon_calls(self, at: float, *, without: str = "") -> list[int]:
        """Charge every reserved call asked before ``at`` at its worst case: its process is gone.

        Args:
            at: Seconds since the epoch.
            without: Calls with a fact of this name stay: someone can still ask for the reply.

        Returns:
            Their numbers.
        """
        with self._database.writing() as session:
            return ledger.abandon(session, before=at, without=without)

    def abandon_these(self, call_ids: Sequence[int]) -> list[int]:
        """Charge those of the calls that are still reserved at their worst case; their numbers.

        Nobody will ask for their replies: the conversation that they were part of went another way.
        """
        with self._database.writing() as session:
            return ledger.abandon_these(session, call_ids)

    def attribute_call(
        self, call_id: int, *, variant: str | None = None, trial: int | None = None
    ) -> None:
        """Note what a call led to."""
        with self._database.writing() as session:
            row = _numbered(session, CallRow, call_id)
            row.variant = row.variant if variant is None else variant
            row.trial = row.trial if trial is None else trial

    def calls(
        self,
        *,
        variant: str | None = None,
        commission: int | None = None,
        with_texts: bool = False,
    ) -> list[Call]:
        """Calls, oldest first; texts that several share, which are long, only when asked for.

        Args:
            variant: Only those that led to the variant with this commit.
            commission: Only those of this commission.
            with_texts: True to read ``system``, ``earlier`` and ``tools``.
        """
        query = select(CallRow).order_by(CallRow.id)
        if variant is not None:
            query = query.where(CallRow.variant == variant)
        if commission is not None:
            query = query.where(CallRow.commission == commission)
        with self._database.reading() as session:
            rows = session.scalars(query).all()
            texts = ledger.texts_of(session, rows) if with_texts else None
            return [row.value(texts) for row in rows]

    def spending(self) -> Spending:
        """What the language models have cost so far, by role and model."""
        with self._database.reading() as session:
            return ledger.spending(session)

    # What was learnt, and what critics say

    def change_lessons(
        self,
        *,
        at: float,
        added: Sequence[Lesson] = (),
        changed: Sequence[Lesson] = (),
        retired: Mapping[int, str] | None = None,
        commission: int | None = None,
    ) -> LessonChanges:
        """Add, change and retire lessons, all or nothing.

        Args:
            at: When lessons are retired, in seconds since the epoch.
            added: New ones. Evidence that is no trial of the run is left out; a librarian's lesson
                without any evidence is not kept.
            changed: In place of those with their numbers.
            retired: Reasons, by number; those that are retired already are left alone.
            commission: Is closed as done with it; None if they are of none.

        Raises:
            StoreError: There is no such lesson, or the commission is not open.
        """
        with self._database.writing() as session:
            changes = LessonChanges(
                added=learning.add_lessons(session, added),
                changed=[learning.change_lesson(session, lesson) for lesson in changed],
                retired=learning.retire_lessons(session, retired or {}, at=at),
            )
            if commission is not None:
                _close(session, commission, CommissionState.DONE)
            return changes

    def lessons(self, state: LessonState | None = None) -> list[Lesson]:
        """Lessons, oldest first."""
        query = select(LessonRow).order_by(LessonRow.id)
        if state is not None:
            query = query.where(LessonRow.state == state.value)
        with self._database.reading() as session:
            return [row.value() for row in session.scalars(query)]

    def add_critique(self, critique: Critique) -> None:
        """Keep what was said of a proposal, in place of what its commission had."""
        with self._database.writing() as session:
            learning.keep_critique(session, critique)

    def critiques(self) -> list[Critique]:
        """What was said of proposals, oldest first."""
        query = select(CritiqueRow).where(CritiqueRow.kind == learning.PROPOSAL)
        with self._database.reading() as session:
            rows = session.scalars(query.order_by(CritiqueRow.commission))
            return [row.critique() for row in rows]

    def add_reading(self, reading: VerdictReading) -> None:
        """Keep a reading of a verdict; its commission is closed as done with it.

        Raises:
            StoreError: The commission is not open.
        """
        with self._database.writing() as session:
            learning.keep_reading(session, reading)
            _close(session, reading.commission, CommissionState.DONE)

    def readings(self, *, champion: str | None = None) -> list[VerdictReading]:
        """Readings of verdicts, oldest first.

        Args:
            champion: Only of verdicts on the variant with this commit.
        """
        query = select(CritiqueRow).where(CritiqueRow.kind == learning.VERDICT)
        if champion is not None:
            query = query.where(CritiqueRow.variant == champion)
        with self._database.reading() as session:
            rows = session.scalars(query.order_by(CritiqueRow.commission))
            return [row.reading() for row in rows]


def _close(
    session: Session,
    commission: int,
    state: CommissionState,
    *,
    variant: str | None = None,
    reason: str = "",
    was_read: bool = True,
) -> None:
    row = _numbered(session, CommissionRow, commission)
    if row.state != CommissionState.OPEN or state is CommissionState.OPEN:
        raise StoreError(
            f"Commission {commission} is {row.state} and cannot become {state}, but only "
            "an open one is closed. Another engine may work on this run: stop one of them."
        )
    row.state, row.variant, row.reason = state.value, variant, reason
    row.suggestions = row.suggestions if was_read else []
    if variant is not None:
        of_it = CritiqueRow.commission == commission
        session.execute(update(CritiqueRow).where(of_it).values(variant=variant))
    ledger.abandon_of(session, commission)
    calls = update(CallRow).where(CallRow.commission == commission)
    session.execute(calls.values(variant=variant))


def _numbered(session: Session, kind: type[Row], number: int) -> Row:
    row = session.get(kind, number)
    if row is None and kind is SuggestionRow:
        raise _no_suggestion(session, number)
    if row is None:
        last = session.scalar(select(func.count()).select_from(kind)) or 0
        what = kind.__tablename__.removesuffix("s")
        raise StoreError(
            f"There is no {what} {number}, but only one of the {last} in the database can be read "
            f"or changed. Take a number from 1 to {last}."
        )
    return row


def _no_suggestion(session: Session, number: int) -> StoreError:
    last = session.scalar(select(func.count()).select_from(SuggestionRow)) or 0
    known = f"it has S1 to S{last}" if last else "it has none yet"
    return StoreError(
        f"There is no suggestion {suggestion_label(number)} in this run; {known}. Name one of "
        "those that `evolve suggestions` lists."
    )


def _variant_row(session: Session, sha: str) -> VariantRow | None:
    return session.scalar(select(VariantRow).where(VariantRow.sha == sha))


def _after_others(session: Session, at: float) -> float:
    """``at``, or the least moment after the last end, if that is later."""
    last = session.scalars(select(func.max(TrialRow.finished_at))).one()
    return at if last is None else max(at, math.nextafter(last, math.inf))


def _is_running(row: TrialRow, attempt: int) -> bool:
    return row.status == TrialStatus.RUNNING and row.attempt == attempt


def _measured(genome_hash: str, device_class: str) -> tuple[ColumnElement[bool], ...]:
    return (CalibrationRow.genome_hash == genome_hash, CalibrationRow.device_class == device_class)


def _keep_late(session: Session, late: LateResult) -> None:
    if session.get(LateResultRow, (late.trial, late.attempt)) is None:
        columns = columns_from(late) | {"outcome": outcome_to_json(late.outcome)}
        session.add(LateResultRow(**columns))


def _expect(row: TrialRow, needed: TrialStatus, verb: str) -> None:
    if row.status != needed:
        raise StoreError(
            f"Trial {row.id} is {row.status}, but only a {needed} trial can be {verb}. Another "
            "engine may work on this run: stop one of them."
        )


def _check_final(trial_id: int, outcome: Outcome) -> None:
    if not outcome.status.has_run:
        raise StoreError(
            f"The outcome of trial {trial_id} says {outcome.status}, but a trial ends complete, "
            "crashed, timed_out, rejected or stopped_early. Hand in a final outcome."
        )
    if outcome.val_bpb is not None and not math.isfinite(outcome.val_bpb):
        raise StoreError(
            f"The outcome of trial {trial_id} has val_bpb {outcome.val_bpb}, but a score is a "
            "finite number or None. Hand it in as a failure of class not_finite."
        )


def _exists(where: str) -> StoreError:
    return StoreError(
        f"There is a run at {where} already, but a new run needs a place of its own. Choose "
        "another name, or go on with that run: `evolve resume`."
    )


def _no_variant(key: str, candidates: Sequence[str]) -> StoreError:
    if candidates:
        return StoreError(
            f"{key!r} begins the commits of {', '.join(candidates)}, but one variant is needed. "
            "Give more digits, or a name."
        )
    return StoreError(
        f"No variant is called {key[:80]!r}; a name, a commit or at least {_SHORTEST_PREFIX} of "
        "its first digits are needed. `evolve leaderboard` lists the variants."
    )
