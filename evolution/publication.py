"""Publication: champions are named while the search goes on, once fresh runs bear them out.

The best of many is partly the luckiest. So a nominee trains twice more on fresh seeds, and what
these say, which takes no part in selection, is set against the fresh runs of the champion that was
published last, or against the baseline's repeats. Everything follows from the store, so that it
resumes anywhere; the statistics live in `racing`.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from evolution.confirmation import trial_seed
from evolution.noise import Posterior
from evolution.racing import fresh_gain, nominate
from population import (
    Budget,
    Conditions,
    FreshGain,
    Publication,
    Purpose,
    Store,
    Trial,
    TrialStatus,
)

#: Fresh runs of a nominee.
FRESH_RUNS = 2
#: A nominee of which a run gave no score, by whose fault ever, may come again so often in all.
ATTEMPTS = 2
#: Fresh runs must find a gain over the champion published last with at least this probability.
PUBLISHED_P = 0.5
#: The store's fact that says who is nominated.
NOMINEE = "nominee"


class Publishing:
    """Puts one nominee forward at a time.

    Args:
        baseline: Commit of the variant that is compared with first.
        budget: Training budget of a run.
        device_class: Where the runs take place.
        share: Of all device time, what fresh runs may take at most; 0 puts nobody forward.
    """

    def __init__(
        self,
        *,
        store: Store,
        baseline: str,
        budget: Budget,
        device_class: str,
        share: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._baseline = baseline
        self._budget = budget
        self._device_class = device_class
        self._share = share
        self._clock = clock

    def queue_next(self, belief: Callable[[], Posterior]) -> list[Trial]:
        """Queue the fresh runs that are wanted now: of a new nominee, or of one cut off."""
        nominee = self._nominee() or self._nominated(belief)
        if nominee is None:
            return []
        label, variant = nominee
        known = len(self._runs(label, variant))
        return [
            self._queue(variant, f"{label}:{number}") for number in range(known + 1, FRESH_RUNS + 1)
        ]

    def settle(self, posterior: Posterior) -> Publication | None:
        """What came of the nominee once all its runs have ended; the claim is closed."""
        nominee = self._nominee()
        if nominee is None:
            return None
        label, variant = nominee
        runs = self._runs(label, variant)
        if len(runs) < FRESH_RUNS or not all(trial.status.is_final for trial in runs):
            return None
        before = self._store.published()
        own = _scores(runs)
        step = self._gain(own, self._fresh_scores(before), posterior)
        publication = Publication(
            label=label,
            variant=variant,
            before=before.variant if before is not None else self._baseline,
            is_published=step is not None and step.p_better >= PUBLISHED_P,
            step=step,
            gain=self._gain(own, self._fresh_scores(None), posterior),
            trials=tuple(trial.id for trial in runs),
            created_at=self._clock(),
        )
        self._store.add_publication(publication)
        return publication

    def _nominee(self) -> tuple[str, str] | None:
        """Label and commit of who is put forward; None if nobody is, or was banned since."""
        fact = self._store.fact(NOMINEE)
        if not isinstance(fact, dict):
            return None
        label, variant = str(fact["label"]), str(fact["variant"])
        is_settled = any(each.label == label for each in self._store.publications())
        return None if is_settled or variant in self._store.barred() else (label, variant)

    def _nominated(self, belief: Callable[[], Posterior]) -> tuple[str, str] | None:
        """A new nominee, if there is device time for one; it is stored before any run of it."""
        if not self._has_time():
            return None
        publications, before = self._store.publications(), self._store.published()
        reference = before.variant if before is not None else self._baseline
        without = {self._baseline, *self._store.barred(), *_decided(publications)}
        candidates = [v.sha for v in self._store.variants() if v.sha not in without]
        variant = nominate(belief(), candidates, reference)
        if variant is None:
            return None
        label = f"p{len(publications) + 1:03d}"
        self._store.set_fact(NOMINEE, {"label": label, "variant": variant})
        return label, variant

    def _has_time(self) -> bool:
        """True if the runs of one more nominee keep to their share of the device time."""
        if not self._share or not self._fresh_scores(None):
            return False
        ended = [t for t in self._store.trials() if t.outcome is not None]
        search = [t for t in ended if t.purpose is not Purpose.VERDICT]
        whole = [_seconds(t) for t in search if t.status is TrialStatus.COMPLETE]
        if not whole:
            return False
        fresh = sum(_seconds(t) for t in search if t.purpose is Purpose.PUBLICATION)
        wanted = fresh + FRESH_RUNS * sum(whole) / len(whole)
        return wanted <= self._share * sum(map(_seconds, search))

    def _fresh_scores(self, published: Publication | None) -> list[float]:
        """Of a published champion's runs; of the baseline's repeats without one."""
        if published is None:
            return _scores(self._store.trials(purpose=Purpose.BASELINE, variant=self._baseline))
        return _scores(self._runs(published.label, published.variant))

    def _gain(
        self, own: Sequence[float], others: Sequence[float], posterior: Posterior
    ) -> FreshGain | None:
        # A nominee of which a run gave no score is none that can be relied on.
        if len(own) < FRESH_RUNS or not others:
            return None
        return fresh_gain(own, others, sigma=posterior.sigma, df=posterior.sigma_df)

    def _runs(self, label: str, variant: str) -> list[Trial]:
        return [
            trial
            for trial in self._store.trials(purpose=Purpose.PUBLICATION, variant=variant)
            if trial.pair is not None and trial.pair.startswith(f"{label}:")
        ]

    def _queue(self, variant: str, label: str) -> Trial:
        conditions = Conditions(
            budget=self._budget,
            rng_seed=trial_seed(self._store.run().rng_seed, label),
            device_class=self._device_class,
        )
        return self._store.queue_trial(
            variant,
            purpose=Purpose.PUBLICATION,
            conditions=conditions,
            pair=label,
            at=self._clock(),
        )


def _decided(publications: Sequence[Publication]) -> set[str]:
    """Who is not put forward again: who was compared, or twice could not be."""
    counts = Counter(each.variant for each in publications)
    return {
        each.variant
        for each in publications
        if each.step is not None or counts[each.variant] >= ATTEMPTS
    }


def _scores(trials: Sequence[Trial]) -> list[float]:
    return [
        trial.outcome.val_bpb
        for trial in trials
        if trial.status is TrialStatus.COMPLETE
        and trial.outcome is not None
        and trial.outcome.val_bpb is not None
    ]


def _seconds(trial: Trial) -> float:
    return trial.outcome.total_seconds if trial.outcome is not None else 0.0
