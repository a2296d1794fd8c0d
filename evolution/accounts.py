"""Accounts: what a run has spent, over all its sittings, and what limit that reaches."""

from collections.abc import Callable

from evolution.budget import Limits, Spent
from evolution.config import LimitSettings
from population import Purpose, Store, TrialStatus

#: Ends of a trial that taught something of its variant's fitness.
SCORED = (TrialStatus.COMPLETE, TrialStatus.STOPPED_EARLY)
_ACTIVE_SECONDS = "active_seconds"


class Accounts:
    """Counts trials, hours and device-hours of one run."""

    def __init__(self, *, store: Store, limits: LimitSettings, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._limits = Limits(
            trials=limits.trials or None,
            hours=limits.hours or None,
            device_hours=limits.device_hours or None,
        )
        earlier = store.fact(_ACTIVE_SECONDS)
        self._earlier_seconds = float(earlier) if isinstance(earlier, int | float) else 0.0
        self._began = clock()

    def limit_reached(self) -> str | None:
        """The limit that ends the search, in words; None while there is room."""
        return self._limits.reached(self.spent())

    def has_room(self) -> bool:
        """True if one more offspring fits beside those under way."""
        return self.room() != 0

    def room(self) -> int | None:
        """How many offspring fit beside those under way; None if they are not counted."""
        screens = self._store.trials(purpose=Purpose.SCREEN)
        under_way = sum(not t.status.is_final for t in screens)
        return self._limits.room(self.spent(), under_way=under_way)

    def spent(self) -> Spent:
        """All sittings together."""
        trials = self._store.trials()
        screens = [
            t
            for t in trials
            if t.purpose is Purpose.SCREEN and t.status is not TrialStatus.WITHDRAWN
        ]
        device_seconds = sum(t.outcome.total_seconds for t in trials if t.outcome is not None)
        return Spent(
            trials=sum(t.status in SCORED for t in screens),
            attempts=len(screens),
            hours=self._elapsed_seconds() / 3600,
            device_hours=device_seconds / 3600,
        )

    def save(self) -> None:
        """Keep the hours of this sitting, for the next one."""
        self._store.set_fact(_ACTIVE_SECONDS, self._elapsed_seconds())

    def _elapsed_seconds(self) -> float:
        return self._earlier_seconds + self._clock() - self._began
