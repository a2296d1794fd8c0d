"""``evolve show`` and ``evolve diff``: one variant, and what it changed."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

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
from evolution.cli.spending import calls_as_dicts, print_calls
from population import EvolveError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from population import Fitness, Metric, Store, Trial, Variant, VerdictReading

_VARIANT_HELP = "Name of a variant (g012-007), or the start of its commit."


class NothingToCompareError(EvolveError):
    """A diff was asked of a variant that has no parent."""


def show(
    variant: Annotated[str, typer.Argument(help=_VARIANT_HELP)],
    run: RunOption = None,
    runs: RunsOption = RUNS,
    with_calls: Annotated[
        bool, typer.Option("--calls", help="With every call of a language model behind it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one variant: where it comes from, what is believed of it, every trial of it.

    Examples:
      evolve show g003-011
      evolve show g003-011 --calls
      evolve show 1f0c9a7 --json
    """
    from population.assurance import of_trials

    with open_store(find_run(runs, run)) as store:
        found = store.variant(variant)
        names = {v.sha: v.name for v in store.variants()}
        children = [v.name for v in store.variants() if found.sha in v.parents]
        takers = [v.name for v in store.variants() if found.sha in (*v.adds, *v.repeats)]
        trials = store.trials(variant=found.sha)
        fitness, metric = store.fitnesses().get(found.sha), store.metric()
        readings = store.readings(champion=found.sha)
        calls = store.calls(variant=found.sha, with_texts=True) if with_calls else []
        people = _people(store, found)
    parents, how = [names.get(sha, sha) for sha in found.parents], of_trials(trials)
    added, dropped, repeated, reverted = (
        [names.get(sha, sha) for sha in shas]
        for shas in (found.adds, found.drops, found.repeats, found.reverts)
    )
    facts = {
        **dataclasses.asdict(found),
        **people,
        "parent_names": parents,
        "children": children,
        "added_names": added,
        "dropped_names": dropped,
        "repeated_names": repeated,
        "reverted_names": reverted,
        "taken_in_by": takers,
        "fitness": dataclasses.asdict(fitness) if fitness is not None else None,
        "metric": metric.to_json(),
        "value": metric.shown(fitness.mean) if fitness and fitness.mean is not None else None,
        "scoring": how.scoring if how else None,
        "containment": how.containment if how else None,
        "trials": [dataclasses.asdict(trial) for trial in trials],
        "readings": [dataclasses.asdict(reading) for reading in readings],
    }
    if with_calls:
        facts["calls"] = calls_as_dicts(calls)

    def show_all(console: "Console") -> None:
        kin = {
            "parents": parents,
            "with the edits of": added,
            "without those of": dropped,
            "makes again those of": repeated,
            "takes out again those of": reverted,
            "children": children,
            "its edit is also in": takers,
        }
        _print_variant(console, found, kin, fitness, trials, metric, people)
        _print_readings(console, readings)
        if with_calls:
            print_calls(console, calls)

    answer(facts, as_json, show_all)


def _people(store: "Store", variant: "Variant") -> dict[str, str | None]:
    """What people have said of a variant: their mark, and the suggestion that it took up."""
    suggestion = next((s for s in store.suggestions() if s.id == variant.suggestion), None)
    marked, mark = store.marked().get(variant.sha), store.marks().get(variant.sha)
    return {
        "mark": mark,
        "note": marked.note if marked is not None and marked.mark is mark else None,
        "suggestion": suggestion.label if suggestion is not None else None,
        "credit": suggestion.source if suggestion is not None else None,
        "suggestion_text": suggestion.text if suggestion is not None else None,
    }


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_VARIANT_HELP)],
    b: Annotated[
        str | None, typer.Argument(metavar="[B]", help="Compare with it, not with A's parent.")
    ] = None,
    run: RunOption = None,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show what a variant changed in its first parent, or what leads from A to B.

    Examples:
      evolve diff g003-011
      evolve diff g000-000 g003-011
    """
    from population import Branches

    paths = find_run(runs, run)
    with open_store(paths) as store:
        new = store.variant(a if b is None else b)
        old = store.variant(a) if b is not None else _first_parent(store.variants(), new)
    with Branches.open(paths.repository) as branches:
        text = branches.diff(old.sha, new.sha)
    facts = {"from": old.name, "to": new.name, "diff": text}
    if not (as_json or sys.stdout.isatty()):
        sys.stdout.write(text)  # byte for byte, for `git apply`
        return
    answer(facts, as_json, lambda console: _print_diff(console, text))


def _first_parent(variants: "Sequence[Variant]", variant: "Variant") -> "Variant":
    by_sha = {v.sha: v for v in variants}
    if not variant.parents:
        raise NothingToCompareError(
            f"{variant.name} is the baseline, which has no parent. A second variant is needed to "
            f"compare it with. Name it: `evolve diff {variant.name} OTHER`."
        )
    return by_sha[variant.parents[0]]


def _print_diff(console: "Console", text: str) -> None:
    from rich.text import Text

    from evolution.cli.text import clean

    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in clean(text).splitlines():
        is_head = line.startswith(("+++", "---", "diff ", "index "))
        console.print(Text(line, style="bold" if is_head else styles.get(line[:1], "")))


def _print_variant(
    console: "Console",
    variant: "Variant",
    kin: Mapping[str, Sequence[str]],
    fitness: "Fitness | None",
    trials: "Sequence[Trial]",
    metric: "Metric",
    people: Mapping[str, str | None],
) -> None:
    from rich.table import Table
    from rich.text import Text

    from analysis.scale import INTERVAL
    from evolution.cli.text import clean, gain_unit, one_line, plus_minus, with_unit
    from population.assurance import of_trials

    believed = "unscored"
    if fitness is not None and fitness.mean is not None:
        count = f"{fitness.trial_count} trial{'' if fitness.trial_count == 1 else 's'}"
        worth = plus_minus(metric.shown(fitness.mean), INTERVAL * fitness.sd)
        believed = f"{worth} ({of_trials(trials)}), from {count}"
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    facts: dict[str, Any] = {
        "variant": f"{variant.name}, commit {variant.sha}",
        "made by": f"{variant.operator} ({variant.origin}), generation {variant.generation}",
        "hypothesis": variant.hypothesis,
    }
    for relation, names in kin.items():
        if names or relation in ("parents", "children"):
            facts[relation] = ", ".join(names) or "none"
    facts[metric.name] = believed
    if people["mark"] is not None:
        note = f": {people['note']}" if people["note"] else ""
        facts["people"] = f"{people['mark']}{note}"
    if people["suggestion"] is not None:
        facts["suggested"] = f"{people['credit']}: {people['suggestion_text']}"
    if variant.expected_gain is not None:
        factor, _ = gain_unit(metric)
        hope = f"{variant.expected_gain * factor:+.3g}"
        facts["hoped for"] = with_unit(hope, metric)
    for label, value in facts.items():
        lines.add_row(label, Text(one_line(value, 2000)))
    console.print(lines)
    if trials:
        console.print()
        console.print(_trials_table(trials, metric))
    for trial in trials:
        failure = trial.outcome.failure if trial.outcome else None
        if failure is not None and failure.log_tail:
            console.print(Text(f"\nlast words of trial {trial.id}:", style="dim"))
            console.print(Text(clean(failure.log_tail)))


def _print_readings(console: "Console", readings: "Sequence[VerdictReading]") -> None:
    """Verdicts on it in a model's words, which the figures do not depend on."""
    from rich.text import Text

    from evolution.cli.text import one_line

    for reading in readings:
        console.print(Text(f"\n{reading.label} in the critic's words:", style="dim"))
        console.print(Text(one_line(reading.explanation, 2_000)))
        for suspect in reading.suspects:
            console.print(Text(f"  suspect: {one_line(suspect.edit)}: {one_line(suspect.why)}"))


def _trials_table(trials: "Sequence[Trial]", metric: "Metric") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.tables import assurance_text
    from evolution.cli.text import number, one_line
    from population.assurance import of_trial

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    name = one_line(metric.name, 24)
    for heading in ("trial", "purpose", "depth", "seed", "status", name, "seconds", "tokens"):
        right = heading not in ("purpose", "status")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    table.add_column("scored", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for trial in trials:
        outcome, conditions = trial.outcome, trial.conditions
        score = outcome.val_bpb if outcome else None
        remark = outcome.failure.message if outcome and outcome.failure else ""
        if outcome and score is not None:
            remark = "calibration doubtful" if outcome.is_suspect else ""
        how = of_trial(trial)
        table.add_row(
            str(trial.id),
            str(trial.purpose),
            f"× {conditions.depth_scale:g}",
            str(conditions.rng_seed),
            str(trial.status).replace("_", " "),
            number(metric.shown(score)) if score is not None else "—",
            f"{outcome.total_seconds:.0f}" if outcome else "—",
            f"{outcome.train_tokens:,}" if outcome else "—",
            assurance_text(how) if how is not None else "—",
            Text(one_line(remark)),
        )
    return table
