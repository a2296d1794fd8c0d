"""Niches: an archive of unlike good variants, the best of each cell of what they are like (pure).

A cell is how much more or less than the baseline a variant has of each descriptor, in steps of a
factor: it does not move when others come, as a quantile would.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from population import Fitness, Outcome

#: Factor from one cell to the next: what differs by less is alike.
STEP = 1.25
#: What the summary that a trainer prints calls the number of parameters.
_PARAMETERS = "num_params_M"

Cell = tuple[int, ...]


class Descriptor(StrEnum):
    """What a variant is like, whatever its score."""

    PARAMETERS = "parameters"  # as its summary says
    SPEED = "speed"  # tokens it trains on in a second
    MEMORY = "memory"  # its peak
    CODE = "code"  # how much there is of it


def described(
    outcomes: Iterable[Outcome], code_size: int, descriptors: Sequence[Descriptor]
) -> tuple[float, ...] | None:
    """What a variant has of each, by its trials, oldest first; None if one is not known."""
    known: dict[Descriptor, float] = {Descriptor.CODE: float(code_size)}
    for outcome in outcomes:
        tokens, seconds = outcome.train_tokens, outcome.train_seconds
        found = {
            Descriptor.PARAMETERS: outcome.summary.get(_PARAMETERS),
            Descriptor.SPEED: tokens / seconds if tokens and seconds else None,
            Descriptor.MEMORY: outcome.peak_memory_mb,
        }
        known |= {n: float(v) for n, v in found.items() if v is not None and 0 < v < math.inf}
    if any(descriptor not in known for descriptor in descriptors):
        return None
    return tuple(known[descriptor] for descriptor in descriptors)


def cell(values: Sequence[float], home: Sequence[float]) -> Cell:
    """Steps from the baseline in each descriptor."""
    return tuple(
        round(math.log(own / other) / math.log(STEP))
        for own, other in zip(values, home, strict=True)
    )


def archive(field: Sequence[tuple[str, Fitness]], cells: Mapping[str, Cell]) -> dict[Cell, str]:
    """The elite of each occupied cell: the best by posterior mean; of equals the first.

    Variants without a score or a cell are in none.
    """
    elites: dict[Cell, tuple[str, Fitness]] = {}
    for sha, fitness in field:
        place = cells.get(sha)
        if place is None or not fitness.is_scored:
            continue
        if place not in elites or fitness > elites[place][1]:
            elites[place] = sha, fitness
    return {place: sha for place, (sha, _) in elites.items()}
