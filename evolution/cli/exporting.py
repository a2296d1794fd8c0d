"""``evolve export``: a run as tables, or its champion as patches."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolution.cli.options import RUNS, JsonOption, RunsOption, answer, find_run, open_store
from population import EvolveError

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.export import Exported
    from population import RunPaths, Store, Variant

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
    patches: Annotated[
        bool, typer.Option("--patches", help="Write the champion as patches for `git am` instead.")
    ] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --patches: this variant; by default the last confirmed champion, or else "
            "the best believed.",
        ),
    ] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write a run as tables, variants and trials first; or its champion as patches.

    The patches lead from the baseline to the champion, one for each edit that was kept; `git am`
    applies them. A champion that has the baseline's files gives none, which is no error.

    Examples:
      evolve export
      evolve export night-1 --format both --output tables
      evolve export --patches
    """
    paths = find_run(runs, run)
    if variant is not None and not patches:
        raise ExportError(
            f"--variant {variant} was given without --patches. Tables hold every variant. Add "
            "--patches, or leave --variant out."
        )
    if patches:
        _export_patches(paths, output or paths.root / "patches", variant, as_json=as_json)
        return
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


def _export_patches(paths: "RunPaths", target: Path, variant: str | None, *, as_json: bool) -> None:
    from population import Branches, Origin, export_patches
    from population.assurance import of_trials

    with open_store(paths) as store, Branches.open(paths.repository) as branches:
        names = {v.sha: v.name for v in store.variants()}
        baseline = next((v for v in store.variants() if v.origin is Origin.BASELINE), None)
        champion, reason = (
            _champion(store) if variant is None else (store.variant(variant), "asked")
        )
        series = export_patches(store, branches, champion, target) if champion else None
        how = of_trials(store.trials())
    facts = {
        "run": paths.name,
        "variant": champion.name if champion else None,
        "chosen": reason,
        "scoring": how.scoring.value if how else None,
        "containment": how.containment if how else None,
        "assurance": str(how) if how else None,
        "baseline": baseline.name if baseline else None,
        "folder": str(series.folder) if series and series.patches else None,
        "patches": [
            {**dataclasses.asdict(p), "name": names[p.variant]}
            for p in (series.patches if series else ())
        ],
        "keep_cr": series.keep_cr if series else False,
        "is_split": series.is_split if series else True,
    }
    answer(facts, as_json, lambda console: _print_patches(console, paths, facts))


def _champion(store: "Store") -> "tuple[Variant | None, str]":
    """Whom the patches are of, and why: what was confirmed goes before what is believed."""
    confirmed = [v for v in store.verdicts() if v.is_confirmed and v.champion is not None]
    if confirmed:
        return store.variant(confirmed[-1].champion or ""), f"confirmed by {confirmed[-1].label}"
    published = store.published()
    if published is not None:
        return store.variant(published.variant), f"published as {published.label}"
    best = store.champion()
    if best is None:
        return None, "no trial has given a score yet"
    return store.variant(best), "best believed, not confirmed"


def _print_patches(console: "Console", paths: "RunPaths", facts: Mapping[str, Any]) -> None:
    from rich.text import Text

    from evolution.cli.text import one_line

    def line(text: str = "") -> None:
        console.print(Text(text), soft_wrap=True)

    if facts["variant"] is None:
        line(f"no patches: {facts['chosen']}, so that no variant is known to be better.")
        return
    chosen = "" if facts["chosen"] == "asked" else f" ({facts['chosen']})"
    if not facts["patches"]:
        line(f"no patches: {facts['variant']}{chosen} has the baseline's files.")
        return
    how = f"; scores are {facts['assurance']}" if facts["assurance"] else ""
    line(f"{facts['variant']}{chosen} as patches{how}:")
    for patch in facts["patches"]:
        line(f"  {patch['file']}  {patch['name']}: {one_line(patch['subject'])}")
    if not facts["is_split"]:
        line("The edits could not be told apart: the whole difference is one patch.")
    flag = "--keep-cr " if facts["keep_cr"] else ""
    line()
    line("Apply them where the baseline's files are, for instance in a clone of it:")
    branch = f"evolve/{paths.name}/{facts['baseline']}"
    clone = f"git clone --single-branch --branch {branch}"
    line(f"  {clone} {shlex.quote(str(paths.repository))} champion")
    place = shlex.quote(str(Path(facts["folder"]).absolute()))
    line(f"  cd champion && git am {flag}{place}/*.patch")
