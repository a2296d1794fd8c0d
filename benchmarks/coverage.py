"""Do the engine's intervals hold what is true? Errors of a world's posterior, as probabilities.

For each number that is believed, its *place*: the probability that the posterior gives to values
below the true one. If beliefs are calibrated, places are even between 0 and 1, and a 95 % interval
holds the truth where its place lies between 0.025 and 0.975.
"""

from collections.abc import Callable, Iterable, Mapping

from scipy.special import stdtr

from benchmarks.worlds import Landscape, values_of
from evolution.belief import believe
from evolution.noise import Posterior
from population import Genome, Store


def places(
    store: Store, landscape: Landscape, genome: Callable[[str], Genome]
) -> Mapping[str, list[float]]:
    """Places of what is true at the end of a search.

    Args:
        store: Of the run.
        landscape: What is true.
        genome: Of each variant, by commit.

    Returns:
        ``fitness``: of each variant that was read and trains. ``edit``: of each of these that is
        its parent and one new edit, what that did there, in the company it was measured in.
        ``edit, champion``: of those that the champion carries, in its company: against the champion
        without that edit. Only edits that it still has as they were made are told.
    """
    belief, champion = believe(store), store.champion()
    variants = {variant.sha: variant for variant in store.variants()}
    texts = {sha: genome(sha).main for sha in variants}
    of_fitness = [
        _place(belief, belief.mean(sha), belief.sd(sha), true)
        for sha, text in texts.items()
        if belief.is_scored(sha) and (true := landscape.truth(text)) is not None
    ]
    carried = belief.carries(champion) if champion else frozenset()
    of_edits, in_champion = list[float](), list[float]()
    for sha, variant in variants.items():
        if not variant.is_single or not belief.is_scored(sha):
            continue
        before, after, effect = texts[variant.parents[0]], texts[sha], belief.edit_effect(sha)
        changes = [(of_edits, before, after)]
        if champion and sha in carried:
            rest = without(landscape, texts[champion], before, after)
            changes += [(in_champion, rest, texts[champion])] if rest is not None else []
        for found, less, more in changes:
            one, other = landscape.truth(less), landscape.truth(more)
            if one is not None and other is not None:
                found.append(_place(belief, effect.mean, effect.sd, other - one))
    return {
        "fitness": sorted(of_fitness),
        "edit": sorted(of_edits),
        "edit, champion": sorted(in_champion),
    }


def without(landscape: Landscape, text: str, before: str, after: str) -> str | None:
    """A genome of a world without the edit from ``before`` to ``after``.

    None where it has another option or value at one of the places that the edit changed.
    """
    options, values = landscape.options(text), values_of(text)
    for own, old, new in (
        (options, landscape.options(before), landscape.options(after)),
        (values, values_of(before), values_of(after)),
    ):
        changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
        for key in changed:
            if own.get(key) != new.get(key):
                return None
            if key in old:
                own[key] = old[key]  # in its place: a genome has its knobs in their order
            else:
                del own[key]
    return landscape.text(options, values)


def covered(found: Iterable[float], level: float = 0.95) -> tuple[int, int]:
    """How many places lie in the middle interval of so much probability, and of how many."""
    values = list(found)
    return sum(abs(place - 0.5) <= level / 2 for place in values), len(values)


def _place(belief: Posterior, mean: float, sd: float, true: float) -> float:
    # Sums are taken in the order of commits' names, which differ from search to search.
    return round(float(stdtr(belief.sigma_df, (true - mean) / sd)), 6)
