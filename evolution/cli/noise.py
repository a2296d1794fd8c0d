"""``evolve noise``: how noisy scores are, and whether what is believed of them can be trusted."""

import dataclasses
from collections.abc import Iterable
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

    from evolution.diagnostics import Diagnosis, RankCorrelation
    from population import Metric


def noise(
    latest: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="How many trials to foresee, the latest.")
    ] = 200,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Say how noisy scores are, and whether what is believed of them can be trusted.

    Each trial is foreseen from those that ended before it and set against what came: of intervals
    that are to hold 95 % of readings, how many did? And do snapshots rank variants as scores do?

    Examples:
      evolve noise
      evolve noise --latest 50 --json
    """
    from evolution.trust import diagnosis_of
    from population.assurance import by_variant, weakest

    with open_store(find_run(runs, run)) as store:
        found = diagnosis_of(store, latest=latest)
        metric, how = store.metric(), weakest(by_variant(store.trials()).values())
    scores = str(how) if how else None
    facts = {"metric": metric.name, "scores": scores, **dataclasses.asdict(found)}

    def show(console: "Console") -> None:
        from rich.table import Table

        for line in lines(found, metric):
            console.print(line, markup=False)
        if rows := calibration_rows(found):
            head = rows.pop(0)
            table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
            for number, title in enumerate(head):
                table.add_column(title, justify="right" if number else "left", no_wrap=True)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        scores = f"; scores are {how}" if how is not None else ""
        console.print(
            "share of readings inside the intervals they were foreseen in (its 95 % interval); "
            f"mean and sd of surprises, 0 and 1 if all is as believed{scores}",
            style="dim",
            markup=False,
        )

    answer(facts, as_json, show)


def lines(found: "Diagnosis", metric: "Metric") -> Iterable[str]:
    """Seed noise, snapshots and advice in words."""
    from evolution.cli.text import gain_unit, with_unit

    factor, _ = gain_unit(metric)
    sigma, low, high = (
        f"{x * factor:.3g}" for x in (found.noise.sigma, found.noise.low, found.noise.high)
    )
    yield (
        f"σ {with_unit(sigma, metric)} from seed to seed (95 %: {low} to {high}), known with "
        f"{found.noise.df:.0f} degrees of freedom"
    )
    if found.ranks is None:
        yield "too few variants have a snapshot and a score to say how these agree"
    else:
        raw = "" if found.raw in (None, found.ranks) else f"; as they are, {_ranks(found.raw)}"
        yield f"snapshots rank variants as scores do: {_ranks(found.ranks)}{raw}"
    if found.advice:
        yield f"advice: {found.advice}"


def _ranks(found: "RankCorrelation | None") -> str:
    if found is None:
        return "not known"
    return (
        f"{found.value:.2f} (95 %: {found.low:.2f} to {found.high:.2f}, {found.count:.0f} variants)"
    )


def calibration_rows(found: "Diagnosis") -> list[tuple[str, ...]]:
    """The table of calibration as words, its head first; nothing where nothing was foreseen."""
    if not found.calibrations:
        return []
    levels = [f"in {each.level:.0%}" for each in found.calibrations[0].coverage]
    rows: list[tuple[str, ...]] = [("foreseen", "count", *levels, "mean", "sd")]
    for kind in found.calibrations:
        shares = [
            f"{c.inside / kind.count:.0%} ({100 * c.low:.0f}–{100 * c.high:.0f})"
            for c in kind.coverage
        ]
        rows.append(
            (kind.kind, str(kind.count), *shares, f"{kind.mean:+.2f}", f"{kind.spread:.2f}")
        )
    return rows
