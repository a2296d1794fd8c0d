"""What a run's turns of knobs brought: measured variants that the knob operator made.

Hands the operator values alone, so that how far it turns a knob next is a function of the store and
the belief, and a resumed run draws the same.
"""

import functools
from collections.abc import Callable, Iterable

from agents import KnobTrial
from evolution.noise import Posterior
from population import Genome, KnobValue, Variant, knobs

#: Latest variants of the operator that are looked at: what is older was of other parents.
LATEST = 200
OPERATOR = "knob"

Move = tuple[str, KnobValue, KnobValue]


class KnobRecord:
    """Reads moves of knobs off genomes, each once; asks a belief what they brought, once for each.

    Args:
        genome: A variant's files, by commit.
    """

    def __init__(self, genome: Callable[[str], Genome]) -> None:
        self._genome = genome
        self._moves = functools.lru_cache(4 * LATEST)(self._read_moves)
        self._told: tuple[Posterior, list[Variant], tuple[KnobTrial, ...]] | None = None

    def trials(
        self, variants: Iterable[Variant], failed: frozenset[str], belief: Posterior
    ) -> tuple[KnobTrial, ...]:
        """Oldest first.

        Args:
            variants: All of the run, oldest first.
            failed: Commits of those that ended without a score.
            belief: What the run's trials say.
        """
        ended = [
            v
            for v in variants
            if v.operator == OPERATOR
            and v.parents
            and (v.sha in failed or (belief.is_scored(v.sha) and belief.is_scored(v.parents[0])))
        ][-LATEST:]
        if self._told is None or self._told[0] is not belief or self._told[1] != ended:
            self._told = (belief, ended, self._trials(ended, belief))
        return self._told[2]

    def _trials(self, ended: list[Variant], belief: Posterior) -> tuple[KnobTrial, ...]:
        scored = [v.sha for v in ended if belief.is_scored(v.sha)]
        effects = belief.change_effects(scored)
        found = []
        for variant in ended:
            effect = effects.get(variant.sha)
            gain, error = (None, 0.0) if effect is None else (-effect.mean, effect.sd)
            moves = self._moves(variant.parents[0], variant.sha)
            found += [
                KnobTrial(name, before, after, gain, error, 1 / len(moves))
                for name, before, after in moves
            ]
        return tuple(found)

    def _read_moves(self, parent: str, child: str) -> tuple[Move, ...]:
        """Of all files: the operator draws one of them, and in a script task any may hold knobs."""
        old, new = self._genome(parent), self._genome(child)
        found: list[Move] = []
        for path in (path for path in old.sources if path in new.files):
            if old.files[path] != new.files[path]:
                before, after = knobs(old.files[path]), knobs(new.files[path])
                found += [
                    (name, before[name], after[name])
                    for name in before
                    if name in after and before[name] != after[name]
                ]
        return tuple(found)
