"""Noise of a metric of any scale: what repeats tell, a deterministic script, diverged runs."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolution.noise import Posterior, Reading, VariantNode, fit
from evolution.racing import judge_rung, nominate
from evolution.readings import own_noise
from population import Ruling


def a_world(*, size: float, sigma: float, level: float, disaster: float | None = None) -> Posterior:
    """Ten children of a baseline, the third better by 10 % of the size; all of them read once."""
    chance = random.Random(1)
    truth = {"b": level} | {
        f"v{n}": level + size * (0.02 * n if n != 3 else -0.1) for n in range(10)
    }
    nodes = [VariantNode("b", (), "baseline")]
    nodes += [VariantNode(name, ("b",), "literal") for name in truth if name != "b"]
    names = ["b", "b", *truth]
    readings = [
        Reading(name, truth[name] + chance.gauss(0, 1) * sigma * size, number)
        for number, name in enumerate(names)
    ]
    if disaster is not None:
        readings[-1] = Reading(names[-1], disaster, len(names) - 1)
    return fit(nodes, readings, prior_sigma=None)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("sigma", [0.0, 0.01])
@pytest.mark.parametrize("disaster", [None, 1e30, 1e300])
def test_the_best_is_nominated_whatever_the_scale(
    size: float, sigma: float, disaster: float | None
):
    posterior = a_world(size=size, sigma=sigma, level=size, disaster=disaster)
    names = [f"v{n}" for n in range(10)]
    assert nominate(posterior, names, "b") == "v3"
    assert posterior.mean("v3") == pytest.approx(0.9 * size, rel=0.05)


@pytest.mark.parametrize("level", [0.0, -0.8, 1e-17])
def test_a_level_near_zero_or_below_is_no_obstacle(level: float):
    posterior = a_world(size=1.0, sigma=0.0, level=level)
    assert nominate(posterior, [f"v{n}" for n in range(10)], "b") == "v3"


def test_a_deterministic_gain_is_confirmed_with_an_interval_next_to_nothing():
    posterior = a_world(size=1.0, sigma=0.0, level=1.0)
    rung = judge_rung(
        1.0,
        [(1.0, 0.9)] * 3,
        pooled_variance=posterior.sigma**2,
        pooled_df=posterior.sigma_df,
    )
    assert rung.ruling is Ruling.CONFIRMED
    assert rung.low is not None
    assert rung.high is not None
    assert 0 < rung.high - rung.low < 1e-4


def test_no_difference_between_deterministic_runs_is_no_gain():
    posterior = a_world(size=1.0, sigma=0.0, level=1.0)
    rung = judge_rung(
        1.0,
        [(1.0, 1.0)] * 3,
        pooled_variance=posterior.sigma**2,
        pooled_df=posterior.sigma_df,
    )
    assert rung.ruling is Ruling.NOT_CONFIRMED


@given(
    st.lists(st.lists(st.floats(-10, 10), max_size=5), max_size=5),
    st.floats(-10, 10),
    st.floats(1e-3, 1e3),
)
@example([[0.0, 0.0], [1.0]], 0.0, 0.5)
def test_noise_scales_with_the_metric(groups: list[list[float]], level: float, factor: float):
    scores = [score for group in groups for score in group]
    one = own_noise(groups, scores, level=level)
    scaled = [[factor * score for score in group] for group in groups]
    other = own_noise(scaled, [factor * score for score in scores], level=factor * level)
    assert one.sigma > 0
    if level or any(abs(score) > 1e-100 for score in scores):
        assert other.df == one.df or min(one.sigma, other.sigma / factor) < 1e-5
        if other.df == one.df:
            assert other.sigma == pytest.approx(factor * one.sigma, rel=1e-3, abs=1e-9)


def test_repeats_alone_tell_the_noise():
    noise = own_noise([[1.0, 1.2, 1.1], [5.0]], [1.0, 1.2, 1.1, 5.0], level=1.1)
    assert (noise.sigma, noise.df) == (pytest.approx(0.1), 2.0)


def test_one_diverged_repeat_says_nothing_of_the_noise():
    noise = own_noise([[1.0, 1.2, 1.1, 1e9]], [1.0, 1.2, 1.1, 1e9], level=1.1)
    assert noise.sigma == pytest.approx(0.1)
