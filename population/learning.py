"""The rows of lessons and critiques: added, changed, retired.

Works inside the store's transactions; the store alone uses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from population.critique import Critique, VerdictReading
from population.database import StoreError
from population.lesson import LIBRARIAN, Lesson, LessonState
from population.tables import CritiqueRow, LessonRow, TrialRow, columns_from

# What a row of a critic is about.
PROPOSAL, VERDICT = "proposal", "reading"


def add_lessons(session: Session, lessons: Sequence[Lesson]) -> list[Lesson]:
    """Keep new lessons; evidence that is no trial is left out, and a librarian's without any."""
    asked = {number for lesson in lessons for number in lesson.evidence}
    known = _trials(session, asked)
    rows = []
    for lesson in lessons:
        evidence = tuple(number for number in lesson.evidence if number in known)
        if lesson.source != LIBRARIAN or evidence:
            columns = _columns(replace(lesson, evidence=evidence))
            del columns["id"]
            rows.append(LessonRow(**columns))
    session.add_all(rows)
    session.flush()
    return [row.value() for row in rows]


def change_lesson(session: Session, lesson: Lesson) -> Lesson:
    """Put ``lesson`` in the place of the one with its number."""
    row = _lesson_row(session, lesson.id)
    known = _trials(session, set(lesson.evidence))
    kept = replace(lesson, evidence=tuple(n for n in lesson.evidence if n in known))
    for name, value in _columns(kept).items():
        setattr(row, name, value)
    return kept


def retire_lessons(session: Session, reasons: Mapping[int, str], *, at: float) -> list[Lesson]:
    """Retire those of the lessons that are active; they are what comes back."""
    retired = []
    for number, reason in reasons.items():
        row = _lesson_row(session, number)
        if row.state == LessonState.ACTIVE:
            row.state, row.retired_at, row.reason = LessonState.RETIRED.value, at, reason
            retired.append(row.value())
    return retired


def keep_critique(session: Session, critique: Critique) -> None:
    """Keep a critique, in place of the one that its commission had."""
    columns = columns_from(critique) | {"reasons": list(critique.reasons)}
    rest: dict[str, object] = {"label": None, "explanation": "", "suspects": []}
    session.merge(CritiqueRow(kind=PROPOSAL, **columns, **rest))


def keep_reading(session: Session, reading: VerdictReading) -> None:
    """Keep a reading of a verdict, in place of the one that its commission had."""
    columns = columns_from(reading)
    columns["suspects"] = [[suspect.edit, suspect.why] for suspect in reading.suspects]
    columns["variant"] = columns.pop("champion")
    rest: dict[str, object] = {"judgement": None, "reasons": [], "was_exempt": False}
    session.merge(CritiqueRow(kind=VERDICT, **columns, **rest))


def _columns(lesson: Lesson) -> dict[str, object]:
    return columns_from(lesson) | {"evidence": list(lesson.evidence)}


def _trials(session: Session, numbers: set[int]) -> set[int]:
    """Those of the numbers that a trial has."""
    if not numbers:
        return set()
    return set(session.scalars(select(TrialRow.id).where(TrialRow.id.in_(sorted(numbers)))))


def _lesson_row(session: Session, number: int) -> LessonRow:
    row = session.get(LessonRow, number)
    if row is None:
        raise StoreError(
            f"There is no lesson L{number}, but only one that is kept can be changed. "
            "`evolve lessons --all` lists them."
        )
    return row
