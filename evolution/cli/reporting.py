"""``evolve report``: one run as one HTML file."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunsOption,
    answer,
    find_run,
    is_live,
    open_store,
)
from population import EvolveError

#: Trials that are foreseen for the report: seconds, late in a long run.
FORESEEN = 50


class ReportError(EvolveError):
    """The report cannot be written there."""


def report(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Which run; by default the newest.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write; by default report.html in the run."),
    ] = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file on a run: finding, figures, tables, settings; it needs no network.

    Works on a run that is live, paused, finished or empty, and changes nothing in it.

    Examples:
      evolve report
      evolve report night-1 --output night-1.html
    """
    from analysis import Trust, write_report
    from evolution.cli.noise import calibration_rows, lines
    from evolution.cli.text import plateau_words
    from evolution.progress import last_episode
    from evolution.repertoire import operator_records
    from evolution.trust import diagnosis_of

    paths = find_run(runs, run)
    target = output if output is not None else paths.root / "report.html"
    with open_store(paths) as store:
        try:
            asked = {r.operator: r.share for r in operator_records(store) if r.share is not None}
            episode = last_episode(store)
            is_flat = episode is not None and episode.ended_at is None
            found = diagnosis_of(store, latest=FORESEEN)
            summary = write_report(
                store,
                paths,
                target,
                now=time.time(),
                is_live=is_live(paths),
                shares=asked,
                progress=plateau_words(episode) if episode is not None and is_flat else "",
                trust=Trust(list(lines(found, store.metric())), calibration_rows(found)),
            )
        except OSError as error:
            raise ReportError(
                f"The report could not be written to {target}: {error.strerror or error}. A file "
                "in a folder that can be written is needed. Choose another with --output FILE."
            ) from error
    facts = {
        "path": str(target),
        "run": paths.root.name,
        "size_bytes": target.stat().st_size,
        **dataclasses.asdict(summary),
    }
    answer(facts, as_json, lambda console: console.print(str(target), soft_wrap=True, markup=False))
