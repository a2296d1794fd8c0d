"""Descent: what each edit on a variant's line of descent brought. Store -> frame.

Every variant but the baseline is one edit, which its descendants carry; a merge carries the edits
of both parents, a stack of single edits those of its parent and each that it took in. The own edit
of either is what they do only together. So the fitness of a variant is the baseline's and the
effects of all edits it carries, and the effects add up to its gain exactly.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.frames import Column, assured, tidy
from population import Fitness, Lineage, Store, Variant
from population.assurance import by_variant, weakest

DESCENT_COLUMNS: Mapping[str, Column] = {
    "variant": Column("str", "Commit of the ancestor that made the edit."),
    "name": Column("str", "Its name."),
    "generation": Column("int64", "Its generation."),
    "origin": Column("str", "seed, mutation or crossover."),
    "operator": Column("str", "Who made it."),
    "hypothesis": Column("str", "What was changed, and why it should help."),
    "effect": Column("float64", "What the edit brought where it was made: positive is better."),
    "effect_sd": Column("float64", "Standard deviation of the effect."),
    "scoring": Column("str", "trusted, or reported if any score behind the effect is."),
    "containment": Column("str", "Weakest level that held any trainer behind the effect."),
    "is_measured": Column("bool", "False if the ancestor has no score: its edit counts as 0."),
    "before": Column("float64", "Sum of the effects above: where the edit's bar begins."),
    "after": Column("float64", "The same with the edit; in the last row the variant's gain."),
}

Form = Mapping[str, int]  # Σ coefficient · fitness of that variant


def descent_frame(store: Store, variant: str | None = None) -> pd.DataFrame:
    """One row an edit that a variant carries, oldest first; columns: ``DESCENT_COLUMNS``.

    A mutation's effect is the posterior mean of its parent − its own. That of a merge or a stack
    is what is left when the effects of all edits it carries are taken off its gain. The rows are
    in the order in which the edits were made, those of several lines among each other: ``after``
    is the gain of a stack of edits, and the gain of one variant only in the last row.

    The errors are those of the stored posteriors, taken as independent. Relatives share
    readings, so that their true covariance is positive and the real intervals are narrower.

    Args:
        store: Of the run.
        variant: Commit or name of the variant; by default the one of the best fitness.
    """
    variants, fitnesses = store.variants(), store.fitnesses()
    chosen = store.variant(variant).sha if variant is not None else store.champion()
    root = fitnesses.get(store.run().baseline or "")
    if chosen is None or root is None or root.mean is None:
        return tidy([], DESCENT_COLUMNS)
    lineage = Lineage(variants)
    family, carried = lineage.family(chosen), lineage.edits(chosen)
    members = [v for v in variants if v.sha in family]
    forms = edit_forms(members, store.run().baseline or "", fitnesses)
    rows, gain, how = [], 0.0, by_variant(store.trials())
    for member in members:
        if member.sha not in carried:
            continue
        effect, sd = _effect(forms[member.sha], fitnesses)
        rows.append(
            {
                "variant": member.sha,
                "name": member.name,
                "generation": member.generation,
                "origin": str(member.origin),
                "operator": member.operator,
                "hypothesis": member.hypothesis,
                "effect": effect,
                "effect_sd": sd,
                "is_measured": bool(forms[member.sha]),
                "before": gain,
                "after": gain + effect,
            }
            | assured(weakest(how[sha] for sha in forms[member.sha] if sha in how))
        )
        gain += effect
    return tidy(rows, DESCENT_COLUMNS)


def edit_forms(
    members: Sequence[Variant], root: str, fitnesses: Mapping[str, Fitness]
) -> dict[str, Form]:
    """Each member's own edit as a sum of fitnesses, negative for what is taken off.

    Args:
        members: A variant and its family (`Lineage.family`), parents before their children.
        root: Commit of the baseline, whose fitness every edit is measured from.
        fitnesses: A member without a score has an empty form: its edit goes to its children.
    """
    lineage = Lineage(members)
    forms: dict[str, Form] = {}
    for member in members:
        if not member.parents:
            continue
        inherited = lineage.edits(member.sha) - {member.sha}
        fitness = fitnesses.get(member.sha)
        form: Counter[str] = Counter()
        if fitness is not None and fitness.is_scored:
            form.update({member.sha: 1})
            form.subtract({root: 1})
            for edit in inherited:
                form.subtract(forms[edit])
        forms[member.sha] = {sha: count for sha, count in form.items() if count}
    return forms


def _effect(form: Form, fitnesses: Mapping[str, Fitness]) -> tuple[float, float]:
    """Value of a form as a gain, and its error."""
    value = sum(-count * (fitnesses[sha].mean or 0.0) for sha, count in form.items())
    return value, math.hypot(*(count * fitnesses[sha].sd for sha, count in form.items()))
