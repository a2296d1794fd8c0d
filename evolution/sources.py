"""Sources: what each source of edits brought a run: built-in operators, models, seeds, people."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolution.config import MODEL_OPERATORS
from population import (
    Fitness,
    Lineage,
    Origin,
    Store,
    Suggestion,
    Variant,
    gain_over_parent,
)

#: Model operators that have no weight of their own: they mend what crashed.
_MENDING = ("repairer",)


class Source(StrEnum):
    """Where an edit came from."""

    BUILT_IN = "built-in operators"
    MODELS = "models"
    SEEDS = "seeds"
    SUGGESTIONS = "suggestions"


@dataclass(frozen=True, slots=True)
class SourceCredit:
    """What one source brought.

    Attributes:
        source: Which.
        offspring: Variants of it.
        scored: Those of them that are scored.
        best: Name of the one that gained most over its better parent; None while none is scored.
        best_gain: That gain, in the unit of the run's score; positive is better.
        best_gain_sd: Its standard deviation, the two fitnesses taken as independent.
        kept: Those of its variants whose edits the champion carries.
    """

    source: Source
    offspring: int
    scored: int
    best: str | None
    best_gain: float | None
    best_gain_sd: float | None
    kept: int


@dataclass(frozen=True, slots=True)
class Uptake:
    """A variant that took a suggestion up; its gain is that over its better parent."""

    name: str
    sha: str
    gain: float | None
    gain_sd: float | None


def source_of(variant: Variant) -> Source:
    """Where an offspring's edit came from; a suggestion is a person's, whoever carried it out."""
    if variant.suggestion is not None:
        return Source.SUGGESTIONS
    if variant.origin is Origin.SEED:
        return Source.SEEDS
    is_models = variant.operator in (*MODEL_OPERATORS, *_MENDING)
    return Source.MODELS if is_models else Source.BUILT_IN


def source_credits(store: Store, champion: str | None) -> list[SourceCredit]:
    """What each source brought; those without offspring are left out.

    Args:
        store: Of the run.
        champion: Commit of the best variant; None while nothing is scored.
    """
    variants, fitnesses = store.variants(), store.fitnesses()
    line: Collection[str] = ()
    if champion is not None:
        line = Lineage(variants).edits(champion)
    made: dict[Source, list[Variant]] = {source: [] for source in Source}
    for variant in variants:
        if variant.parents:
            made[source_of(variant)].append(variant)
    return [_credit(source, of_it, fitnesses, line) for source, of_it in made.items() if of_it]


def _credit(
    source: Source,
    made: Sequence[Variant],
    fitnesses: Mapping[str, Fitness],
    line: Collection[str],
) -> SourceCredit:
    gains = [(gain_over_parent(variant, fitnesses), variant.name) for variant in made]
    known = [(*gain, name) for gain, name in gains if gain is not None]
    gain, sd, best = max(known, default=(None, None, None))
    scored = sum(v.sha in fitnesses and fitnesses[v.sha].is_scored for v in made)
    kept = sum(v.sha in line and not v.is_repeat for v in made)
    return SourceCredit(source, len(made), scored, best, gain, sd, kept)


def uptakes(
    suggestion: Suggestion, variants: Mapping[str, Variant], fitnesses: Mapping[str, Fitness]
) -> list[Uptake]:
    """The variants that took a suggestion up, in the order in which they were made."""
    return [
        Uptake(variant.name, sha, *(gain_over_parent(variant, fitnesses) or (None, None)))
        for sha in suggestion.variants
        for variant in (variants[sha],)
    ]
