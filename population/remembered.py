"""Remembered: what was read of a database before, so that a long run's rows are read once."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from population.fitness import Fitness
from population.tables import FitnessRow, TrialRow, VariantRow
from population.trial import Trial
from population.variant import Variant

Reading = Callable[[], AbstractContextManager[Session]]


class Remembered:
    """Variants, fitnesses, and trials without their curves; safe to use from several threads.

    A variant never changes, and neither does a trial once it is final. So a look asks for new rows
    and for those that were not final before, and for no others; and for none at all while the
    database says that nothing was written.

    Args:
        reading: Gives a session to read in.
        version: A number that is another one after any write; None where there is none.
    """

    def __init__(self, reading: Reading, version: Callable[[], int | None]) -> None:
        self._reading, self._version = reading, version
        self._turn = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._seen: dict[str, int | None] = {}
        self._variants: dict[str, Variant] = {}
        self._last_serial = -1
        self._trials: dict[int, Trial] = {}
        self._open: set[int] = set()
        self._fitnesses: dict[str, Fitness] = {}

    def variants(self) -> list[Variant]:
        """All variants, in the order they were made."""
        with self._turn:
            self._keep("variants", self._look_for_variants)
            return list(self._variants.values())

    def variant(self, sha: str) -> Variant | None:
        """The variant with this commit; None if it is not remembered and cannot be."""
        with self._turn:
            if sha not in self._variants and self._version() is not None:
                self._keep("variants", self._look_for_variants)
            return self._variants.get(sha)

    def trials(self) -> list[Trial]:
        """All trials, in the order they were queued; their curves are left out."""
        with self._turn:
            self._keep("trials", self._look_for_trials)
            return list(self._trials.values())

    def fitnesses(self) -> dict[str, Fitness]:
        """The fitness of each variant that has one, best first."""
        with self._turn:
            self._keep("fitnesses", self._look_for_fitnesses)
            return dict(self._fitnesses)

    def _keep(self, what: str, look: Callable[[Session], None]) -> None:
        version = self._version()  # before the look: what is written meanwhile is looked at again
        if version is None:  # rows of a server need not come in the order of their numbers
            self._forget()
        if version is None or version != self._seen.get(what):
            with self._reading() as session:
                look(session)
            self._seen[what] = version

    def _look_for_variants(self, session: Session) -> None:
        newer = select(VariantRow).where(VariantRow.serial > self._last_serial)
        for row in session.scalars(newer.order_by(VariantRow.serial)):
            self._variants[row.sha] = row.value()
            self._last_serial = row.serial

    def _look_for_trials(self, session: Session) -> None:
        last = next(reversed(self._trials), 0)
        changed = or_(TrialRow.id > last, TrialRow.id.in_(sorted(self._open)))
        for row in session.scalars(select(TrialRow).where(changed).order_by(TrialRow.id)):
            trial = row.value()
            self._trials[trial.id] = trial
            (self._open.discard if trial.status.is_final else self._open.add)(trial.id)

    def _look_for_fitnesses(self, session: Session) -> None:
        best_first = select(FitnessRow).order_by(FitnessRow.mean.is_(None), FitnessRow.mean)
        self._fitnesses = {row.variant: row.value() for row in session.scalars(best_first)}
