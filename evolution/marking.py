"""Marking: what a person may pin and ban, why not, and what follows for the trials in the queue."""

from collections.abc import Callable, Mapping

from evolution.config import PopulationSettings
from population import (
    Json,
    Mark,
    Marked,
    Purpose,
    Request,
    Store,
    StoreError,
    Trial,
    TrialStatus,
    Variant,
    one_line,
)
from population.people import barred_by, marks_of

#: Requests that set a mark, and the mark.
MARKS: Mapping[str, Mark] = {"pin": Mark.PINNED, "ban": Mark.BANNED}
#: Of the places of survivors, one in so many may be reserved for pinned variants.
PINNED_SHARE = 4
#: Characters of a note.
NOTE_LIMIT = 200


def pinned_places(survivors: int) -> int:
    """How many variants may be pinned at once: a quarter of the survivors' places, one at least."""
    return max(1, survivors // PINNED_SHARE)


def places_of(store: Store) -> int:
    """The same of a run, by its settings."""
    settings = store.run().settings.get("population")
    survivors = settings.get("survivors") if isinstance(settings, Mapping) else None
    known = survivors if isinstance(survivors, int) else PopulationSettings().survivors
    return pinned_places(known)


def objection(
    store: Store, kind: str, variant: Variant, marked: Mapping[str, Marked], *, undo: bool
) -> str | None:
    """Why a variant cannot get a mark, or lose it, in three parts; None if nothing is against it.

    Args:
        store: Of the run.
        kind: ``pin`` or ``ban``.
        variant: Which.
        marked: Marks as they will stand when the request is heard.
        undo: True to take the mark away.
    """
    own = marked.get(variant.sha)
    has_it = own is not None and own.mark is MARKS[kind]
    if undo:
        return None if has_it else _no_undo(variant, MARKS[kind])
    if kind == "ban":
        return None if variant.parents else _no_ban(variant)
    return None if has_it else _no_pin(store, variant, marked)


def _no_undo(variant: Variant, mark: Mark) -> str:
    return (
        f"{variant.name} is not {mark}, and --undo takes back what was done before. Name one of "
        f"those that are {mark}: `evolve leaderboard` marks them."
    )


def _no_ban(variant: Variant) -> str:
    return (
        f"{variant.name} is the baseline: everything descends from it, and nothing would be left "
        "to breed. Only an offspring or a seed can be banned. Name one, or begin another run."
    )


def _no_pin(store: Store, variant: Variant, marked: Mapping[str, Marked]) -> str | None:
    name = variant.name
    if variant.sha in barred_with(store, marked):
        return (
            f"{name} is banned, or descends from a variant that is: it breeds no more. A pinned "
            "variant does. Take the ban back first: `evolve ban VARIANT --undo`."
        )
    if not _is_scored(store, variant):
        return (
            f"{name} has no score: {_why_unscored(store.trials(variant=variant.sha))}. A pinned "
            "variant breeds, and nobody knows what it is worth. Pin it once it is scored, or pin "
            "its parent."
        )
    places = places_of(store)
    pinned = sum(mark.mark is Mark.PINNED for mark in marked.values())
    if pinned >= places:
        return (
            f"{pinned} variants are pinned, and there are {places} places for them: a quarter of "
            f"the survivors', so that the search goes on beside them. Make room for {name}: "
            "`evolve pin VARIANT --undo`."
        )
    return None


def barred_with(store: Store, marked: Mapping[str, Marked]) -> frozenset[str]:
    """Commits that the marks given keep from breeding."""
    return barred_by(marks_of(marked, store.variants()))


def expected_marks(store: Store) -> dict[str, Marked]:
    """Marks as they will stand once every request that waits has been heard."""
    marked = store.marked()
    for request in store.pending_requests():
        wish = mark_wish(request)
        if wish is None:
            continue
        sha, mark = wish
        if mark is not None:
            marked[sha] = mark
        elif sha in marked and marked[sha].mark is MARKS[request.kind]:
            del marked[sha]
    return marked


def mark_wish(request: Request) -> tuple[str, Marked | None] | None:
    """Which commit a request wants marked, and how, None to take its mark away; total."""
    payload: Json = request.payload
    if request.kind not in MARKS or not isinstance(payload, Mapping):
        return None
    sha = payload.get("variant")
    if not isinstance(sha, str):
        return None
    if payload.get("undo") is True:
        return sha, None
    note = one_line(str(payload.get("note") or ""), NOTE_LIMIT)
    return sha, Marked(sha, MARKS[request.kind], request.created_at or 0.0, note)


def take_mark(
    request: Request, store: Store, queue: Callable[[Variant], object]
) -> tuple[str, Mapping[str, Json]]:
    """Set or remove a mark, as a request asks, and see to the queue; the same again does no harm.

    A trial that waits for a banned line is withdrawn from the queue; a running one may finish, and
    so may the pairs of a claim under trial. When a ban is taken back, what was withdrawn is queued
    anew.

    Args:
        request: Of kind ``pin`` or ``ban``: payload ``variant`` (a commit), ``undo``, ``note``.
        store: Of the run.
        queue: Queues a first trial of a variant.

    Returns:
        The answer for the one who asked, and what was decided; nothing if it was refused.
    """
    wish = mark_wish(request)
    if wish is None:
        return f"refused: to {request.kind} needs a variant", {}
    try:
        variant = store.variant(wish[0])
    except StoreError as error:
        return f"refused: {error}", {}
    undo, mark = wish[1] is None, MARKS[request.kind]
    marked = store.marked()
    problem = objection(store, request.kind, variant, marked, undo=undo)
    has_other = undo and variant.sha in marked and marked[variant.sha].mark is not mark
    if problem is not None and (has_other or not undo):
        return f"refused: {problem}", {}
    store.set_mark(variant.sha, wish[1])  # nothing to take away: an engine was killed after it
    withdrawn, queued = withdraw_barred(store), _queue_again(store, queue)
    facts: dict[str, Json] = {"variant": variant.sha, "mark": mark.value, "undo": undo}
    facts |= {"withdrawn": withdrawn, "queued": queued}
    words = [f"{variant.name} is {'no longer ' if undo else ''}{mark}"]
    words += [f"{len(withdrawn)} trials withdrawn from the queue"] if withdrawn else []
    words += [f"{len(queued)} variants queued again"] if queued else []
    return ", ".join(words), facts


def withdraw_barred(store: Store) -> list[int]:
    """Take trials of banned lines off the queue, those of a claim aside; their numbers."""
    barred = store.barred()
    waiting = [
        trial.id
        for trial in store.trials(status=TrialStatus.QUEUED)
        if trial.variant in barred and trial.purpose is not Purpose.VERDICT
    ]
    for number in waiting:
        store.withdraw_trial(number)
    return waiting


def _queue_again(store: Store, queue: Callable[[Variant], object]) -> list[str]:
    """Queue the first trial of variants that lost theirs to a ban that is no more; their names."""
    withdrawn = {trial.variant for trial in store.trials(status=TrialStatus.WITHDRAWN)}
    free = withdrawn - store.barred()
    untried = [
        store.variant(sha)
        for sha in free
        if all(t.status is TrialStatus.WITHDRAWN for t in store.trials(variant=sha))
    ]
    untried.sort(key=lambda variant: (variant.created_at, variant.name))
    for variant in untried:
        queue(variant)
    return [variant.name for variant in untried]


def _is_scored(store: Store, variant: Variant) -> bool:
    fitness = store.fitnesses().get(variant.sha)
    return fitness is not None and fitness.is_scored


def _why_unscored(trials: list[Trial]) -> str:
    last = trials[-1] if trials else None
    if last is None or not last.status.is_final:
        return "its trial has not finished"
    failure = last.outcome.failure if last.outcome is not None else None
    what = str(last.status).replace("_", " ")
    return f"its trial {what}: {one_line(failure.message)}" if failure else f"its trial is {what}"
