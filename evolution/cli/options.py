"""Options that several verbs share, and what they lead to: the run meant, its store, its answer."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from population import EvolveError, RunPaths

if TYPE_CHECKING:
    from rich.console import Console

    from population import Store

RunsOption = Annotated[
    Path, typer.Option("--runs", metavar="FOLDER", help="The folder that holds all runs.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="Which run; by default the newest.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Answer with JSON on stdout, for other programs.")
]

AllowUnsafeOption = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe",
        help="Train even where no box holds what models wrote; every table will say so.",
    ),
]

AgentsOption = Annotated[
    str | None,
    typer.Option(
        "--agents",
        metavar="KIND",
        help="A language model proposes, too: claude, openai, command; off for none.",
    ),
]
LimitUsdOption = Annotated[
    float | None,
    typer.Option(
        "--limit-usd", metavar="DOLLARS", min=0.0, help="What the models may cost at most."
    ),
]

LessonsOption = Annotated[
    str | None,
    typer.Option(
        "--lessons",
        metavar="FROM",
        help="Begin with the lessons of a run (its name or folder), or of a lessons.md.",
    ),
]

RUNS = Path("runs")
#: Columns of a table that is piped into a file or another program.
_PIPED_WIDTH = 160


class NoRunError(EvolveError):
    """There is no such run, or none at all."""


def find_run(runs: Path, name: str | None) -> RunPaths:
    """The run called ``name``, or the newest one.

    Raises:
        NoRunError: There is none.
    """
    known = _runs_in(runs)
    if not known:
        where = f"The folder {runs} holds no run" if runs.is_dir() else f"There is no folder {runs}"
        raise NoRunError(
            f"{where}. This command reads a run that was begun before. "
            "Begin one with `evolve run`, or say where yours are with --runs FOLDER."
        )
    if name is None:
        return known[-1]
    for paths in known:
        if paths.root.name == name:
            return paths
    newest = ", ".join(paths.root.name for paths in known[:-6:-1])
    raise NoRunError(
        f"There is no run {name!r} in {runs}. The name of a run there is needed; the newest are: "
        f"{newest}. Choose one of them, or leave the name out for the newest."
    )


def open_store(paths: RunPaths) -> "Store":
    """The run's store, for reading."""
    from population import Store

    return Store.open(paths.database, read_only=True)


def is_live(paths: RunPaths) -> bool:
    """True while an engine works on the run."""
    from evolution.run_lock import is_locked

    return is_locked(paths.lock)


def answer(value: object, as_json: bool, show: Callable[["Console"], None]) -> None:
    """Print the answer of a verb on stdout: ``value`` as JSON, or what ``show`` prints."""
    if as_json:
        # ASCII alone: no byte that a genome wrote can reach a terminal as a command.
        sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
        return
    console = stdout()
    if console.is_terminal:
        show(console)
        return
    with console.capture() as printed:
        show(console)
    # Rich fills each line up to the width of its table; a file needs none of that.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def stdout() -> "Console":
    """Answers go here; wide when nobody looks, so that no table is cut for a file."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return Console(file=sys.stdout, highlight=False, width=width, soft_wrap=False)


def stderr() -> "Console":
    """Progress goes here."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False)


def say(text: str) -> None:
    """Tell people what is being done, on stderr."""
    from evolution.cli.text import clean

    sys.stderr.write(f"{clean(text)}\n")
    sys.stderr.flush()


def _runs_in(runs: Path) -> list[RunPaths]:
    """Oldest first. A run's settings are written once, when it begins; drafts have a dot."""
    if not runs.is_dir():
        return []
    found = [
        RunPaths(folder)
        for folder in runs.iterdir()
        if not folder.name.startswith(".") and (folder / "run.db").is_file()
    ]
    return sorted(found, key=lambda paths: (_began(paths), paths.root.name))


def _began(paths: RunPaths) -> float:
    return paths.settings.stat().st_mtime if paths.settings.is_file() else 0.0
