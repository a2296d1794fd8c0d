"""``evolve lineage``: the family tree as text."""

from collections.abc import Mapping, Sequence
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
    from rich.text import Text

    from evolution.cli.origins import CarriedEdit
    from population import Fitness, Metric, Variant

#: What is said of an edit when one variant is asked for.
_OF_AN_EDIT = ("through", "gain", "gain_sd")


def lineage(
    variant: Annotated[
        str | None,
        typer.Argument(help="Only this variant and its ancestors; by default the whole run."),
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show the family tree: who descends from whom, and what each is worth.

    A crossover hangs on the parent of the higher generation; "+ NAME" is its other parent. Of one
    VARIANT it also says which edits it carries: who made each, by which parent it came, its gain.

    Examples:
      evolve lineage
      evolve lineage g003-011
    """
    from evolution.cli.origins import carried_edits, print_edits
    from population import Lineage

    asked, edits = None, []
    with open_store(find_run(runs, run)) as store:
        variants, fitnesses, metric = store.variants(), store.fitnesses(), store.metric()
        if variant is not None:
            asked = store.variant(variant)
            family = Lineage(variants).ancestors(asked.sha) | {asked.sha}
            variants = [v for v in variants if v.sha in family]
            edits = carried_edits(store, asked)
    children: dict[str, list[str]] = {v.sha: [] for v in variants}
    for child in variants:
        for parent in child.parents:
            children[parent].append(child.sha)
    carried = {edit.sha: edit for edit in edits}
    facts = [
        _facts(v, children[v.sha], fitnesses.get(v.sha), carried.get(v.sha), metric)
        for v in variants
    ]

    def show(console: "Console") -> None:
        _print_tree(console, variants, fitnesses, metric)
        if asked is not None and edits:
            print_edits(console, asked, edits, metric)

    answer(facts, as_json, show)


def _facts(
    variant: "Variant",
    children: Sequence[str],
    fitness: "Fitness | None",
    edit: "CarriedEdit | None",
    metric: "Metric",
) -> dict[str, object]:
    carried = {} if edit is None else {key: getattr(edit, key) for key in _OF_AN_EDIT}
    return carried | {
        "name": variant.name,
        "sha": variant.sha,
        "generation": variant.generation,
        "parents": list(variant.parents),
        "children": list(children),
        "origin": variant.origin.value,
        "operator": variant.operator,
        "hypothesis": variant.hypothesis,
        "fitness": fitness.mean if fitness else None,
        "fitness_sd": fitness.sd if fitness and fitness.is_scored else None,
        "metric": metric.name,
        "value": metric.shown(fitness.mean) if fitness and fitness.mean is not None else None,
        "scoring": "reported" if fitness and fitness.is_scored else None,
    }


def _print_tree(
    console: "Console",
    variants: "Sequence[Variant]",
    fitnesses: "Mapping[str, Fitness]",
    metric: "Metric",
) -> None:
    from rich.tree import Tree

    from analysis import champion_line, tree_parents
    from evolution.cli.text import one_line

    best = max(fitnesses, key=lambda sha: fitnesses[sha], default=None)
    line = set(champion_line(variants, best))
    names = {v.sha: v.name for v in variants}
    nodes: dict[str, Tree] = {}
    roots: list[Tree] = []
    hangs_on = tree_parents(variants)
    for variant in variants:
        parent = hangs_on[variant.sha]
        label = _label(variant, fitnesses.get(variant.sha), parent, names, metric)
        if variant.sha in line:
            label.stylize("bold", 0, len(variant.name))
        if variant.sha == best:
            label.append("  ← champion", style="bold green")
        if parent is None:
            nodes[variant.sha] = Tree(label, guide_style="dim")
            roots.append(nodes[variant.sha])
        else:
            nodes[variant.sha] = nodes[parent].add(label)
    for root in roots:
        console.print(root)
    name = one_line(metric.name, 64)
    console.print(f"{name} as reported by the genomes, ± 95 %", style="dim", markup=False)


def _label(
    variant: "Variant",
    fitness: "Fitness | None",
    parent: str | None,
    names: "Mapping[str, str]",
    metric: "Metric",
) -> "Text":
    from rich.text import Text

    from analysis.scale import INTERVAL
    from evolution.cli.text import clean, one_line, plus_minus

    others = [names[p] for p in variant.parents if p != parent and p in names]
    label = Text(clean(variant.name), no_wrap=True, overflow="ellipsis")
    if others:
        label.append(f" + {clean(', '.join(others))}", style="magenta")
    worth = "unscored"
    if fitness is not None and fitness.mean is not None:
        worth = plus_minus(metric.shown(fitness.mean), INTERVAL * fitness.sd)
    label.append(f"  {worth}", style="cyan")
    label.append(f"  {one_line(variant.operator, 20)}: {one_line(variant.hypothesis)}")
    return label
