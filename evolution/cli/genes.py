"""``evolve genes``: what each edit is worth."""

import dataclasses
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
    from rich.table import Table

    from evolution.genes import Genes
    from population import Metric


def genes(
    variant: Annotated[
        str | None, typer.Argument(help="Whose edits; by default those of the champion.")
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Every edit that was measured, whoever carries it.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many to list.")] = 40,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """List what each edit gains in its company, how surely, and how many variants carry it.

    An edit is what one variant changed; that of a merge is what its parents' edits do only
    together. Of two edits that were never apart only the sum is known: they are confounded.

    Examples:
      evolve genes
      evolve genes g003-011 --json
      evolve genes --all --top 100
    """
    from evolution.genes import genes as genes_of
    from population.assurance import by_variant, weakest

    with open_store(find_run(runs, run)) as store:
        found = genes_of(store, variant, everywhere=everywhere, most=top)
        metric, how = store.metric(), weakest(by_variant(store.trials()).values())
    facts = {
        "variant": found.asked.name,
        "sha": found.asked.sha,
        "metric": metric.name,
        "count": found.count,
        "genes": [dataclasses.asdict(gene) for gene in found.listed],
    }

    def show(console: "Console") -> None:
        from evolution.cli.text import clean

        whose = "of the whole run" if everywhere else f"that {clean(found.asked.name)} carries"
        if not found.listed:
            console.print(f"No edit {whose} was measured yet.", markup=False)
            return
        shown = "" if len(found.listed) == found.count else f"{len(found.listed)} of {found.count} "
        console.print(f"{shown}edits {whose}, the most useful first", markup=False)
        console.print(_table(found, metric, marks_carried=everywhere))
        scores = f"; scores are {how}" if how is not None else ""
        console.print(
            f"gain of each edit in the company it was measured in, ± 95 %{scores}",
            style="dim",
            markup=False,
        )

    answer(facts, as_json, show)


def _table(found: "Genes", metric: "Metric", *, marks_carried: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import clean, gain_unit, gain_words, one_line

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    unit = gain_unit(metric)[1] or metric.name
    table.add_column("edit", no_wrap=True)
    table.add_column(Text(f"gain ({one_line(unit, 40)})"), justify="right", no_wrap=True)
    table.add_column("P(helps)", justify="right", no_wrap=True)
    table.add_column("carriers", justify="right", no_wrap=True)
    table.add_column("made by", no_wrap=True)
    table.add_column("confounded with", no_wrap=True)
    table.add_column("idea", no_wrap=True, overflow="ellipsis", ratio=1)
    for gene in found.listed:
        mark = " *" if marks_carried and gene.is_carried else ""
        confounded = ", ".join(f"{o.name} ({o.correlation:.2f})" for o in gene.confounded[:2])
        table.add_row(
            Text(clean(gene.name) + mark),
            gain_words(gene.gain, gene.gain_sd, metric),
            f"{gene.p_helpful:.0%}",
            f"{gene.scored} of {gene.carriers}",
            Text(one_line(gene.operator, 20)),
            Text(clean(confounded)),
            Text(one_line(gene.hypothesis)),
        )
    if marks_carried:
        table.caption = Text(f"* {clean(found.asked.name)} carries it")
    return table
