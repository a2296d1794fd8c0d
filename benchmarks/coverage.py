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
        ``fitness``: of each variant that was read and trains. ``effect``: of each edit that the
        champion carries, in its company: against the champion without that edit. Only edits that
        it still has as they were made are told, and none of those that are what others do together.
    """
    belief, champion = believe(store), store.champion()
    variants = {variant.sha: variant for variant in store.variants()}
    texts = {sha: genome(sha).main for sha in variants}
    of_fitness = [
        _place(belief, belief.mean(sha), belief.sd(sha), true)
        for sha, text in texts.items()
        if belief.is_scored(sha) and (true := landscape.truth(text)) is not None
    ]
    of_effects = []
    whole = landscape.truth(texts[champion]) if champion else None
    for sha in sorted(belief.carries(champion)) if champion else ():
        variant = variants[sha]
        if not variant.is_single or not belief.is_scored(sha) or whole is None or champion is None:
            continue
        rest = without(landscape, texts[champion], texts[variant.parents[0]], texts[sha])
        true = landscape.truth(rest) if rest is not None else None
        if true is not None:
            effect = belief.edit_effect(sha)
            of_effects.append(_place(belief, effect.mean, effect.sd, whole - true))
    return {"fitness": sorted(of_fitness), "effect": sorted(of_effects)}


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
