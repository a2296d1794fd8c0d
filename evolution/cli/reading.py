"""``evolve status`` and ``evolve leaderboard``."""

import dataclasses
import time
from typing import Annotated

import typer

from evolution.cli.options import (
    RUNS,
    JsonOption,
    RunOption,
    RunsOption,
    answer,
    find_run,
    is_live,
    open_store,
)


def status(run: RunOption = None, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show where a run stands: champion, gain, trials under way, time left.

    Examples:
      evolve status
      evolve status --run night-1 --json
    """
    from evolution.cli.tables import status_view
    from evolution.status import run_status

    paths = find_run(runs, run)
    live = is_live(paths)
    with open_store(paths) as store:
        found = run_status(store, time.time(), is_live=live, program=paths.program)
    facts = {**found.as_dict(), "is_live": live}
    answer(facts, as_json, lambda console: console.print(status_view(found, is_live=live)))


def leaderboard(
    top: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many to list.")] = 20,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """List the variants of the best fitness, each with its error and its gain.

    Examples:
      evolve leaderboard
      evolve leaderboard --top 5 --json
    """
    from evolution.cli.tables import leaderboard_table
    from evolution.status import rank

    with open_store(find_run(runs, run)) as store:
        standings, baseline = rank(store)[:top], store.run().baseline
        metric = store.metric()
    facts = [
        {
            "rank": place,
            **dataclasses.asdict(standing),
            "metric": metric.name,
            "value": metric.shown(standing.fitness),
        }
        for place, standing in enumerate(standings, 1)
    ]
    if not standings and not as_json:
        answer(facts, as_json, lambda console: console.print("No trial has given a score yet."))
        return
    table = leaderboard_table(standings, baseline, metric)
    answer(facts, as_json, lambda console: console.print(table))
