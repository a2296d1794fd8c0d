"""Archipelago: the islands of a run, read from its store, and the migrations between them."""

from collections.abc import Callable
from dataclasses import dataclass

from evolution.config import IslandSettings
from evolution.islands import Migration, Ring
from population import Json, Store

#: Workers from which on islands may turn on by themselves.
MANY_WORKERS = 16
#: How many these are then.
MANY_ISLANDS = 4
#: Kind of the decision that keeps a migration.
MIGRATION = "migration"


@dataclass(frozen=True, slots=True)
class IslandRecord:
    """How one island stands.

    Attributes:
        island: Which, from 0.
        births: Variants that were bred for it.
        copied: Elites that came to it.
        best: Name of the best that was bred for it; None while none has a score.
    """

    island: int
    births: int
    copied: int
    best: str | None


class Archipelago:
    """Says which variants breed with which.

    Args:
        store: Of the run.
        settings: How many islands, and how often elites are copied.
        worker_count: Trainings at once.
        is_flat: True while the search is flat and shall answer to that.
    """

    def __init__(
        self,
        store: Store,
        settings: IslandSettings,
        *,
        worker_count: int,
        is_flat: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._settings = store, settings
        self._worker_count, self._is_flat = worker_count, is_flat
        self._migrations = migrations(store)

    @property
    def count(self) -> int:
        """How many islands breed now; 1 is one field."""
        if self._settings.count:
            return self._settings.count
        return MANY_ISLANDS if self._is_flat() and self._worker_count >= MANY_WORKERS else 1

    def ring(self) -> Ring | None:
        """The islands as they stand; None while there is one field."""
        if self.count == 1:
            return None
        return Ring(self.count, self._store.variants(), self._migrations)

    def migrate(self) -> Migration | None:
        """Copy elites to the island whose turn it is, if that is due; for the caller to keep."""
        ring = self.ring()
        if ring is None:
            return None
        made = ring.next_migration(
            self._store.fitnesses(),
            interval=self._settings.interval,
            size=self._settings.elites,
            without=self._store.barred(),
        )
        if made is not None:
            self._migrations.append(made)
        return made


def to_json(migration: Migration) -> dict[str, Json]:
    """A migration as its decision keeps it."""
    return {"island": migration.island, "elites": list(migration.elites)}


def migrations(store: Store) -> list[Migration]:
    """All that were, oldest first."""
    return [
        Migration(kept["island"], tuple(kept["elites"]))
        for kept in store.decided(MIGRATION)
        if isinstance(kept, dict)
    ]


def island_records(store: Store) -> list[IslandRecord]:
    """How the islands of a stored run stand; none of a run that was one field throughout."""
    variants, fitnesses = store.variants(), store.fitnesses()
    count = 1 + max((v.island for v in variants if v.island is not None), default=-1)
    ring = Ring(max(count, 1), variants, migrations(store))
    records = []
    for island in range(count):
        natives = ring.natives(island)
        scored = [sha for sha in natives if sha in fitnesses and fitnesses[sha].is_scored]
        best = max(scored, key=lambda sha: fitnesses[sha], default=None)
        name = None if best is None else store.variant(best).name
        records.append(IslandRecord(island, len(natives), len(ring.copied(island)), name))
    return records
