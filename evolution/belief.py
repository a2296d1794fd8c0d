"""Belief: the store's trials as readings, and the posterior that follows from them.

The one place that says which trials count for selection: every finished run that is not a verdict
run, and the snapshots of those. Verdict runs stay out, so that a verdict is fresh evidence.
"""

from evolution.noise import Posterior, Reading, VariantNode, fit
from population import Purpose, Store, Trial

#: Seed noise that is expected of bits per byte; of another metric nothing is.
BPB_SIGMA = 0.003


def believe(store: Store, *, stop_fraction: float) -> Posterior:
    """What the run's trials say of every variant.

    Args:
        store: Of the run.
        stop_fraction: Share of the budget at which snapshots are read for early stopping.
    """
    nodes = [VariantNode(v.sha, v.parents, v.operator) for v in store.variants()]
    readings = [
        reading
        for trial in store.trials()
        if trial.purpose is not Purpose.VERDICT
        for reading in readings_of(trial, stop_fraction)
    ]
    prior_sigma = BPB_SIGMA if store.metric().unit == "bpb" else None
    return fit(nodes, readings, fraction=stop_fraction, prior_sigma=prior_sigma)


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
