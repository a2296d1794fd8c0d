"""Places: the variants of a posterior as rows of arrays, in the pedigree's order.

What a variant's fitness is the sum of, and how often it was read. With further variants or readings
arrays are copied and made longer; nothing goes over all variants in Python. Knows no scores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evolution.least_squares import Vector, more_rows, sparse_rows
from evolution.mixed_model import MixedModel
from evolution.readings import Reading
from population.pedigree import Pedigree


@dataclass(frozen=True, slots=True)
class Places:
    """Where each variant stands, and what stands there.

    Attributes:
        of: Place by commit.
        fitness: Of each variant, as a sum of unknowns.
        befores: Of each, what it would be without its own edit: a sum of other variants' fitness.
        trial_counts: Trials that were read of each.
        full_counts: Those with a score; snapshots do not count.
    """

    of: Mapping[str, int]
    fitness: sparse.csr_array
    befores: sparse.csr_array
    trial_counts: Sequence[int]
    full_counts: Sequence[int]

    @classmethod
    def none(cls) -> "Places":
        """No variant at all."""
        nothing = sparse.csr_array((0, 0))
        return cls({}, nothing, nothing, (), ())

    def grown(self, model: MixedModel, readings: Iterable[Reading]) -> "Places":
        """With those variants of the model that come after these, and further readings."""
        fresh = model.pedigree.order[len(self.of) :]
        of = dict(self.of) | {n.sha: place for place, n in enumerate(fresh, len(self.of))}
        trials, scores = ([*counts, *[0] * len(fresh)] for counts in self._counts())
        read = {(reading.variant, reading.trial_id, reading.is_full) for reading in readings}
        for variant, _ in {(variant, trial) for variant, trial, _ in read}:
            trials[of[variant]] += 1
        for variant, _, is_full in read:
            scores[of[variant]] += is_full
        befores = [_placed(model.pedigree, node.sha, of) for node in fresh]
        return Places(
            of,
            more_rows(self.fitness, model.fitness_forms(fresh)),
            more_rows(self.befores, sparse_rows(befores, len(of))),
            trials,
            scores,
        )

    def _counts(self) -> tuple[Sequence[int], Sequence[int]]:
        return self.trial_counts, self.full_counts

    def touched(self, columns: Sequence[int]) -> NDArray[np.bool_]:
        """Which variants' fitness has one of these unknowns."""
        mark = np.zeros(self.fitness.shape[1])
        mark[np.array(columns, dtype=np.int64)] = 1.0
        return np.asarray(abs(self.fitness) @ mark > 0)

    def own_edits(self, fitnesses: Vector) -> Vector:
        """What each variant's own edit does in its company, given all fitnesses."""
        return np.asarray(fitnesses - self.befores @ fitnesses, dtype=np.float64)


def _placed(pedigree: Pedigree, sha: str, of: Mapping[str, int]) -> dict[int, float]:
    return {of[other]: float(x) for other, x in pedigree.before(pedigree[sha]).items()}
