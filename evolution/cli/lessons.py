"""``evolve lessons``: what a run has learnt, and what it no longer believes."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunOption,
    RunsOption,
    answer,
    find_run,
    open_store,
)

if TYPE_CHECKING:
    from rich.console import Console

    from population import Lesson


def lessons(
    with_retired: Annotated[
        bool, typer.Option("--all", help="With those that were retired, and why.")
    ] = False,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show what the run has learnt; its page lessons.md is yours to edit.

    Examples:
      evolve lessons
      evolve lessons --all --json
    """
    paths = find_run(runs, run)
    with open_store(paths) as store:
        known = store.lessons()
    shown = [lesson for lesson in known if with_retired or lesson.is_active]
    shown.sort(key=lambda lesson: (not lesson.is_active, *lesson.rank))
    facts = {
        "page": str(paths.lessons),
        "lessons": [{"name": one.name, **dataclasses.asdict(one)} for one in shown],
    }
    answer(facts, as_json, lambda console: _print(console, shown, str(paths.lessons)))


def _print(console: "Console", lessons: "Sequence[Lesson]", page: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import clean, one_line

    if not lessons:
        console.print(Text("no lessons yet"))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for heading in ("lesson", "sure", "source", "trials"):
        right = heading in ("lesson", "sure")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    table.add_column("what was learnt", overflow="fold")
    for lesson in lessons:
        words = Text(one_line(lesson.text, 4_000))
        if not lesson.is_active:
            words.append(f"\nretired: {one_line(lesson.reason, 400)}", style="dim")
        table.add_row(
            lesson.name,
            f"{lesson.confidence:.0%}",
            Text(one_line(lesson.source, 90)),
            ", ".join(map(str, lesson.evidence)) or "—",
            words,
            style=None if lesson.is_active else "dim",
        )
    console.print(table)
    console.print(Text(f"\nedit them in {clean(page)}", style="dim"))
