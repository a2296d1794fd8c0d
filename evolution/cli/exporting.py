"""``evolve export``: a run as tables, or its champion as patches."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolution.cli.options import RUNS, JsonOption, RunsOption, answer, find_run, open_store
from population import EvolveError

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.export import Exported
    from population import RunPaths

_FORMATS = ("parquet", "csv", "both")


class ExportError(EvolveError):
    """An export was asked for in a way that makes no sense."""


def export(
    run: Annotated[str | None, typer.Argument(help="Which run; by default the newest.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; by default inside the run's folder."),
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="Of tables: parquet, csv or both.")
    ] = "parquet",
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write a run as tables of variants, trials, curves and verdicts.

    Examples:
      evolve export
      evolve export night-1 --format both --output tables
    """
    paths = find_run(runs, run)
    _export_tables(paths, output or paths.root / "export", file_format, as_json=as_json)


def _export_tables(paths: "RunPaths", target: Path, file_format: str, *, as_json: bool) -> None:
    if file_format not in _FORMATS:
        raise ExportError(
            f"The format is {file_format!r}. Tables are written as {', '.join(_FORMATS)}. Choose "
            "one of these with --format."
        )
    from analysis import FileFormat, export_tables

    with open_store(paths) as store:
        done = export_tables(store, target, FileFormat(file_format))
    facts = {
        "run": paths.name,
        "folder": str(done.folder),
        "files": [str(done.folder / name) for name in done.files],
        "rows": dict(done.rows),
    }
    answer(facts, as_json, lambda console: _print_tables(console, done))


def _print_tables(console: "Console", done: "Exported") -> None:
    from rich.text import Text

    for name in done.files:
        stem, _, ending = name.partition(".")
        count = done.rows.get(stem) if ending in ("parquet", "csv") else None
        row = "" if count is None else f"  {count} row{'' if count == 1 else 's'}"
        console.print(Text(f"{done.folder / name}{row}"), soft_wrap=True)
