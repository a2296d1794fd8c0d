"""Whether a run is hopeless at its snapshot (pure).

A run stops when it is improbable that its variant turns out better than its fitter parent. One in
ten of those runs on, so that the rule's own error stays known; such a run stands for ten.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.stats import rankdata

from evolution.noise import Posterior, SnapshotPair, VariantNode
from population import Snapshot

MIN_PAIRS = 3  # full runs with a snapshot, before its offset counts as known
MIN_RANKED = 8  # variants with both readings, before their rank correlation is believed
MIN_CORRELATION = 0.5


@dataclass(frozen=True, slots=True)
class StopDecision:
    """What to do with a run at its snapshot.

    Attributes:
        stop: True to end the run now.
        p_better: Probability that it would beat its fitter parent; None while it is not known.
        exempt: True if it should have stopped, and runs on to test the rule.
        reason: One line, for people.
    """

    stop: bool
    p_better: float | None
    exempt: bool
    reason: str


def decide(
    posterior: Posterior,
    *,
    variant: str,
    parents: Sequence[str],
    snapshot: Snapshot,
    rng: Generator,
    threshold: float = 0.10,
    exempt_share: float = 0.10,
    exempt_trials: Collection[int] = (),
) -> StopDecision:
    """Stop the run of ``variant``, or let it go on.

    Args:
        posterior: Fitted with the snapshots of this fraction.
        variant: Commit of what runs; it need not be among those fitted.
        parents: Its parents: the fitter one is the rival.
        snapshot: What was read.
        rng: Draws the exempt ones; asked only when the run would stop.
        threshold: Stop below this probability of being better.
        exempt_share: Of the would-be stops, this part runs on.
        exempt_trials: Earlier trials that ran on so; each counts ``1 / exempt_share`` times in the
            rank correlation, for those that were stopped and have no score.
    """
    reason = reason_to_wait(posterior, exempt_share=exempt_share, exempt_trials=exempt_trials)
    rivals = [sha for sha in parents if posterior.is_scored(sha)]
    if reason is None and (not rivals or not all(sha in posterior for sha in parents)):
        reason = "nothing is known of its parents yet"
    if reason is not None:
        return StopDecision(False, None, False, reason)
    rival = min(rivals, key=posterior.mean)
    node = VariantNode(variant, tuple(parents))
    p_better = posterior.predict_final(node, snapshot, rival=rival).p_better
    chance = f"P(better than its parent) = {p_better:.3f}"
    if p_better >= threshold:
        return StopDecision(False, p_better, False, f"{chance}, at least {threshold:g}")
    if rng.random() < exempt_share:
        return StopDecision(False, p_better, True, f"{chance}, runs on to test the rule")
    return StopDecision(True, p_better, False, f"{chance}, below {threshold:g}")


def reason_to_wait(
    posterior: Posterior, *, exempt_share: float = 0.10, exempt_trials: Collection[int] = ()
) -> str | None:
    """Why no run may be stopped yet, or at all; None if the rule is in force."""
    pairs = posterior.snapshot_pairs
    if len(pairs) < MIN_PAIRS:
        return f"{len(pairs)} full runs with a snapshot so far, {MIN_PAIRS} are needed"
    weight = 1.0 / max(exempt_share, 0.01)
    correlation = rank_correlation(pairs, dict.fromkeys(exempt_trials, weight))
    if correlation is not None and correlation < MIN_CORRELATION:
        return (
            f"snapshots and scores agree too little: rank correlation {correlation:.2f}, "
            f"{MIN_CORRELATION:g} is needed"
        )
    return None


def rank_correlation(
    pairs: Sequence[SnapshotPair], weights: Mapping[int, float] | None = None
) -> float | None:
    """Weighted rank correlation of snapshot and score, one point a variant.

    Args:
        pairs: Runs with both readings. Repeats of one variant are averaged: they differ by chance.
        weights: By trial; 1 where none is given.

    Returns:
        None below `MIN_RANKED` variants, or if all are alike.
    """
    points: dict[str, list[tuple[float, float, float]]] = {}
    for pair in pairs:
        weight = (weights or {}).get(pair.trial_id, 1.0)
        points.setdefault(pair.variant, []).append((pair.snapshot, pair.final, weight))
    if len(points) < MIN_RANKED:
        return None
    snapshots = rankdata([np.mean([s for s, _, _ in runs]) for runs in points.values()])
    finals = rankdata([np.mean([f for _, f, _ in runs]) for runs in points.values()])
    weight_of = np.array([max(w for _, _, w in runs) for runs in points.values()])
    covariance = np.cov(snapshots, finals, aweights=weight_of, ddof=0)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / spread if spread > 0 else None
