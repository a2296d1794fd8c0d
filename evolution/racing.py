"""Nominate, then confirm: who claims a gain, who deserves a further run, what pairs say (pure)."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import t as student

from evolution.noise import Posterior
from population import FreshGain, Ruling, RungVerdict

ERROR_SHARE = 0.025  # a useless champion may be confirmed this often, one-sided: a 95 % interval
LOOK_PRICE = 0.3  # each further look at the pairs divides that by this much more; see `look_share`
HOME_DF = 4.0  # at most so many degrees of freedom are taken over from the run's σ
AWAY_DF = 2.0  # and at another depth, where σ was never measured
REPLICATE_SHARE = 0.1  # further runs of contenders, at most this share of the offspring
MIN_PAIRS = 2  # below, there is no variance to speak of


def nominate(
    posterior: Posterior,
    variants: Iterable[str],
    reference: str,
    *,
    threshold: float = 0.95,
) -> str | None:
    """The variant that claims a gain: the best by posterior mean among those that probably are.

    Better, that is, than the reference: the baseline, or the champion published last. The
    posterior has already shrunk each variant towards what its lineage and its operator predict,
    which is the remedy against picking the luckiest. A score is needed: a run that was stopped
    early claims nothing.
    """
    means = {
        sha: posterior.mean(sha)
        for sha in variants
        if sha != reference and posterior.full_count(sha) > 0
    }
    best_first = sorted(means, key=lambda sha: (means[sha], sha))
    better = (sha for sha in best_first if posterior.p_better(sha, reference) >= threshold)
    return next(better, None)


def contender(
    posterior: Posterior,
    variants: Iterable[str],
    reference: str,
    *,
    low: float = 0.6,
    high: float = 0.95,
    max_scores: int = 3,
) -> str | None:
    """The variant most worth a further run: promising, undecided, and not run often yet.

    Args:
        posterior: What is believed.
        variants: Candidates; leave out those that run already.
        reference: The baseline, or the champion published last.
        low: Below this probability of beating the reference, it is not worth it.
        high: From here on it is nominated anyway.
        max_scores: A variant with so many scores gets no more.
    """
    contenders = [
        sha
        for sha in variants
        if sha != reference
        and 0 < posterior.full_count(sha) < max_scores
        and low <= posterior.p_better(sha, reference) < high
    ]
    return min(contenders, key=lambda sha: (posterior.mean(sha), sha), default=None)


def fresh_gain(
    own: Sequence[float], others: Sequence[float], *, sigma: float, df: float
) -> FreshGain:
    """What scores of runs that selection never saw say of the difference of two variants.

    They are few, so the run's σ stands for their spread, with its own degrees of freedom.

    Args:
        own: Scores of the one, in bpb; at least one.
        others: Of the other; at least one.
        sigma: Seed noise of one run, from the posterior.
        df: Degrees of freedom behind it.
    """
    gain = float(np.mean(others) - np.mean(own))
    error = sigma * (1 / len(own) + 1 / len(others)) ** 0.5
    reach = float(student.isf(ERROR_SHARE, df)) * error
    return FreshGain(gain, gain - reach, gain + reach, float(student.cdf(gain / error, df)))


def judge_rung(
    depth_scale: float,
    pairs: Sequence[tuple[float | None, float | None]],
    *,
    pooled_variance: float,
    pooled_df: float,
    min_pairs: int = 3,
    max_pairs: int = 3,
) -> RungVerdict:
    """What the pairs of one depth say: gain, Student interval, ruling.

    The variance of a difference is unknown and the pairs are few, so the differences' own variance
    (n − 1 degrees of freedom) is pooled with 2σ² from the run, which counts for `HOME_DF` at most
    (`AWAY_DF` at another depth): σ may differ between genomes and depths, and pairing may help.

    A pair in which the champion alone gave no score counts against it: it takes away what the
    best pair gave, or two sd of a difference if that is more. Where the baseline gave none, the
    pair says nothing. With fewer than two scored pairs the rung is undecided, unless the champion
    failed twice: then it is not confirmed.

    Args:
        depth_scale: The rung.
        pairs: Scores of (baseline, champion); None without a score.
        pooled_variance: σ² of one run, from the posterior.
        pooled_df: Its degrees of freedom.
        min_pairs: Pairs at the first look.
        max_pairs: Pairs at the last look; if above ``min_pairs``, the interval is wider, so that
            it holds in 95 % of verdicts although one stops when it likes what it sees.
    """
    gains = [b - c for b, c in pairs if b is not None and c is not None]
    lost_count = sum(b is not None and c is None for b, c in pairs)
    if len(gains) < MIN_PAIRS:
        ruling = Ruling.UNDECIDED if lost_count < MIN_PAIRS else Ruling.NOT_CONFIRMED
        return RungVerdict(depth_scale, None, None, None, None, len(gains), ruling)
    loss = max(*map(abs, gains), 2 * (2 * pooled_variance) ** 0.5)
    charged = np.array(gains + [-loss] * lost_count)
    gain = float(charged.mean())
    prior_df = min(pooled_df, HOME_DF if depth_scale == 1.0 else AWAY_DF)
    df = prior_df + len(charged) - 1
    squares = prior_df * 2 * pooled_variance + float(((charged - gain) ** 2).sum())
    error = (squares / df / len(charged)) ** 0.5
    reach = float(student.isf(look_share(min_pairs, max_pairs), df)) * error
    low, high = gain - reach, gain + reach
    ruling = Ruling.CONFIRMED if low > 0 else Ruling.REVERSED if high < 0 else Ruling.NOT_CONFIRMED
    p_better = float(student.cdf(gain / error, df))
    return RungVerdict(depth_scale, gain, low, high, p_better, len(gains), ruling)


def look_share(min_pairs: int, max_pairs: int) -> float:
    """One-sided error of one look, so that all looks together keep to `ERROR_SHARE`.

    The divisor 1 + 0.3 per further look was fitted to a simulation of this very procedure (three
    pairs, then one by one while undecided and P > .8; σ known with 6 or 12 degrees of freedom):
    1.5–2.0 % false confirmations at 3 pairs, 1.7–2.2 % at up to 4, 6 or 10. If the differences
    vary twice as much as 2σ² says, 5 %.
    """
    return ERROR_SHARE / (1 + LOOK_PRICE * max(0, max_pairs - min_pairs))


def should_continue(
    rung: RungVerdict, *, pair_count: int, max_pairs: int, min_pairs: int = 3, hope: float = 0.8
) -> bool:
    """True if one more pair is worth it: the rung is undecided, but more pairs may confirm it.

    Args:
        rung: As judged on what has finished.
        pair_count: Pairs run so far, whatever they gave.
        max_pairs: Pairs to stop at.
        min_pairs: Pairs to run in any case.
        hope: With the interval still holding zero, go on above this probability of a gain.
    """
    if pair_count >= max_pairs:
        return False
    if pair_count < min_pairs or rung.ruling is Ruling.UNDECIDED:
        return True
    promising = rung.p_better is not None and rung.p_better > hope
    return rung.ruling is Ruling.NOT_CONFIRMED and promising
