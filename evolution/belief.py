"""Belief: the store's trials as readings, and the posterior that follows from them.

The one place that says which trials count for selection: every finished run that is not a verdict
run, and the snapshots of those. Verdict runs stay out, so that a verdict is fresh evidence.
"""

import itertools
import math
from collections.abc import Sequence

from evolution.noise import Posterior, Reading, Scales, VariantNode, fit
from population import Purpose, Store, Trial

#: Seed noise that is expected of bits per byte; of another metric nothing is.
BPB_SIGMA = 0.003


class Believer:
    """Believes of a run's variants what its trials say, again and again as they end.

    The scales are fitted when an eighth more trials have ended than at the fit before, to those
    that had ended by then: what is believed follows from the store alone, whenever it is asked.

    Args:
        store: Of the run.
        stop_fraction: Share of the budget at which snapshots are read for early stopping.
    """

    def __init__(self, store: Store, *, stop_fraction: float) -> None:
        self._store, self._fraction = store, stop_fraction
        self._fitted: tuple[int, Scales] | None = None

    def believe(self) -> Posterior:
        """What the trials say now."""
        read = {
            trial.id: readings_of(trial, self._fraction)
            for trial in sorted(self._store.trials(), key=_end)
            if trial.purpose is not Purpose.VERDICT
        }
        ended = [readings for readings in read.values() if readings]
        variants = self._store.variants()
        nodes = [VariantNode(v.sha, v.parents, v.operator) for v in variants]
        wanted = refit_at(len(ended))
        if self._fitted is None or self._fitted[0] != wanted:
            first = list(itertools.chain.from_iterable(ended[:wanted]))
            self._fitted = wanted, self._fit(_of(first, nodes), first, None).scales
        return self._fit(nodes, list(itertools.chain.from_iterable(ended)), self._fitted[1])

    def _fit(
        self, nodes: Sequence[VariantNode], readings: Sequence[Reading], scales: Scales | None
    ) -> Posterior:
        prior_sigma = BPB_SIGMA if self._store.metric().unit == "bpb" else None
        return fit(nodes, readings, fraction=self._fraction, prior_sigma=prior_sigma, scales=scales)


def believe(store: Store, *, stop_fraction: float) -> Posterior:
    """What the run's trials say of every variant, once."""
    return Believer(store, stop_fraction=stop_fraction).believe()


def refit_at(count: int) -> int:
    """Of ``count`` trials, how many the scales are fitted to: all of 8, then an eighth more."""
    fitted = 0
    while (following := fitted + 1 + fitted // 8) <= count:
        fitted = following
    return fitted


def _end(trial: Trial) -> tuple[float, int]:
    return (math.inf if trial.finished_at is None else trial.finished_at, trial.id)


def _of(readings: Sequence[Reading], nodes: Sequence[VariantNode]) -> list[VariantNode]:
    """The variants that were read, and what they descend from."""
    parents = {node.sha: node.parents for node in nodes}
    wanted: set[str] = set()
    waiting = [reading.variant for reading in readings]
    while waiting:
        sha = waiting.pop()
        if sha not in wanted:
            wanted.add(sha)
            waiting += parents[sha]
    return [node for node in nodes if node.sha in wanted]


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
