import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.calibration import (
    Step,
    deviation,
    granted_tokens,
    pooled_ratio,
    price,
    slowdown,
    token_seconds,
)

costs = st.floats(1e-6, 1e3)
step_lists = st.lists(st.builds(Step, costs, st.integers(1, 10**6)), min_size=1, max_size=50)
measurements = st.lists(
    st.tuples(st.floats(0.01, 100.0), st.integers(1, 1000)), min_size=1, max_size=10
)


def steps(*cpu_seconds: float, tokens: int = 10) -> list[Step]:
    return [Step(seconds, tokens) for seconds in cpu_seconds]


def test_a_token_costs_the_mean_of_the_fastest_quartile():
    assert token_seconds(steps(8, 1, 7, 2, 6, 5, 9, 4)) == pytest.approx(0.15)


@given(step_lists, st.lists(st.floats(1.0, 10.0), min_size=50, max_size=50))
def test_disturbance_never_makes_a_token_cheaper(undisturbed, factors):
    disturbed = [
        Step(step.cpu_seconds * factor, step.tokens)
        for step, factor in zip(undisturbed, factors, strict=False)
    ]
    assert token_seconds(disturbed) >= token_seconds(undisturbed) * (1 - 1e-12)


def test_disturbing_the_slow_half_changes_nothing():
    quiet = steps(*[1.0] * 20)
    assert token_seconds(quiet[:10] + steps(*[50.0] * 10)) == token_seconds(quiet)


@given(step_lists, step_lists, st.floats(0.1, 10.0))
def test_a_machine_that_is_slower_for_both_leaves_the_ratio_alone(genome, baseline, factor):
    def slower(given_steps):
        return [Step(step.cpu_seconds * factor, step.tokens) for step in given_steps]

    before, after = price(genome, baseline), price(slower(genome), slower(baseline))
    assert after.cost_ratio == pytest.approx(before.cost_ratio)


def test_steps_without_tokens_have_no_price():
    with pytest.raises(ValueError, match="at least one"):
        token_seconds(steps(1.0, tokens=0))
    with pytest.raises(ValueError, match="above nothing"):
        token_seconds(steps(0.0))


@given(measurements)
def test_a_pooled_ratio_lies_between_its_parts(known):
    ratios = [ratio for ratio, _ in known]
    assert min(ratios) * (1 - 1e-9) <= pooled_ratio(known) <= max(ratios) * (1 + 1e-9)


@given(measurements, st.randoms())
def test_pooling_does_not_depend_on_the_order(known, random):
    shuffled = list(known)
    random.shuffle(shuffled)
    assert pooled_ratio(shuffled) == pytest.approx(pooled_ratio(known))


def test_pooling_weighs_by_pairs_on_a_logarithmic_scale():
    assert pooled_ratio([(4.0, 10), (1.0, 10)]) == pytest.approx(2.0)
    assert pooled_ratio([(8.0, 30), (1.0, 0)]) == pytest.approx(8.0)
    assert pooled_ratio([(8.0, 20), (1.0, 10)]) == pytest.approx(4.0)


def test_pooling_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        pooled_ratio([])


@given(st.integers(1, 10**9), st.floats(0.01, 100.0))
def test_a_dearer_genome_is_granted_fewer_tokens(yardstick_tokens, ratio):
    granted = granted_tokens(yardstick_tokens, ratio)
    assert granted >= 1
    assert granted_tokens(yardstick_tokens, ratio * 2) <= granted
    assert granted_tokens(yardstick_tokens, 1.0) == yardstick_tokens


def test_a_faster_machine_is_no_slowdown():
    assert slowdown(2e-5, 1e-5) == 2.0
    assert slowdown(1e-5, 2e-5) == 1.0


def test_deviation_counts_both_ways():
    assert deviation(1.1, 1.0) == pytest.approx(0.1)
    assert deviation(0.9, 1.0) == pytest.approx(0.1)
    assert math.isclose(deviation(1.0, 1.0), 0.0)
