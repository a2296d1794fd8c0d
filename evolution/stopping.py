"""Whether a run is hopeless at its snapshot (pure).

A run goes on where its rest is worth more for the time than a new trial. What new trials are worth
is read off the snapshots of the run so far: of all thresholds, the one that would have bought
most worth for the time of all these trials is in force. It is the stopping rule of a renewal
process (the marginal value theorem, Charnov 1976), without a number to set: it stops few runs where
snapshots say little or good edits are frequent and large. What a rest is worth: `Prediction.worth`.

One in ten of those that would stop runs on, so that the rule's own error stays known; such a run
stands for ten.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.stats import rankdata

from evolution.noise import Posterior, SnapshotPair, VariantNode
from population import Purpose, Snapshot, Trial, TrialStatus
from population.trial import FAILED

MIN_PAIRS = 3  # full runs with a snapshot, before its offset counts as known
MIN_RANKED = 8  # variants with both readings, before their rank correlation is believed
MIN_CORRELATION = 0.5
MIN_JUDGED = 8  # snapshots, before what trials are worth is read off them
LATEST = 200  # snapshots that tell it: what was worth much once is so no more
MIN_STOPPED = 3  # trials that were stopped, before their cost is known


@dataclass(frozen=True, slots=True)
class Costs:
    """What trials cost, in seconds.

    Attributes:
        until: Of one that is stopped at its snapshot, with its share of those that fail before.
        rest: What one that goes on costs beyond that, its scoring included.
    """

    until: float
    rest: float


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier trials tell.

    Attributes:
        costs: Of trials.
        worths: Of their rests at their snapshots, oldest first, in bpb.
        exempt_trials: Those that should have been stopped and ran on; each counts
            ``1 / exempt_share`` times in the rank correlation, for those that have no score.
    """

    costs: Costs
    worths: Sequence[float] = ()
    exempt_trials: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class StopDecision:
    """What to do with a run at its snapshot.

    Attributes:
        stop: True to end the run now.
        p_better: Probability that it would beat its fitter parent; None while it is not known.
        worth: Of its rest (`Prediction.worth`), in bpb; None likewise.
        exempt: True if it should have stopped, and runs on to test the rule.
        reason: One line, for people.
    """

    stop: bool
    p_better: float | None
    worth: float | None
    exempt: bool
    reason: str


def decide(
    posterior: Posterior,
    node: VariantNode,
    snapshot: Snapshot,
    *,
    rng: Generator,
    earlier: Earlier,
    threshold: float = 0.15,
    exempt_share: float = 0.10,
) -> StopDecision:
    """Stop a run, or let it go on.

    Args:
        posterior: Fitted with the snapshots of this fraction.
        node: What runs; it need not be among those fitted. The fitter of its parents is the rival.
        snapshot: What was read.
        rng: Draws the exempt ones; asked only when the run would stop.
        earlier: What earlier trials tell.
        threshold: While fewer than `MIN_JUDGED` worths are known, stop below this probability of
            being better.
        exempt_share: Of the would-be stops, this part runs on.
    """
    reason = reason_to_wait(
        posterior, exempt_share=exempt_share, exempt_trials=earlier.exempt_trials
    )
    rivals = [sha for sha in node.parents if posterior.is_scored(sha)]
    if reason is None and (not rivals or not all(sha in posterior for sha in node.relatives)):
        reason = "nothing is known of its parents yet"
    if reason is not None:
        return StopDecision(False, None, None, False, reason)
    rival = min(rivals, key=posterior.mean)
    found = posterior.predict_final(node, snapshot, rival=rival)
    p_better, worth = found.p_better, found.worth
    if len(earlier.worths) < MIN_JUDGED:
        is_hopeful = p_better >= threshold
        least = f"{'at least' if is_hopeful else 'below'} {threshold:g}"
        reason = f"P(better than its parent) = {p_better:.3f}, {least}"
    else:
        needed = least_worth([*earlier.worths[-LATEST:], worth], earlier.costs)
        is_hopeful = worth >= needed
        reason = (
            f"its rest is worth {worth / posterior.sigma:.2f} σ over its parent, and a new trial "
            f"more for the time below {needed / posterior.sigma:.2f} σ"
        )
    if is_hopeful:
        return StopDecision(False, p_better, worth, False, reason)
    if rng.random() < exempt_share:
        return StopDecision(False, p_better, worth, True, f"{reason}; runs on to test the rule")
    return StopDecision(True, p_better, worth, False, reason)


def least_worth(worths: Sequence[float], costs: Costs) -> float:
    """From which worth of its rest on a run should go on.

    Of all thresholds on ``worths``, the one with the most worth for the time of all those trials,
    when every one costs ``until`` and those that go on the ``rest`` as well.
    """
    ordered = np.sort(np.asarray(worths, dtype=np.float64))[::-1]
    count = np.arange(1, len(ordered) + 1)
    rates = np.cumsum(ordered) / (len(ordered) * costs.until + count * costs.rest)
    return float(ordered[int(np.argmax(rates))])


def costs_of(trials: Iterable[Trial], fraction: float) -> Costs:
    """What offspring cost so far, in medians; in the beginning, what the share of a budget says."""
    screens = [t for t in trials if t.purpose is Purpose.SCREEN and t.outcome is not None]
    stopped = _seconds(screens, TrialStatus.STOPPED_EARLY)
    whole = _seconds(screens, TrialStatus.COMPLETE)
    if not whole:
        return Costs(fraction, 1 - fraction)
    whole_seconds = float(np.median(whole))
    until = fraction * whole_seconds
    if len(stopped) >= MIN_STOPPED:
        until = min(float(np.median(stopped)), whole_seconds)
    lost = sum(sum(_seconds(screens, status)) for status in FAILED) / (len(whole) + len(stopped))
    return Costs(until + lost, whole_seconds - until)


def _seconds(trials: Iterable[Trial], status: TrialStatus) -> list[float]:
    ended = (trial.outcome for trial in trials if trial.status is status)
    return [outcome.total_seconds for outcome in ended if outcome is not None]


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
