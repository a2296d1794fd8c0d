"""``evolve lineage``: the family tree as text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

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
    from population import Assurance, Fitness, Mark, Metric, Suggestion, Variant

#: What is said of an edit when one variant is asked for.
_OF_AN_EDIT = ("through", "is_picked", "gain", "gain_sd")


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

    A crossover hangs on the parent of the higher generation; "+ NAME" is its other parent, or a
    variant whose edit alone it took in, "− NAME" one whose edit it took out. Of one VARIANT it also
    says which edits it carries: who made each, by which parent it came, its gain.

    Examples:
      evolve lineage
      evolve lineage g003-011
    """
    from evolution.cli.origins import carried_edits, credit_of, print_edits
    from population import Lineage
    from population.assurance import by_variant, weakest

    asked, edits = None, []
    with open_store(find_run(runs, run)) as store:
        variants, fitnesses, metric = store.variants(), store.fitnesses(), store.metric()
        assurances, best, marks = by_variant(store.trials()), store.champion(), store.marks()
        suggestions = {one.id: one for one in store.suggestions()}
        if variant is not None:
            asked = store.variant(variant)
            family = Lineage(variants).family(asked.sha)
            variants = [v for v in variants if v.sha in family]
            edits = carried_edits(store, asked, suggestions)
    children: dict[str, list[str]] = {v.sha: [] for v in variants}
    for child in variants:
        for parent in child.parents:
            children[parent].append(child.sha)
    carried = {edit.sha: edit for edit in edits}
    facts = [
        _facts(v, children[v.sha], fitnesses.get(v.sha), carried.get(v.sha), metric)
        | _assured(assurances.get(v.sha))
        | {"mark": marks.get(v.sha), "credit": credit_of(v, suggestions)}
        for v in variants
    ]

    def show(console: "Console") -> None:
        people = _People(best, marks, suggestions)
        _print_tree(console, variants, fitnesses, assurances, metric, people)
        if asked is not None and edits:
            print_edits(console, asked, edits, metric, weakest(assurances.values()))

    answer(facts, as_json, show)


class _People(NamedTuple):
    """What the tree shows of people's word.

    Attributes:
        champion: Commit of the best variant that is not banned.
        marks: By commit.
        suggestions: By number.
    """

    champion: str | None
    marks: "Mapping[str, Mark]"
    suggestions: "Mapping[int, Suggestion]"


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
        "adds": list(variant.adds),
        "drops": list(variant.drops),
        "repeats": list(variant.repeats),
        "reverts": list(variant.reverts),
        "children": list(children),
        "origin": variant.origin.value,
        "operator": variant.operator,
        "hypothesis": variant.hypothesis,
        "fitness": fitness.mean if fitness else None,
        "fitness_sd": fitness.sd if fitness and fitness.is_scored else None,
        "metric": metric.name,
        "value": metric.shown(fitness.mean) if fitness and fitness.mean is not None else None,
    }


def _assured(assurance: "Assurance | None") -> dict[str, object]:
    return {
        "scoring": assurance.scoring.value if assurance else None,
        "containment": assurance.containment if assurance else None,
    }


def _print_tree(
    console: "Console",
    variants: "Sequence[Variant]",
    fitnesses: "Mapping[str, Fitness]",
    assurances: "Mapping[str, Assurance]",
    metric: "Metric",
    people: _People,
) -> None:
    from rich.tree import Tree

    from analysis import champion_line, tree_parents
    from evolution.cli.tables import name_text
    from evolution.cli.text import one_line
    from population.assurance import common

    known = {v.sha for v in variants}
    best = people.champion if people.champion in known else None
    line = set(champion_line(variants, best))
    names = {v.sha: v.name for v in variants}
    nodes: dict[str, Tree] = {}
    roots: list[Tree] = []
    hangs_on, shared = tree_parents(variants), common(assurances.values())
    for variant in variants:
        parent = hangs_on[variant.sha]
        fitness, how = fitnesses.get(variant.sha), assurances.get(variant.sha)
        worth = _worth(fitness, None if shared else how, metric)
        name = name_text(variant.name, people.marks.get(variant.sha))
        credit = _credit_words(variant, people.suggestions)
        label = _label(variant, name, worth, _relatives(variant, parent, names), credit)
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
    metric_name = one_line(metric.name, 64)
    words = str(shared) if shared else "how it was scored, and what held its trainer"
    console.print(f"{metric_name} ± 95 %, {words}", style="dim", markup=False)


def _relatives(variant: "Variant", parent: str | None, names: "Mapping[str, str]") -> str:
    """The parents that it does not hang on, and whose edits it took in or out."""
    others = [p for p in variant.parents if p != parent]
    more, less = (*variant.adds, *variant.repeats), (*variant.drops, *variant.reverts)
    added = ", ".join(names[sha] for sha in (*others, *more) if sha in names)
    dropped = ", ".join(names[sha] for sha in less if sha in names)
    return (f" + {added}" if added else "") + (f" − {dropped}" if dropped else "")


def _credit_words(variant: "Variant", suggestions: "Mapping[int, Suggestion]") -> str:
    """Whose suggestion an edit took up: ``, S3 by a person``."""
    suggestion = suggestions.get(variant.suggestion or 0)
    return f", {suggestion.source}" if suggestion is not None else ""


def _label(variant: "Variant", name: "Text", worth: "Text", relatives: str, credit: str) -> "Text":
    from rich.text import Text

    from evolution.cli.text import clean, one_line

    label = Text(no_wrap=True, overflow="ellipsis").append_text(name)
    if relatives:
        label.append(clean(relatives), style="magenta")
    label.append("  ").append_text(worth)
    made_by = f"{one_line(variant.operator, 20)}{one_line(credit, 60)}"
    label.append(f"  {made_by}: {one_line(variant.hypothesis)}")
    return label


def _worth(fitness: "Fitness | None", how: "Assurance | None", metric: "Metric") -> "Text":
    from rich.text import Text

    from analysis.scale import INTERVAL
    from evolution.cli.tables import assurance_text
    from evolution.cli.text import plus_minus

    if fitness is None or fitness.mean is None:
        return Text("unscored", style="cyan")
    worth = Text(plus_minus(metric.shown(fitness.mean), INTERVAL * fitness.sd), style="cyan")
    return worth if how is None else worth.append(" (").append_text(assurance_text(how)).append(")")
