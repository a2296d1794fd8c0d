"""Who breeds, who survives, who is remembered. The only import of DEAP.

DEAP compares our own `Fitness`, whose order already says that lower is better and that a variant
without a score is below all others.
"""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from deap import tools
from numpy.random import Generator

from evolution.niches import Cell, archive
from population import Fitness

#: One in so many places is for elites of niches, where there are niches.
NICHE_SHARE = 4
#: A reserved place goes to one of the best `RESERVE_REACH` × size: lean, but no wreck.
RESERVE_REACH = 3


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A variant as DEAP wants it: with a ``fitness``."""

    sha: str
    fitness: Fitness


def tournament(
    field: Sequence[tuple[str, Fitness]], size: int, *, count: int, rng: Generator
) -> list[str]:
    """The winners of ``count`` tournaments, each among ``size`` drawn with replacement.

    Raises:
        ValueError: The field is empty, or ``size`` is below 1.
    """
    if not field or size < 1:
        raise ValueError(f"A tournament of {size} among {len(field)} variants has no winner.")
    entrants = [_Entrant(sha, fitness) for sha, fitness in field]
    with _lent(rng):
        return [winner.sha for winner in tools.selTournament(entrants, count, size)]


@contextmanager
def _lent(rng: Generator) -> Iterator[None]:
    """DEAP draws from the global `random`: seed it from our generator, then put its state back."""
    state = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(state)


def breeding_values(
    fitnesses: Mapping[str, Fitness], sizes: Mapping[str, int], *, home_size: int, worth: float
) -> dict[str, Fitness]:
    """Scored fitnesses with the price of code in their means: what selection alone compares.

    Args:
        fitnesses: As they are believed; these stay as they are.
        sizes: Amount of code of each variant.
        home_size: That of the baseline, whose mean does not change.
        worth: What a tenth of the baseline's code is worth, in bpb.
    """
    return {
        sha: replace(fitness, mean=fitness.mean + worth * 10 * (sizes[sha] / home_size - 1))
        for sha, fitness in fitnesses.items()
        if fitness.mean is not None
    }


def survivors(
    field: Sequence[tuple[str, Fitness]],
    size: int,
    *,
    leanness: Mapping[str, int] | None = None,
    distance: Mapping[str, int] | None = None,
    cells: Mapping[str, Cell] | None = None,
    pinned: Collection[str] = (),
) -> list[tuple[str, Fitness]]:
    """The best by posterior mean, best first, with up to two places reserved for others.

    The last places go to the leanest and to the most unlike of those that would just have missed
    the cut: selection alone soon leaves nothing but siblings. Fields of two or fewer places, and
    variants without a score, take no part in that. Before all of it each pinned one has a place.

    With niches it is not the most unlike that has a place, but a quarter of the places go to the
    elites of cells that have nobody among those before them, best first.

    Args:
        field: Candidates; equal ones keep their order.
        size: Places.
        leanness: Amount of code of each variant, less is leaner; None reserves no place for it.
        distance: How unlike the best each variant is; None reserves no place for it.
        cells: Of those that have one, with niches; then ``distance`` does not count.
        pinned: Those that have a place as long as they are in the field with a score.
    """
    scored = [entry for entry in field if entry[1].is_scored]
    if pinned:
        kept = [entry for entry in scored if entry[0] in pinned]
        rest = [entry for entry in scored if entry[0] not in pinned]
        size -= len(kept)
        kept += survivors(rest, size, leanness=leanness, distance=distance, cells=cells)
        return sorted(kept, key=lambda entry: entry[1], reverse=True)
    ranked = sorted(scored, key=lambda entry: entry[1], reverse=True)
    unlike = 0 if distance is None else 1
    niches = unlike if cells is None else size // NICHE_SHARE
    reserved = niches + (leanness is not None)
    if len(ranked) <= size or size <= reserved:
        return ranked[: max(size, 0)]
    chosen, rest = ranked[: size - reserved], ranked[size - reserved :]
    rest = rest[: RESERVE_REACH * size - len(chosen)]
    if leanness is not None:
        chosen.append(rest.pop(_index_of_least(rest, leanness, sign=1)))
    if cells is not None:
        chosen += _unlike(chosen, rest, cells, niches)
    elif distance is not None:
        chosen.append(rest.pop(_index_of_least(rest, distance, sign=-1)))
    return sorted(chosen, key=lambda entry: entry[1], reverse=True)


def _unlike(
    chosen: Sequence[tuple[str, Fitness]],
    rest: Sequence[tuple[str, Fitness]],
    cells: Mapping[str, Cell],
    count: int,
) -> list[tuple[str, Fitness]]:
    """Elites of cells that nobody chosen is in, best first; then others, if these are few."""
    taken = {cells.get(sha) for sha, _ in chosen}
    elites = {sha for place, sha in archive(rest, cells).items() if place not in taken}
    first = [entry for entry in rest if entry[0] in elites]
    return [*first, *(entry for entry in rest if entry[0] not in elites)][:count]


def _index_of_least(
    entries: Sequence[tuple[str, Fitness]], measure: Mapping[str, int], *, sign: int
) -> int:
    return min(range(len(entries)), key=lambda i: sign * measure[entries[i][0]])


class HallOfFame:
    """The best variants of a run, living or not, by what is believed of them now."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._hall = tools.HallOfFame(size, similar=lambda one, other: one.sha == other.sha)

    def update(self, field: Sequence[tuple[str, Fitness]]) -> None:
        """Take in new beliefs. A member that is not in the field keeps its old one."""
        known = {entrant.sha: entrant.fitness for entrant in self._hall} | dict(field)
        entrants = [_Entrant(sha, fitness) for sha, fitness in known.items() if fitness.is_scored]
        self._hall.clear()
        if entrants and self._size > 0:
            self._hall.update(entrants)

    def forget(self, shas: Collection[str]) -> None:
        """Put variants forward no more."""
        kept = [entrant for entrant in self._hall if entrant.sha not in shas]
        self._hall.clear()
        self._hall.update(kept)

    def best(self) -> list[tuple[str, Fitness]]:
        """The members, best first."""
        return [(entrant.sha, entrant.fitness) for entrant in self._hall]
