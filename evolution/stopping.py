"""Whether a run is hopeless at its snapshot (pure).

A run goes on where the rest of it promises more improvement for its time than a new trial does.
What new trials promise is read off the snapshots of the run so far: of all thresholds, the one
that would have bought most expected improvement for the time of all these trials is in force. It is
the stopping rule of a renewal process (the marginal value theorem, Charnov 1976), without a number
to set: it stops few runs where snapshots say little or good edits are frequent and large.

One in ten of those that would stop runs on, so that the rule's own error stays known; such a run
stands for ten.
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
MIN_JUDGED = 8  # snapshots, before what trials promise is read off them
LATEST = 200  # snapshots that tell it: what promised much once does so no more


@dataclass(frozen=True, slots=True)
class Costs:
    """What trials cost, in training budgets.

    Attributes:
        until: For one reading at a snapshot: set-up, the training up to there, and its share of
            trials that crashed before.
        rest: From there to the end.
    """

    until: float
    rest: float


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier trials tell.

    Attributes:
        costs: Of trials.
        improvements: Expected ones at the snapshots of earlier trials, oldest first, in bpb.
        exempt_trials: Those that should have been stopped and ran on; each counts
            ``1 / exempt_share`` times in the rank correlation, for those that have no score.
    """

    costs: Costs
    improvements: Sequence[float] = ()
    exempt_trials: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class StopDecision:
    """What to do with a run at its snapshot.

    Attributes:
        stop: True to end the run now.
        p_better: Probability that it would beat its fitter parent; None while it is not known.
        improvement: What it is expected to gain over it, in bpb, a loss counting as nothing;
            None likewise.
        exempt: True if it should have stopped, and runs on to test the rule.
        reason: One line, for people.
    """

    stop: bool
    p_better: float | None
    improvement: float | None
    exempt: bool
    reason: str


def decide(
    posterior: Posterior,
    *,
    variant: str,
    parents: Sequence[str],
    snapshot: Snapshot,
    rng: Generator,
    earlier: Earlier,
    threshold: float = 0.15,
    exempt_share: float = 0.10,
) -> StopDecision:
    """Stop the run of ``variant``, or let it go on.

    Args:
        posterior: Fitted with the snapshots of this fraction.
        variant: Commit of what runs; it need not be among those fitted.
        parents: Its parents: the fitter one is the rival.
        snapshot: What was read.
        rng: Draws the exempt ones; asked only when the run would stop.
        earlier: What earlier trials tell.
        threshold: While fewer than `MIN_JUDGED` improvements are known, stop below this
            probability of being better.
        exempt_share: Of the would-be stops, this part runs on.
    """
    reason = reason_to_wait(
        posterior, exempt_share=exempt_share, exempt_trials=earlier.exempt_trials
    )
    rivals = [sha for sha in parents if posterior.is_scored(sha)]
    if reason is None and (not rivals or not all(sha in posterior for sha in parents)):
        reason = "nothing is known of its parents yet"
    if reason is not None:
        return StopDecision(False, None, None, False, reason)
    rival = min(rivals, key=posterior.mean)
    found = posterior.predict_final(VariantNode(variant, tuple(parents)), snapshot, rival=rival)
    p_better, gain = found.p_better, found.improvement
    if len(earlier.improvements) < MIN_JUDGED:
        is_hopeful = p_better >= threshold
        least = f"{'at least' if is_hopeful else 'below'} {threshold:g}"
        reason = f"P(better than its parent) = {p_better:.3f}, {least}"
    else:
        worth = least_improvement([*earlier.improvements[-LATEST:], gain], earlier.costs)
        is_hopeful = gain >= worth
        reason = (
            f"expected improvement over its parent {gain / posterior.sigma:.2f} σ, "
            f"{worth / posterior.sigma:.2f} σ is worth the rest of its budget"
        )
    if is_hopeful:
        return StopDecision(False, p_better, gain, False, reason)
    if rng.random() < exempt_share:
        return StopDecision(False, p_better, gain, True, f"{reason}; runs on to test the rule")
    return StopDecision(True, p_better, gain, False, reason)


def least_improvement(judged: Sequence[float], costs: Costs) -> float:
    """The expected improvement from which on a run should go on.

    Of all thresholds on ``judged``, the one with the most improvement for the time of all those
    trials, when every one costs ``until`` and those that go on the ``rest`` as well.
    """
    ordered = np.sort(np.asarray(judged, dtype=np.float64))[::-1]
    count = np.arange(1, len(ordered) + 1)
    rates = np.cumsum(ordered) / (len(ordered) * costs.until + count * costs.rest)
    return float(ordered[int(np.argmax(rates))])


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
