"""The rows of suggestions and marks: taken in once, counted by what came of them.

Works inside the store's transactions; the store alone uses it.
"""

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session

from population.people import Marked, Suggestion
from population.records import CommissionState
from population.tables import CommissionRow, MarkRow, SuggestionRow, VariantRow, columns_from


def suggestions(session: Session) -> list[Suggestion]:
    """All of them, oldest first, each with its offers and what took it up."""
    rows = session.scalars(select(SuggestionRow).order_by(SuggestionRow.id)).all()
    if not rows:
        return []
    offers, under_way = Counter[int](), Counter[int]()
    for shown, state in session.execute(select(CommissionRow.suggestions, CommissionRow.state)):
        offers.update(shown)
        if state == CommissionState.OPEN:
            under_way.update(shown)
    took: dict[int, list[str]] = {}
    born = select(VariantRow.suggestion, VariantRow.sha).where(VariantRow.suggestion.is_not(None))
    for number, sha in session.execute(born.order_by(VariantRow.serial)):
        took.setdefault(number or 0, []).append(sha)
    return [
        row.value(offers[row.id], under_way[row.id], tuple(took.get(row.id, ()))) for row in rows
    ]


def add(
    session: Session,
    text: str,
    author: str,
    *,
    at: float,
    request: int | None = None,
    file: str | None = None,
) -> int:
    """Keep a suggestion; that of one request is kept once. Returns its number."""
    if request is not None:
        known = session.scalar(select(SuggestionRow.id).where(SuggestionRow.request == request))
        if known is not None:
            return known
    row = SuggestionRow(
        text=text, author=author, at=at, is_withdrawn=False, request=request, file=file
    )
    session.add(row)
    session.flush()
    return row.id


def set_file(
    session: Session, file: str, text: str | None, *, at: float
) -> tuple[int | None, int | None]:
    """Let a file say ``text``, or be gone; the numbers of what is new, and of what was withdrawn.

    What the file said before is withdrawn. The same text again changes nothing, not even after a
    person withdrew it.
    """
    before = session.scalar(select(SuggestionRow).where(SuggestionRow.file == file))
    if before is not None and before.text == text:
        return None, None
    old = None
    if before is not None:
        old = None if before.is_withdrawn else before.id
        before.is_withdrawn, before.file = True, None
        session.flush()  # before the new row takes the file's place
    new = None if text is None else add(session, text, file, at=at, file=file)
    return new, old


def files(session: Session) -> list[str]:
    """The files whose present text is a suggestion."""
    known = select(SuggestionRow.file).where(SuggestionRow.file.is_not(None))
    return [str(file) for file in session.scalars(known.order_by(SuggestionRow.id))]


def marked(session: Session) -> dict[str, Marked]:
    """Marks of people, by commit."""
    return {row.variant: row.value() for row in session.scalars(select(MarkRow))}


def set_mark(session: Session, variant: str, mark: Marked | None) -> None:
    """Give a variant the one mark that it has, or none."""
    row = session.get(MarkRow, variant)
    if mark is None:
        if row is not None:
            session.delete(row)
        return
    if row is None:
        session.add(MarkRow(**columns_from(mark)))
    elif row.mark != mark.mark:  # the same again keeps its time and its note
        row.mark, row.at, row.note = str(mark.mark), mark.at, mark.note
