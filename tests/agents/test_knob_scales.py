import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from agents import KnobEdit, KnobTrial
from agents.knob_moves import Surroundings, moved
from agents.knob_scales import NARROWEST, WIDEST, learned_scales
from population import knobs
from tests.agents.parents import TRAIN, a_context

SIGMA = 0.002
BEST = 0.04
USUAL = 0.4  # standard deviation of a rate's usual move, in natural logarithms


def searched(good_step, seed, turns=80):
    """The scale after a hill climb on a noisy quadratic: ``good_step`` costs 2 σ at the best."""
    curvature = 4 * SIGMA / (good_step * USUAL) ** 2
    rng, value, trials = default_rng(seed), BEST, []

    def loss(rate):
        return curvature / 2 * math.log(rate / BEST) ** 2

    for _ in range(turns):
        around = Surroundings({"LR": value}, {}, learned_scales(trials, {"LR": value}))
        new = moved("LR", around, rng)
        gain = loss(value) - loss(new) + float(rng.normal(0, SIGMA))
        trials.append(KnobTrial("LR", value, new, gain, SIGMA))
        value = new if gain > SIGMA else value
    return learned_scales(trials, {"LR": value})["LR"]


@pytest.mark.parametrize("good_step", [0.25, 0.5, 2.0, 3.5])
def test_the_scale_comes_near_the_good_step_from_too_large_and_too_small(good_step):
    """Ten searches each, which start at the usual step; by their geometric mean, widely bounded."""
    logarithms = [math.log(searched(good_step, seed)) for seed in range(10)]
    mean = math.exp(sum(logarithms) / len(logarithms))
    assert good_step / 2 < mean < good_step * 2


def turns(*gains, name="LR", size=1.5):
    return [KnobTrial(name, 1.0, size, gain, SIGMA) for gain in gains]


def test_nothing_known_leaves_every_step_as_it_was():
    assert set(learned_scales([], knobs(TRAIN)).values()) == {1.0}
    first, second = (KnobEdit().propose(a_context(rng_seed=3, knob_trials=t)) for t in ((), []))
    assert first == second


def test_what_helps_or_does_no_harm_widens_and_what_hurts_or_crashes_narrows():
    def scale(*gains):
        return learned_scales(turns(*gains), {"LR": 1.0})["LR"]

    assert scale(0.01, 0.01) > scale(0.0, 0.0) > 1
    assert scale(-0.01, -0.01) < 1
    assert scale(None, None) < 1


def test_knobs_of_a_type_learn_from_each_other_and_others_do_not():
    names = {"LR": 1.0, "EMBED_LR": 1.0, "BETA1": 0.9}
    scales = learned_scales(turns(*[-0.01] * 8), names)
    assert scales["LR"] < scales["EMBED_LR"] < 1
    assert scales["BETA1"] == 1


def test_of_two_knobs_that_were_turned_together_each_learns_half():
    alone = learned_scales([KnobTrial("LR", 1.0, 1.5, -0.01, SIGMA)], {"LR": 1.0})
    together = learned_scales([KnobTrial("LR", 1.0, 1.5, -0.01, SIGMA, 0.5)], {"LR": 1.0})
    assert alone["LR"] < together["LR"] < 1


@given(
    gains=st.lists(st.none() | st.floats(-1e3, 1e3), max_size=30),
    size=st.floats(1e-6, 1e6),
    error=st.floats(0, 10),
)
def test_scales_stay_within_their_bounds(gains, size, error):
    trials = [KnobTrial("LR", 1.0, size, gain, error) for gain in gains]
    (scale,) = learned_scales(trials, {"LR": 1.0}).values()
    assert NARROWEST <= scale <= WIDEST


def test_an_operator_turns_less_far_where_turns_have_hurt():
    def distance(trials):
        total = 0.0
        for seed in range(12):
            context = a_context("LR = 1.0\n" + GENOME, rng_seed=seed, knob_trials=trials)
            total += abs(math.log(knobs(KnobEdit().propose(context).genome.main)["LR"]))
        return total

    assert distance(turns(*[-0.01] * 12)) < 0.6 * distance([])


GENOME = """import prepare
def build_model(): return LR
if __name__ == "__main__":
    prepare.make_dataloader(1)
    prepare.evaluate_bpb(1)
"""
