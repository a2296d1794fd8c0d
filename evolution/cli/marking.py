"""``evolve pin`` and ``evolve ban``: which variants breed, by a person's word."""

from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.asking import RequestError, ask, check_open, tell, when
from evolution.cli.options import RUNS, JsonOption, RunOption, RunsOption, find_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from population import Json, Mark, Store, Variant

_VariantArgument = Annotated[
    str, typer.Argument(help="Name of a variant (g012-007), or the start of its commit.")
]
_UndoOption = Annotated[bool, typer.Option("--undo", help="Take it back.")]
_NoteOption = Annotated[
    str, typer.Option("-m", "--note", metavar="TEXT", help="Why, in one line, for people.")
]


def pin(
    variant: _VariantArgument,
    undo: _UndoOption = False,
    note: _NoteOption = "",
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Pin a scored variant: it keeps a place among the survivors, and parents are drawn from it.

    A quarter of the places may be pinned, and a quarter of the draws go to them.

    Examples:
      evolve pin g003-011 -m "the wide head deserves more tries"
      evolve pin g003-011 --undo
    """
    _mark("pin", variant, run, runs, undo=undo, note=note, as_json=as_json)


def ban(
    variant: _VariantArgument,
    undo: _UndoOption = False,
    note: _NoteOption = "",
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Ban a variant: it and what descends from it breed no more, and claim nothing.

    What waits in the queue is withdrawn; what trains may finish, and so may a verdict under way.

    Examples:
      evolve ban g003-011 -m "it tunes itself to the validation shard"
      evolve ban g003-011 --undo
    """
    _mark("ban", variant, run, runs, undo=undo, note=note, as_json=as_json)


def _mark(
    kind: str,
    key: str,
    run: str | None,
    runs: "Path",
    *,
    undo: bool,
    note: str,
    as_json: bool,
) -> None:
    from evolution.marking import MARKS, expected_marks, objection
    from population import Store

    paths = find_run(runs, run)
    with Store.open(paths.database) as store:
        check_open(store, "nothing would breed or be tried any more")
        found, marked = store.variant(key), expected_marks(store)
        problem = objection(store, kind, found, marked, undo=undo)
        if problem is not None:
            raise RequestError(problem)
        was_pinned = found.sha in marked and marked[found.sha].mark is MARKS["pin"]
        more = _consequences(store, found, was_pinned) if kind == "ban" and not undo else []
        payload: dict[str, Json] = {"variant": found.sha, "undo": undo, "note": note}
        facts = ask(store, paths, kind, payload)
    words = _words(found, MARKS[kind], facts, undo=undo)
    told = {**facts, "variant": found.name, "undo": undo, "notes": more}
    tell(" ".join([words, *more]), told, as_json=as_json)


def _words(found: "Variant", mark: "Mark", facts: "Mapping[str, Json]", *, undo: bool) -> str:
    no_longer = "no longer " if undo else ""
    return f"{found.name} is {no_longer}{mark} in the run {facts['run']} {when(facts)}."


def _consequences(store: "Store", found: "Variant", was_pinned: bool) -> list[str]:
    """What else a ban means, one sentence each."""
    from evolution.confirmation import CLAIM
    from population import Lineage

    told = []
    heirs = Lineage(store.variants()).heirs(found.sha)
    if heirs:
        count = len(heirs)
        told.append(f"So {'is' if count == 1 else 'are'} the {count} that descend from it.")
    if was_pinned:
        told.append("Its pin is gone with it.")
    claim = store.fact(CLAIM)
    if isinstance(claim, dict) and claim.get("champion") in {found.sha, *heirs}:
        told.append(f"Its claim {claim['label']} is under trial, and is tried to its end.")
    return told
