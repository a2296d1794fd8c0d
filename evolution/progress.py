"""Progress: how much better the best of a run got lately, read from its store.

Episodes without progress are kept as decisions, so that a resumed run is in the same one.
"""

import bisect
import itertools
from collections.abc import Mapping, Sequence

from evolution.config import PlateauSettings
from evolution.plateau import WINDOW, WINDOW_EACH, Episode, Point, episode_now
from population import Fitness, Store, Trial, TrialStatus

#: Kinds of the decisions that keep when an episode began, and when it ended.
BEGAN, ENDED = "plateau", "plateau_over"


class Progress:
    """Knows whether the search is flat.

    Args:
        store: Of the run.
        settings: What counts as flat.
        worker_count: Trainings at once.
    """

    def __init__(self, store: Store, settings: PlateauSettings, *, worker_count: int) -> None:
        self._store, self._settings = store, settings
        self._window = settings.window or max(WINDOW, WINDOW_EACH * worker_count)
        self._episode = last_episode(store)

    @property
    def answers(self) -> bool:
        """True while the search is flat and shall answer to that."""
        return self._settings.responds and self._is_flat

    @property
    def _is_flat(self) -> bool:
        return self._episode is not None and self._episode.ended_at is None

    def look(
        self, fitnesses: Mapping[str, Fitness], sigma: float
    ) -> tuple[str, dict[str, float]] | None:
        """The decision that an episode began or ended, for the caller to keep; None if neither.

        Args:
            fitnesses: As they are believed now, by commit.
            sigma: Seed noise of one trial.
        """
        ended = sorted(_ended(self._store), key=lambda trial: trial.finished_at or 0.0)
        whole = [_seconds(trial) for trial in ended if trial.status is TrialStatus.COMPLETE]
        if not whole:
            return None
        spent = [0.0, *itertools.accumulate(_seconds(trial) for trial in ended)]
        now = episode_now(
            self._points(fitnesses, [trial.finished_at or 0.0 for trial in ended], spent),
            spent[-1],
            self._episode,
            bar=self._settings.gain * sigma,
            window=self._window * sum(whole) / len(whole),
        )
        if now == self._episode or now is None:
            return None
        self._episode = now
        return (BEGAN if now.ended_at is None else ENDED), {"device_seconds": spent[-1]}

    def _points(
        self, fitnesses: Mapping[str, Fitness], ends: Sequence[float], spent: Sequence[float]
    ) -> list[Point]:
        """Every variant that may be put forward; ``spent`` before any end and after each."""
        barred, variants = self._store.barred(), self._store.variants()
        # A clock that was set back makes nothing that is bred then older than what was before.
        births = itertools.accumulate((variant.created_at for variant in variants), max)
        return [
            Point(spent[bisect.bisect_right(ends, birth)], fitness.mean)
            for variant, birth in zip(variants, births, strict=True)
            if variant.sha not in barred and (fitness := fitnesses.get(variant.sha)) is not None
        ]


def last_episode(store: Store) -> Episode | None:
    """The episode that a stored run is in, or the last one that it was in."""
    began, ended = (
        [float(kept["device_seconds"]) for kept in store.decided(kind) if isinstance(kept, dict)]
        for kind in (BEGAN, ENDED)
    )
    if not began:
        return None
    return Episode(began[-1], ended[-1] if len(ended) == len(began) else None)


def _ended(store: Store) -> list[Trial]:
    return [t for t in store.trials() if t.purpose.informs and t.status.has_run and t.outcome]


def _seconds(trial: Trial) -> float:
    return trial.outcome.total_seconds if trial.outcome is not None else 0.0
