"""Where the variants of a run have their knobs, and what that is worth on one parent's code.

An edit of code is worth what the posterior believes; with that taken out, all variants tell of one
landscape of knobs, whatever code they have. Hands the tuner values alone, so that what it proposes
is a function of the store and the belief, and a resumed run draws the same.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.files import Place, knobs_by_place, with_knobs
from agents.operator import TriedKnobs
from evolution.noise import Posterior
from population import Genome, KnobValue, Variant, canonical_hash
from population.genome import GenomeError

#: Latest variants that are told; a sampler weighs old ones little, and each costs it time.
LATEST = 300


@dataclass(frozen=True, slots=True)
class Change:
    """What a variant's own edit is.

    Attributes:
        is_code: True if it changes more than values of knobs; then what it is worth is taken out.
        is_mixed: True if it does both: what its knobs are worth nobody knows.
        introduced: Knobs that its parent does not have.
    """

    is_code: bool
    is_mixed: bool
    introduced: Mapping[Place, KnobValue]


@dataclass(frozen=True, slots=True)
class _Code:
    """What the code of a variant comes to under one belief.

    Attributes:
        worth: Of all edits of code that it carries, in the metric's unit.
        mixed: Those that changed knobs, too.
        introduced: Knobs that edits of its code brought, as they were then.
    """

    worth: float
    mixed: frozenset[str]
    introduced: Mapping[Place, KnobValue]


class KnobTable:
    """Reads knobs and changes off genomes, each once; asks a belief what they are worth.

    Args:
        genome: A variant's files, by commit.
    """

    def __init__(self, genome: Callable[[str], Genome]) -> None:
        self._genome = genome
        self._knobs: dict[str, Mapping[Place, KnobValue]] = {}
        self._changes: dict[str, Change] = {}

    def tried(
        self,
        parent: str,
        variants: Mapping[str, Variant],
        failed: frozenset[str],
        belief: Posterior,
        *,
        barred: frozenset[str] = frozenset(),
    ) -> list[TriedKnobs]:
        """Oldest first; what cannot be compared with the parent is left out.

        Args:
            parent: Commit of the variant whose code they are told for.
            variants: All of the run, by commit, oldest first.
            failed: Commits of those that ended without a score.
            belief: What the run's trials say.
            barred: Commits that nothing is told of.
        """
        ages = {sha: age for age, sha in enumerate(variants)}

        @functools.cache
        def code(sha: str) -> _Code:
            carried = sorted(belief.carries(sha), key=ages.__getitem__)
            return self._code([variants[one] for one in carried], belief)

        home = code(parent)
        found = []
        for sha in self._told(variants, failed, belief, barred):
            own = code(sha)
            if own.mixed == home.mixed:
                fitness = None
                if belief.is_scored(sha):
                    fitness = belief.mean(sha) - own.worth + home.worth
                found.append(TriedKnobs({**home.introduced, **self._knobs_of(sha)}, fitness))
        return found

    def _told(
        self,
        variants: Mapping[str, Variant],
        failed: frozenset[str],
        belief: Posterior,
        barred: frozenset[str],
    ) -> Sequence[str]:
        """Those with a score; and those without, if it was the knobs that ended them."""
        ended = (
            sha
            for sha in reversed(list(variants))
            if sha in belief
            and sha not in barred
            and (belief.is_scored(sha) or (sha in failed and self._failed_by_knobs(sha, variants)))
        )
        return list(itertools.islice(ended, LATEST))[::-1]

    def _failed_by_knobs(self, sha: str, variants: Mapping[str, Variant]) -> bool:
        variant = variants[sha]
        return not variant.unites and not self._change(variant).is_code

    def _code(self, carried: Sequence[Variant], belief: Posterior) -> _Code:
        edits = {v.sha: change for v in carried if (change := self._change(v)).is_code}
        introduced: dict[Place, KnobValue] = {}
        for change in edits.values():
            introduced |= change.introduced
        mixed = frozenset(sha for sha, change in edits.items() if change.is_mixed)
        return _Code(sum(belief.edit_means(list(edits)).values()), mixed, introduced)

    def _knobs_of(self, sha: str) -> Mapping[Place, KnobValue]:
        if sha not in self._knobs:
            self._knobs[sha] = knobs_by_place(self._genome(sha))
        return self._knobs[sha]

    def _change(self, variant: Variant) -> Change:
        if variant.sha not in self._changes:
            self._changes[variant.sha] = self._read_change(variant)
        return self._changes[variant.sha]

    def _read_change(self, variant: Variant) -> Change:
        first = variant.parents[0]
        before, after = self._knobs_of(first), self._knobs_of(variant.sha)
        set_to = {
            place: after[place]
            for place in before
            if place in after and repr(before[place]) != repr(after[place])
        }
        introduced = {place: value for place, value in after.items() if place not in before}
        if not set_to:
            return Change(True, False, introduced)
        try:
            settled = with_knobs(self._genome(first), set_to)
            is_code = canonical_hash(settled) != variant.genome_hash
        except GenomeError:  # a value without a literal, such as 1e999
            is_code = True
        # What a merge or a stack unites are edits of their own.
        return Change(is_code, is_code and not variant.unites, introduced)
