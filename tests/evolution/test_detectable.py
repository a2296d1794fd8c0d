"""What gain can be detected: the formulas against simulations of the real procedures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.detectable import (
    POWER,
    confirmation_power,
    detectable_gains,
    nomination_power,
)
from evolution.noise import Reading, VariantNode, fit
from evolution.racing import AWAY_DF, HOME_DF, judge_rung, should_continue
from population import Ruling

SIGMA = 0.006
SIGMA_DF = 6.0
DEFAULTS = {"pairs": 3, "max_pairs": 5, "depths": (1.0, 1.5), "repeats": 3}


def is_confirmed(rng, gain, *, pairs, max_pairs, depth=1.0):
    """One verdict as `Confirmation` conducts it; σ is known with some degrees of freedom."""
    baseline = rng.normal(size=max_pairs)
    champion = rng.normal(size=max_pairs) - gain
    variance = rng.chisquare(SIGMA_DF) / SIGMA_DF
    count = pairs
    while True:
        rung = judge_rung(
            depth,
            list(zip(baseline[:count], champion[:count], strict=True)),
            pooled_variance=variance,
            pooled_df=SIGMA_DF,
            min_pairs=pairs,
            max_pairs=max_pairs,
        )
        if depth == 1.0 and should_continue(
            rung, pair_count=count, max_pairs=max_pairs, min_pairs=pairs
        ):
            count += 1
            continue
        return rung.ruling is Ruling.CONFIRMED


@pytest.mark.parametrize(("pairs", "max_pairs"), [(3, 5), (5, 8), (2, 2)])
@pytest.mark.parametrize("gain", [1.5, 2.5])
def test_the_power_of_a_verdict_is_that_of_the_simulated_procedure(pairs, max_pairs, gain):
    rng = np.random.default_rng(7)
    count = 500
    confirmed = sum(is_confirmed(rng, gain, pairs=pairs, max_pairs=max_pairs) for _ in range(count))
    power = confirmation_power(gain, pairs=pairs, max_pairs=max_pairs)
    assert confirmed / count == pytest.approx(power, abs=0.1 + 2 * (0.25 / count) ** 0.5)


def test_the_power_of_a_deeper_rung_is_that_of_the_simulated_procedure():
    rng = np.random.default_rng(8)
    count = 500
    confirmed = sum(is_confirmed(rng, 2.5, pairs=3, max_pairs=3, depth=1.5) for _ in range(count))
    power = confirmation_power(2.5, pairs=3, max_pairs=3, prior_df=AWAY_DF)
    assert confirmed / count == pytest.approx(power, abs=0.1)


@pytest.mark.parametrize(("gain", "scores"), [(2.0, 3), (3.0, 3), (3.0, 1)])
def test_the_power_of_a_nomination_is_that_of_the_posterior(gain, scores):
    """A variant of this gain among ten others that are no better than the baseline."""
    rng, count, nominated = np.random.default_rng(9), 40, 0
    nodes = [VariantNode("b"), *(VariantNode(f"v{i}", ("b",)) for i in range(11))]
    for _ in range(count):
        readings = [Reading("b", 1.55 + SIGMA * rng.normal(), i) for i in range(3)]
        for i in range(1, 11):
            harm = abs(rng.normal()) * SIGMA
            readings.append(Reading(f"v{i}", 1.55 + harm + SIGMA * rng.normal(), 100 + i))
        for j in range(scores):
            readings.append(Reading("v0", 1.55 - gain * SIGMA + SIGMA * rng.normal(), 200 + j))
        nominated += fit(nodes, readings).p_better("v0", "b") >= 0.95
    power = nomination_power(gain, repeats=3, scores=scores)
    assert nominated / count == pytest.approx(power, abs=0.1 + 2 * (0.25 / count) ** 0.5)


def test_a_gain_of_the_detectable_size_is_claimed_and_confirmed_four_times_in_five():
    home, deeper = detectable_gains(**DEFAULTS)
    both = nomination_power(home.gain, repeats=3) * confirmation_power(
        home.gain, pairs=3, max_pairs=5, prior_df=HOME_DF
    )
    assert both == pytest.approx(POWER, abs=1e-4)
    assert (home.depth, home.pairs, deeper.depth, deeper.pairs) == (1.0, 5, 1.5, 3)
    assert 2.0 < home.gain < 3.5


@settings(max_examples=40)
@given(
    pairs=st.integers(2, 30),
    more=st.integers(0, 30),
    repeats=st.integers(2, 50),
)
def test_further_pairs_and_repeats_never_make_it_worse(pairs, more, repeats):
    first = {"depths": (1.0, 1.5), "repeats": repeats}
    before = detectable_gains(pairs=pairs, max_pairs=pairs, **first)
    after = detectable_gains(pairs=pairs + more, max_pairs=pairs + more, **first)
    further = detectable_gains(pairs=pairs, max_pairs=pairs, depths=(1.0,), repeats=repeats + more)
    for small, large in zip(before, after, strict=True):
        assert large.gain <= small.gain + 1e-5
    assert further[0].gain <= before[0].gain + 1e-5


@given(st.floats(0, 900), st.floats(0, 50))
def test_a_larger_gain_is_never_less_likely_to_be_confirmed(gain, more):
    small = confirmation_power(gain, pairs=3, max_pairs=5)
    large = confirmation_power(gain + more, pairs=3, max_pairs=5)
    assert 0 <= small <= large + 1e-7 <= 1 + 1e-6
