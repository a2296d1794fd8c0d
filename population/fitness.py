"""Fitness: what is believed of a variant's score, with its error."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from population.variant import Variant

#: Standard deviations on each side of a 95 % interval.
INTERVAL = 1.96


@functools.total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Fitness:
    """A posterior over a variant's val_bpb at home conditions.

    Fitnesses are ordered so that ``max()`` is the best one: lower mean is better, and a variant
    that never gave a score (``mean`` None) is below every one that did.

    Attributes:
        mean: Posterior mean in bpb; None if no trial of it gave a score.
        sd: Posterior standard deviation in bpb.
        trial_count: Trials behind it, snapshots of early-stopped ones included.
    """

    mean: float | None
    sd: float
    trial_count: int

    @property
    def is_scored(self) -> bool:
        """True if at least one trial said something about the variant."""
        return self.mean is not None

    def gain_over(self, other: "Fitness") -> tuple[float, float] | None:
        """How much better it is than another, and the error of that; None unless both are scored.

        The two are taken as independent. Relatives share readings, so that the real error is
        smaller.
        """
        if self.mean is None or other.mean is None:
            return None
        return other.mean - self.mean, math.hypot(self.sd, other.sd)

    def _key(self) -> tuple[bool, float]:
        return (self.mean is not None, -(self.mean if self.mean is not None else 0.0))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fitness) and self._key() == other._key()

    def __lt__(self, other: "Fitness") -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return "unscored" if self.mean is None else f"{self.mean:.4f} ± {INTERVAL * self.sd:.4f}"


def gain_over_parent(
    variant: Variant, fitnesses: Mapping[str, Fitness]
) -> tuple[float, float] | None:
    """A variant's gain over its better parent, and its error; None unless both are scored."""
    own = fitnesses.get(variant.sha)
    better = max((fitnesses[p] for p in variant.parents if p in fitnesses), default=None)
    return own.gain_over(better) if own is not None and better is not None else None
