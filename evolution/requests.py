"""Requests: what other commands ask of a live run, answered by its engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evolution.breeding import Breeder
from evolution.marking import MARKS, take_mark
from population import (
    Json,
    Manual,
    Origin,
    Request,
    Store,
    StoreError,
    Variant,
    rule_problems,
    suggestion_label,
    suggestion_text,
)
from population.people import PERSON, SUGGESTION_LIMIT


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        text: For the one who asked.
        born: A variant that is new to the run, and has no trial yet; None if there is none.
        decided: What was decided, for the record; empty if nothing was.
    """

    text: str
    born: Variant | None = None
    decided: Mapping[str, Json] = field(default_factory=dict)


def answered(
    request: Request,
    store: Store,
    breeder: Breeder,
    manual: Manual,
    *,
    clock: Callable[[], float],
    queue: Callable[[Variant], object],
) -> Answer:
    """Do what a request asks; the same again after a kill -9 does no harm.

    Args:
        request: Of any kind.
        store: Of the run.
        breeder: Commits seeds.
        manual: In force.
        clock: Seconds since the epoch.
        queue: Queues a first trial of a variant.
    """
    if request.kind == "seed":
        text, variant = take_seed(request, store, breeder, manual)
        decided: Mapping[str, Json] = {} if variant is None else {"variant": variant.sha}
        return Answer(text, variant, decided)
    if request.kind == "suggest":
        return take_suggestion(request, store, at=clock())
    if request.kind == "withdraw":
        return take_withdrawal(request, store)
    if request.kind in MARKS:
        text, facts = take_mark(request, store, queue)
        return Answer(text, decided=facts)
    return Answer(f"refused: this engine knows no request {request.kind!r}")


def take_suggestion(request: Request, store: Store, *, at: float) -> Answer:
    """Take in an idea of a person: payload ``text``."""
    payload = request.payload
    text = suggestion_text(str(payload.get("text") or "")) if isinstance(payload, Mapping) else ""
    if not text or len(text) > SUGGESTION_LIMIT:
        return Answer(f"refused: a suggestion has a text of 1 to {SUGGESTION_LIMIT} characters")
    number = store.add_suggestion(text, PERSON, at=at, request=request.id)
    return Answer(f"taken in as {suggestion_label(number)}", decided={"suggestion": number})


def take_withdrawal(request: Request, store: Store) -> Answer:
    """Withdraw a suggestion: payload ``suggestion``, its number."""
    payload = request.payload
    number = payload.get("suggestion") if isinstance(payload, Mapping) else None
    if not isinstance(number, int):
        return Answer("refused: a withdrawal needs the number of a suggestion")
    try:
        store.withdraw_suggestion(number)
    except StoreError as error:
        return Answer(f"refused: {error}")
    return Answer(f"{suggestion_label(number)} is withdrawn", decided={"suggestion": number})


def take_seed(
    request: Request, store: Store, breeder: Breeder, manual: Manual
) -> tuple[str, Variant | None]:
    """Take in a hand-written variant.

    Args:
        request: Payload: ``text`` of the genome's entry, ``idea``, and ``parent`` or nothing for
            the baseline.
        store: Of the run.
        breeder: Commits the variant.
        manual: In force; a seed keeps its rules like any offspring.

    Returns:
        The answer for the one who asked, and the new variant; None if it was refused.
    """
    payload = request.payload
    if not isinstance(payload, Mapping) or not {"text", "idea"} <= set(payload):
        return "refused: a seed needs the text of its genome and its idea", None
    try:
        parent = store.variant(str(payload.get("parent") or store.run().baseline))
    except StoreError as error:
        return f"refused: {error}", None
    genome = breeder.genome(parent.sha).with_main(str(payload["text"]))
    problems = rule_problems(manual, genome, breeder.baseline, breeder.contract)
    if parent.sha in store.barred():
        return f"refused: {parent.name} is banned, or descends from a variant that is", None
    if problems:
        first = problems[0]
        return f"refused: line {first.line} breaks {first.rule}: {first.message}", None
    idea = str(payload["idea"])
    variant = breeder.adopt(genome, idea=idea, parent=parent, manual=manual)
    # One that has a trial was taken in by an engine that was killed before it could answer.
    is_new = not store.trials(variant=variant.sha)
    if is_new or (variant.origin is Origin.SEED and variant.hypothesis == idea):
        return f"taken in as {variant.name}", variant if is_new else None
    return f"refused: {variant.name} is the same genome", None
