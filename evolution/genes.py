"""Genes: what each edit of a run is worth, who carries it, and how sure that is.

An edit is what one variant changed: `population.pedigree`. One that somebody makes again is the
same edit, with one more carrier. Its effect is believed in the company
in which it was measured, its champion's line above all; as an average everywhere it would be known
far worse.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolution.belief import believe
from evolution.noise import Posterior
from population import Lineage, Store, StoreError, Variant

#: Errors of two effects that go together so far against each other: only their sum is known.
CONFOUNDED = -0.7


@dataclass(frozen=True, slots=True)
class Confounded:
    """Another edit that this one cannot be told apart from: with the correlation."""

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
        confounded: Edits that it cannot be told apart from, the worst first: looked for among
            those that are listed or carried, and those next to it in the family tree.
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


@dataclass(frozen=True, slots=True)
class Genes:
    """The edits of a variant, or of a whole run.

    Attributes:
        asked: The variant that was asked for.
        listed: Its edits, the most useful first; those without a reading are left out.
        count: How many there are in all.
    """

    asked: Variant
    listed: tuple[Gene, ...]
    count: int


def genes(
    store: Store, key: str | None = None, *, everywhere: bool = False, most: int | None = None
) -> Genes:
    """The edits of a variant, or of the whole run, the most useful first.

    Args:
        store: Of the run.
        key: Whose edits; by default the champion's.
        everywhere: True for every edit that was measured, whoever carries it.
        most: So many are listed at most; None for all.

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
    measured = {
        sha
        for sha, v in variants.items()
        if v.parents and not v.is_repeat and belief.is_scored(sha)
    }
    wanted = [sha for sha in variants if sha in measured and (everywhere or sha in carried)]
    means = belief.edit_means(wanted)
    listed = sorted(wanted, key=lambda sha: (means[sha], sha))[:most]
    near = {kin for sha in listed for kin in (*lineage.parents(sha), *lineage.children(sha))}
    others = [sha for sha in variants if sha in measured & ({*listed} | carried | near)]
    confounded = _confounded(listed, others, variants, belief)
    carriers, scored = Counter[str](), Counter[str]()
    for sha in variants:
        carriers.update(lineage.edits(sha))
        scored.update(lineage.edits(sha) if belief.is_scored(sha) else ())
    effects = belief.edit_effects(listed)
    found = [
        Gene(
            sha=sha,
            name=variants[sha].name,
            origin=variants[sha].origin.value,
            operator=variants[sha].operator,
            hypothesis=variants[sha].hypothesis,
            gain=-effects[sha].mean,
            gain_sd=effects[sha].sd,
            p_helpful=belief.p_helpful(effects[sha]),
            carriers=carriers[sha],
            scored=scored[sha],
            is_carried=sha in carried,
            confounded=confounded[sha],
        )
        for sha in listed
    ]
    return Genes(asked, tuple(found), len(wanted))


def _confounded(
    listed: Sequence[str],
    others: Sequence[str],
    variants: Mapping[str, Variant],
    belief: Posterior,
) -> dict[str, tuple[Confounded, ...]]:
    """For each listed edit those of the others that it cannot be told apart from."""
    found = {}
    for sha, row in zip(listed, belief.edit_correlations(listed, others), strict=True):
        pairs = sorted(
            (float(correlation), variants[other].name)
            for other, correlation in zip(others, row, strict=True)
            if other != sha and correlation <= CONFOUNDED
        )
        found[sha] = tuple(Confounded(name, correlation) for correlation, name in pairs)
    return found
