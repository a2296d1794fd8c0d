"""Detectable: the smallest true gain that the search would claim and confirm (pure).

Gains are in units of σ, the seed noise of one run. Two things must happen, on separate runs, so
that their probabilities multiply:

- *Nomination.* A variant's mean of k scores lies below the baseline's of r by so much that
  P(better) is at least .95: a noncentral t with shift gain / √(1/k + 1/r).
- *Confirmation.* The mean of n fresh pairs has an interval above zero: a noncentral t with shift
  gain · √(n/2), and as many degrees of freedom as `racing.judge_rung` counts: those of the pairs,
  and at most `HOME_DF` (`AWAY_DF` at another depth) of the run's own σ.

Left out: what lineage and operator predict of a variant beforehand, and the chance that the first
looks confirm although the last would not. The tests hold both formulas against simulations of the
real procedures: within .1, nearly always on the cautious side. Nothing is said of how likely it is
that the search *finds* such a gain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from evolution.racing import AWAY_DF, HOME_DF, look_share

#: A true gain of the detectable size is confirmed with this probability.
POWER = 0.8
#: From this P(better) on, the posterior nominates; see `racing.nominate`.
THRESHOLD = 0.95
#: Scores that a contender gets at most before it is nominated or given up; see `racing.contender`.
SCORES = 3
#: Degrees of freedom of the expectation of σ; see `readings.pooled_noise`.
_PRIOR_DF = 3.0
_FAR = 1e3


@dataclass(frozen=True, slots=True)
class DepthGain:
    """What is detectable at one depth.

    Attributes:
        depth: Factor on the genome's own.
        pairs: Pairs of runs at most.
        gain: Smallest true gain, in σ, that is confirmed with `POWER`.
    """

    depth: float
    pairs: int
    gain: float


def nomination_power(gain: float, *, repeats: int, scores: int = SCORES) -> float:
    """Probability that a variant is nominated.

    Args:
        gain: True gain over the baseline, in σ.
        repeats: Scores of the baseline.
        scores: Of the variant.
    """
    df = _PRIOR_DF + repeats - 1 + scores - 1
    shift = gain / (1 / scores + 1 / repeats) ** 0.5
    return _beyond(float(student.ppf(THRESHOLD, df)), df, shift)


def confirmation_power(
    gain: float, *, pairs: int, max_pairs: int, prior_df: float = HOME_DF
) -> float:
    """Probability that fresh pairs confirm a champion.

    Args:
        gain: True gain over the baseline, in σ.
        pairs: Pairs at the first look.
        max_pairs: Pairs at the last look.
        prior_df: Degrees of freedom that the run's σ adds to the pairs'.
    """
    df = prior_df + max_pairs - 1
    critical = float(student.isf(look_share(pairs, max_pairs), df))
    return _beyond(critical, df, gain * (max_pairs / 2) ** 0.5)


def detectable_gains(
    *, pairs: int, max_pairs: int, depths: Sequence[float], repeats: int
) -> list[DepthGain]:
    """The smallest true gain by depth, in σ.

    At home depth a gain must be nominated and confirmed. Deeper, the champion is already there: its
    pairs must say so, and σ is taken to be that of the home depth, which nobody measured.

    Args:
        pairs: As the settings of the verdict have them.
        max_pairs: Likewise; only home depth gets them.
        depths: Factors on the genome's depth, home first.
        repeats: Of the baseline.
    """

    def at_home(gain: float) -> float:
        nominated = nomination_power(gain, repeats=repeats)
        return nominated * confirmation_power(gain, pairs=pairs, max_pairs=max_pairs)

    def deeper(gain: float) -> float:
        return confirmation_power(gain, pairs=pairs, max_pairs=pairs, prior_df=AWAY_DF)

    return [
        DepthGain(depth, max_pairs, _smallest(at_home))
        if depth == 1.0
        else DepthGain(depth, pairs, _smallest(deeper))
        for depth in depths
    ]


def _smallest(power: Callable[[float], float]) -> float:
    """Where a power that rises with the gain reaches `POWER`."""
    return float(brentq(lambda gain: power(gain) - POWER, 0.0, _FAR, xtol=1e-6))


def _beyond(critical: float, df: float, shift: float) -> float:
    """P(t > critical) of a noncentral t; 1 where the shift leaves no doubt."""
    if shift > critical + 40:
        return 1.0
    return float(nct.sf(critical, df, shift))
