"""The rows of calls: reserved within the limit, ended once, summed.

Works inside the store's transactions; the store alone uses it.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from population.database import StoreError
from population.records import Call, CallResult, CallState, Json, RoleSpending, Spending
from population.tables import CallRow, RunRow, TextRow, columns_from

_IS_RESERVED = CallRow.state == CallState.RESERVED.value
_HAS_FAILED = CallRow.state.in_([CallState.FAILED.value, CallState.ABANDONED.value])
# What is charged, and what is set aside: together they never pass the limit.
_TOTALS = (
    func.coalesce(func.sum(CallRow.cost_usd), 0.0),
    func.coalesce(func.sum(case((_IS_RESERVED, CallRow.reserved_usd), else_=0.0)), 0.0),
)
_ROLE_SUMS = (
    func.count(),
    func.sum(case((_HAS_FAILED, 1), else_=0)),
    func.sum(CallRow.input_tokens),
    func.sum(CallRow.cached_input_tokens),
    func.sum(CallRow.cache_write_tokens),
    func.sum(CallRow.output_tokens),
)
# Databases bound the length of a list in a query.
_NAMES_AT_ONCE = 500


def add(session: Session, call: Call) -> int:
    """Keep ``call`` as it is; texts that others have, too, are stored once."""
    columns = columns_from(call)
    columns["system"] = [_kept(session, text) for text in call.system]
    columns["earlier"] = [_kept(session, text) for text in call.earlier]
    columns["tools"] = _kept(session, call.tools) if call.tools else None
    columns["tool_uses"] = list(call.tool_uses)
    row = CallRow(**columns)
    session.add(row)
    session.flush()
    return row.id


def reserve(session: Session, call: Call, limit_usd: float | None) -> int | None:
    """Keep ``call`` with its worst case set aside; None if that would pass the limit."""
    session.execute(select(RunRow.id).with_for_update())  # SQLite is locked as a whole
    if limit_usd is not None:
        spent, set_aside = session.execute(select(*_TOTALS)).one()
        # Put so that a worst case that is no number finds no room.
        if not spent + set_aside + call.reserved_usd <= limit_usd:
            return None
    ordinal = None
    if call.commission is not None:
        of_it = select(func.max(CallRow.ordinal)).where(CallRow.commission == call.commission)
        last = session.scalar(of_it)
        ordinal = 0 if last is None else last + 1
    reserved = dataclasses.replace(call, state=CallState.RESERVED, cost_usd=0.0, ordinal=ordinal)
    return add(session, reserved)


def end(row: CallRow, state: CallState, result: CallResult, *, failure: str | None = None) -> None:
    """Give a call its one result; one that was thought abandoned is put right."""
    if row.state not in (CallState.RESERVED, CallState.ABANDONED):
        raise _ended(row)
    details = {**row.details, **result.details}
    for name, value in columns_from(result).items():
        setattr(row, name, value)
    row.details = details
    row.tool_uses = list(result.tool_uses)
    row.state, row.failure = state.value, failure


def note(row: CallRow, details: Mapping[str, Json]) -> None:
    """Add facts to a reserved call."""
    if row.state != CallState.RESERVED:
        raise _ended(row)
    row.details = {**row.details, **details}


def release(session: Session, row: CallRow) -> None:
    """Forget a call that was never sent."""
    if row.state != CallState.RESERVED:
        raise _ended(row)
    session.delete(row)


def abandon(session: Session, *, before: float, without: str) -> list[int]:
    """Charge every reserved call asked before then at its worst case; their numbers.

    Those with a fact called ``without`` stay.
    """
    lost = select(CallRow).where(_IS_RESERVED, CallRow.at < before).order_by(CallRow.id)
    rows = [row for row in session.scalars(lost) if not (without and without in row.details)]
    return _charged(rows)


def abandon_these(session: Session, numbers: Sequence[int]) -> list[int]:
    """Charge those of the calls that are still reserved at their worst case; their numbers."""
    lost = select(CallRow).where(_IS_RESERVED, CallRow.id.in_(numbers)).order_by(CallRow.id)
    return _charged(session.scalars(lost).all())


def abandon_of(session: Session, commission: int) -> list[int]:
    """Charge what is still reserved for a commission at its worst case: nobody asks for it."""
    lost = select(CallRow).where(_IS_RESERVED, CallRow.commission == commission)
    return _charged(session.scalars(lost.order_by(CallRow.id)).all())


def _charged(rows: Sequence[CallRow]) -> list[int]:
    for row in rows:
        row.state = row.failure = CallState.ABANDONED.value
        row.cost_usd = row.reserved_usd
    return [row.id for row in rows]


def texts_of(session: Session, rows: Sequence[CallRow]) -> dict[str, str]:
    """The shared texts that ``rows`` refer to, by their hash."""
    names = sorted(set().union(*(row.text_hashes for row in rows)))
    texts = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = TextRow.hash.in_(names[start : start + _NAMES_AT_ONCE])
        texts.update({row.hash: row.text for row in session.scalars(select(TextRow).where(some))})
    return texts


def spending(session: Session) -> Spending:
    """What was charged and what is set aside, whole and by role and model."""
    role, born = (CallRow.operator, CallRow.model), func.count(CallRow.variant.distinct())
    sums = select(*role, *_ROLE_SUMS, *_TOTALS, born).group_by(*role)
    led_to = select(*role, CallRow.variant).where(CallRow.variant.is_not(None)).distinct()
    variants: dict[tuple[str, str], list[str]] = {}
    for operator, model, variant in session.execute(led_to.order_by(CallRow.variant)):
        variants.setdefault((operator, model), []).append(str(variant))
    known = (RoleSpending(*row) for row in session.execute(sums))
    roles = [
        dataclasses.replace(role, variants=tuple(variants.get((role.operator, role.model), ())))
        for role in known
    ]
    roles.sort(key=lambda r: (-r.spent_usd - r.reserved_usd, r.operator, r.model))
    spent, reserved, count = session.execute(select(*_TOTALS, born)).one()
    return Spending(roles, count, spent, reserved)


def _kept(session: Session, text: str) -> str:
    """The hash under which ``text`` is stored."""
    name = hashlib.sha256(text.encode()).hexdigest()
    if session.get(TextRow, name) is None:
        session.add(TextRow(hash=name, text=text))
        session.flush()
    return name


def _ended(row: CallRow) -> StoreError:
    return StoreError(
        f"Call {row.id} is {row.state} already, but a call has one result. Another engine may "
        "work on this run: stop one of them."
    )
