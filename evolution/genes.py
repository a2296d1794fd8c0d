"""Genes: what each edit of a run is worth, who carries it, and how sure that is.

An edit is what one variant changed: `population.pedigree`. Its effect is believed in the company
in which it was measured, its champion's line above all; as an average everywhere it would be known
far worse.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evolution.belief import believe
from evolution.noise import Posterior
from population import Lineage, Store, StoreError, Variant

#: Errors of two effects that go together so far against each other: only their sum is known.
CONFOUNDED = -0.7


@dataclass(frozen=True, slots=True)
class Confounded:
    """Another listed edit that this one cannot be told apart from: with the correlation."""

    name: str
    correlation: float


@dataclass(frozen=True, slots=True)
class Gene:
    """One edit.

    Attributes:
        sha: Commit that made it.
        name: Of that variant.
        origin: ``seed``, ``mutation`` or ``crossover``; the edit of a crossover is what others'
            edits do only in company.
        operator: Who made it.
        hypothesis: The idea, one line.
        gain: What it is believed to do, positive is better.
        gain_sd: Standard deviation of that.
        p_helpful: Probability that it helps.
        carriers: Variants that carry it, its maker among them.
        scored: Of these, how many have a reading.
        is_carried: True if the variant that was asked for carries it.
        confounded: Listed edits that it cannot be told apart from, the worst first.
    """

    sha: str
    name: str
    origin: str
    operator: str
    hypothesis: str
    gain: float
    gain_sd: float
    p_helpful: float
    carriers: int
    scored: int
    is_carried: bool
    confounded: tuple[Confounded, ...] = ()


def genes(
    store: Store, key: str | None = None, *, everywhere: bool = False, most: int | None = None
) -> tuple[Variant, list[Gene]]:
    """The edits of a variant, or of the whole run, the most useful first.

    Args:
        store: Of the run.
        key: Whose edits; by default the champion's.
        everywhere: True for every edit that was measured, whoever carries it.
        most: So many are listed at most; None for all.

    Returns:
        The variant that was asked for, and its edits; those without a reading are left out.

    Raises:
        StoreError: There is no such variant; or no champion, and none was named.
    """
    with store.at_one_moment():
        variants = {variant.sha: variant for variant in store.variants()}
        champion = key or store.champion()
        if champion is None:
            raise StoreError(
                "No trial has given a score yet, but effects of edits come from scores. Wait for "
                "the first ones; `evolve status` shows what trains."
            )
        asked, belief = store.variant(champion), believe(store)
    lineage = Lineage(variants.values())
    carried = lineage.edits(asked.sha)
    listed = [
        sha
        for sha, variant in variants.items()
        if variant.parents and belief.is_scored(sha) and (everywhere or sha in carried)
    ]
    means = belief.edit_means(listed)
    listed = sorted(listed, key=lambda sha: (means[sha], sha))[:most]
    return asked, _measured(listed, variants, lineage, belief, carried)


def _measured(
    listed: Sequence[str],
    variants: dict[str, Variant],
    lineage: Lineage,
    belief: Posterior,
    carried: frozenset[str],
) -> list[Gene]:
    carriers, scored = Counter[str](), Counter[str]()
    for sha in variants:
        carriers.update(lineage.edits(sha))
        scored.update(lineage.edits(sha) if belief.is_scored(sha) else ())
    effects, correlations = belief.edit_effects(listed), belief.edit_correlations(listed)
    found = []
    for row, sha in enumerate(listed):
        variant, effect = variants[sha], effects[sha]
        others = sorted(
            (float(correlation), variants[listed[place]].name)
            for place, correlation in enumerate(correlations[row])
            if place != row and correlation <= CONFOUNDED
        )
        found.append(
            Gene(
                sha=sha,
                name=variant.name,
                origin=variant.origin.value,
                operator=variant.operator,
                hypothesis=variant.hypothesis,
                gain=-effect.mean,
                gain_sd=effect.sd,
                p_helpful=belief.p_helpful(effect),
                carriers=carriers[sha],
                scored=scored[sha],
                is_carried=sha in carried,
                confounded=tuple(Confounded(name, correlation) for correlation, name in others),
            )
        )
    return found
