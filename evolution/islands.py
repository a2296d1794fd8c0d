"""Islands: a ring of demes, each of which breeds with itself; elites are copied onwards (pure).

Births go round the ring. A variant is at home on the island that it was bred for; what has no
island is at home on all: the baseline, seeds, and what was bred while there was one field. After
every so many births of an island the best of the one before it in the ring are copied to it.
Copies, not moves: an island that loses its elite cannot win it back.

All of it follows from what is stored: where each variant was bred, and which migrations were.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from population import Fitness, Variant


@dataclass(frozen=True, slots=True)
class Migration:
    """Elites of one island, copied to the next.

    Attributes:
        island: To which they came, from 0.
        elites: Their commits, best first; none if there was nobody to copy.
    """

    island: int
    elites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ring:
    """The islands of a run, as they stand.

    Attributes:
        count: How many; two or more.
        variants: All of the run, oldest first.
        migrations: All that were, oldest first.
    """

    count: int
    variants: Sequence[Variant]
    migrations: Sequence[Migration] = ()

    @property
    def turn(self) -> int:
        """The island that the next birth is for."""
        return len(self.variants) % self.count

    def before(self, island: int) -> int:
        """The island whose elites come to ``island``."""
        return (island - 1) % self.count

    def from_turn(self) -> list[int]:
        """All islands, the one whose turn it is first: who can make nothing is passed over."""
        return [(self.turn + step) % self.count for step in range(self.count)]

    def natives(self, island: int) -> list[str]:
        """Commits of those that were bred for it, oldest first."""
        return [v.sha for v in self.variants if _is_native(v, island, self.count)]

    def copied(self, island: int) -> list[str]:
        """Commits of the elites that came to it, oldest first."""
        return [sha for one in self.migrations if self._is_of(one, island) for sha in one.elites]

    def _is_of(self, migration: Migration, island: int) -> bool:
        """Of a run that had more islands before, those beyond the last come round the ring."""
        return migration.island % self.count == island

    def members(self, island: int) -> frozenset[str]:
        """Commits of those that may breed there: natives, copies, and those of all islands."""
        common = (variant.sha for variant in self.variants if variant.island is None)
        return frozenset((*common, *self.natives(island), *self.copied(island)))

    def next_migration(
        self,
        fitnesses: Mapping[str, Fitness],
        *,
        interval: int,
        size: int,
        without: Collection[str] = (),
    ) -> Migration | None:
        """The migration to the island whose turn it is; None if none is due.

        Args:
            fitnesses: As they are believed now.
            interval: Births of an island between two migrations to it.
            size: How many elites come, at most.
            without: Commits that are copied nowhere.
        """
        island = self.turn
        migrated = sum(self._is_of(one, island) for one in self.migrations)
        if migrated >= len(self.natives(island)) // interval:
            return None
        source, known = self.before(island), {*self.members(island), *without}
        candidates = [
            sha
            for sha in dict.fromkeys((*self.natives(source), *self.copied(source)))
            if sha not in known and sha in fitnesses and fitnesses[sha].is_scored
        ]
        best = sorted(candidates, key=lambda sha: fitnesses[sha], reverse=True)
        return Migration(island, tuple(best[:size]))


def _is_native(variant: Variant, island: int, count: int) -> bool:
    """Of a run that had more islands before, those beyond the last come round the ring."""
    return variant.island is not None and variant.island % count == island
