"""Belief: the store's trials as readings, and the posterior that follows from them.

The one place that says which trials count for selection: every finished run that is not a verdict's
or a publication's, and the snapshots of those. Those stay out, so that they are fresh evidence.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from evolution.config import StoppingSettings
from evolution.noise import Posterior, Reading, Scales, VariantNode, fit
from population import Json, Store, Trial

#: Seed noise that is expected of bits per byte; of another metric nothing is.
BPB_SIGMA = 0.003
#: Fact of the store: the scales that were fitted last, and to how many trials or a few more.
SCALES = "scales"


class Believer:
    """Believes of a run's variants what its trials say, again and again as they end.

    The scales are fitted when an eighth more trials have ended than at the fit before. They are
    kept in the store: what is believed follows from it alone, in a resumed run and for readers.

    Args:
        store: Of the run.
        stop_fraction: Share of the budget at which snapshots are read for early stopping.
        keeps: True to keep fitted scales: the engine's business.
    """

    def __init__(self, store: Store, *, stop_fraction: float, keeps: bool = False) -> None:
        self._store, self._fraction, self._keeps = store, stop_fraction, keeps

    def believe(self) -> Posterior:
        """What the trials say now."""
        read = [
            readings_of(trial, self._fraction)
            for trial in self._store.trials()
            if trial.purpose.informs
        ]
        wanted = refit_at(sum(map(bool, read)))
        readings = list(itertools.chain.from_iterable(read))
        scales = self._kept(wanted)
        if scales is None:
            scales = self._fit(readings, None).scales
            if self._keeps:
                fitted: dict[str, Json] = dataclasses.asdict(scales)
                self._store.set_fact(SCALES, {"trials": wanted, "scales": fitted})
        return self._fit(readings, scales)

    def _kept(self, wanted: int) -> Scales | None:
        """The scales in the store, if they were fitted to so many trials."""
        fact = self._store.fact(SCALES)
        if not isinstance(fact, Mapping) or fact["trials"] != wanted:
            return None
        sizes = fact["scales"]
        assert isinstance(sizes, Mapping)
        return Scales(**{name: float(str(size)) for name, size in sizes.items()})

    def _fit(self, readings: Sequence[Reading], scales: Scales | None) -> Posterior:
        return fit(
            [VariantNode.of(variant) for variant in self._store.variants()],
            readings,
            fraction=self._fraction,
            prior_sigma=BPB_SIGMA if self._store.metric().unit == "bpb" else None,
            scales=scales,
        )


def believe(store: Store) -> Posterior:
    """What a run's trials say of every variant, once, as its own settings have it."""
    return Believer(store, stop_fraction=_stop_fraction(store.run().settings)).believe()


def _stop_fraction(settings: Mapping[str, Json]) -> float:
    stopping = settings.get("stopping")
    fraction = stopping.get("fraction") if isinstance(stopping, Mapping) else None
    return float(fraction) if isinstance(fraction, int | float) else StoppingSettings().fraction


def refit_at(count: int) -> int:
    """Of ``count`` trials, at how many the scales are fitted: each of 8, then an eighth more."""
    fitted = 0
    while (following := fitted + 1 + fitted // 8) <= count:
        fitted = following
    return fitted


def readings_of(trial: Trial, stop_fraction: float) -> list[Reading]:
    """Score and snapshot of one finished trial at home depth; none while it runs."""
    if trial.outcome is None or trial.conditions.depth_scale != 1.0:
        return []
    device_class = trial.conditions.device_class
    readings = [
        Reading(trial.variant, snapshot.bpb, trial.id, snapshot.fraction, device_class)
        for snapshot in trial.outcome.snapshots
        if snapshot.fraction == stop_fraction
    ]
    if trial.outcome.val_bpb is not None:
        readings.append(Reading(trial.variant, trial.outcome.val_bpb, trial.id, 1.0, device_class))
    return readings
