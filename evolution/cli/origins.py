"""Where a variant comes from: the edits it carries, who made each, by which parent, its gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from population import Assurance, Metric, Store, Suggestion, Variant


@dataclass(frozen=True, slots=True)
class CarriedEdit:
    """One edit in a variant's lineage.

    Attributes:
        sha: Commit that made the edit; the edit of a merge is what its parents do in company.
        origin: How that commit came to be: ``seed``, ``mutation``, ``crossover``.
        is_repeat: True if its edit was made before: this is what it does only here.
        through: Names of the asked variant's parents that carry it; empty for its own edit, and
            for one that it took in by itself.
        gain: What it does in its lineage's company, positive is better; None before any reading.
        gain_sd: Standard deviation of that.
        is_picked: True if the asked variant took this edit in by itself, or its author made it
            again, and it has it by no parent.
        credit: The person behind it: ``S3 by a person``, ``by a person`` of a seed; else empty.
    """

    sha: str
    name: str
    origin: str
    operator: str
    hypothesis: str
    through: tuple[str, ...]
    gain: float | None
    gain_sd: float | None
    is_picked: bool = False
    is_repeat: bool = False
    credit: str = ""


def credit_of(variant: "Variant", suggestions: "Mapping[int, Suggestion]") -> str:
    """The person behind an edit, in words; empty where an operator had the idea itself."""
    from population import Origin

    suggestion = suggestions.get(variant.suggestion or 0)
    if suggestion is not None:
        return suggestion.source
    return "by a person" if variant.origin is Origin.SEED else ""


def carried_edits(
    store: "Store", variant: "Variant", suggestions: "Mapping[int, Suggestion]"
) -> list[CarriedEdit]:
    """Every edit that ``variant`` carries, oldest first, its own last."""
    from evolution.belief import believe
    from population import Lineage

    variants = {v.sha: v for v in store.variants()}
    lineage = Lineage(variants.values())
    carried = lineage.edits(variant.sha)
    posterior = believe(store)
    edits = []
    for edit in (v for v in variants.values() if v.sha in carried):
        effect = posterior.edit_effect(edit.sha) if posterior.is_scored(edit.sha) else None
        edits.append(
            CarriedEdit(
                sha=edit.sha,
                name=edit.name,
                origin=edit.origin.value,
                operator=edit.operator,
                hypothesis=edit.hypothesis,
                through=tuple(
                    variants[parent].name
                    for parent in variant.parents
                    if edit.sha in lineage.edits(parent)
                ),
                is_picked=edit.sha in (*variant.adds, *variant.repeats),
                is_repeat=edit.is_repeat,
                gain=None if effect is None else -effect.mean,
                gain_sd=None if effect is None else effect.sd,
                credit=credit_of(edit, suggestions),
            )
        )
    return edits


def print_edits(
    console: "Console",
    variant: "Variant",
    edits: Sequence[CarriedEdit],
    metric: "Metric",
    assurance: "Assurance | None",
) -> None:
    """A table, one line an edit; ``assurance`` is that of the readings behind the gains."""
    from rich.table import Table
    from rich.text import Text

    from evolution.cli.text import clean, gain_unit, gain_words, one_line

    unit = gain_unit(metric)[1] or metric.name
    console.print(Text(f"\nwhat {clean(variant.name)} carries, edit by edit"))
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    table.add_column("edit", no_wrap=True)
    table.add_column("came by", no_wrap=True)
    table.add_column("made by", no_wrap=True)
    table.add_column(Text(f"gain ({one_line(unit, 40)})"), justify="right", no_wrap=True)
    table.add_column("idea", no_wrap=True, overflow="ellipsis", ratio=1)
    for edit in edits:
        known = edit.gain is not None and edit.gain_sd is not None
        table.add_row(
            Text(clean(edit.name)),
            Text(clean(" and ".join(edit.through)) or ("alone" if edit.is_picked else "itself")),
            Text(_made_by(edit)),
            gain_words(edit.gain or 0.0, edit.gain_sd or 0.0, metric) if known else "—",
            Text(_idea(edit)),
        )
    console.print(table)
    how = f"; scores are {assurance}" if assurance is not None else ""
    console.print(
        f"gain of each edit in its lineage's company, ± 95 %; positive is better{how}",
        style="dim",
        markup=False,
    )


def _made_by(edit: CarriedEdit) -> str:
    """The operator, and the person behind it: ``mutator, S3 by a person``, ``seed by a person``."""
    from evolution.cli.text import one_line

    between = " " if edit.credit.startswith("by ") else ", "
    return one_line(f"{edit.operator}{between}{edit.credit}" if edit.credit else edit.operator, 60)


def _idea(edit: CarriedEdit) -> str:
    from evolution.cli.text import one_line

    idea = one_line(edit.hypothesis)
    if edit.is_repeat:
        return f"{idea}: made before, what it does only here"
    return f"{idea}: what they do only in company" if edit.origin == "crossover" else idea
