"""How often operators are asked: by weights at first, then by gain for the cost."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.credit import (
    FLOOR,
    HALF_LIFE,
    LATEST,
    MOST_GAIN,
    RENTED_SECONDS,
    Play,
    seconds_per_usd,
    shares,
)

NAMES = ("knob", "structure", "merge", "guided", "mutator")
weights = st.dictionaries(st.sampled_from(NAMES), st.floats(0.001, 10.0), min_size=1)
play = st.builds(
    Play,
    st.sampled_from((*NAMES, "seed")),
    st.floats(-1e9, 1e9),
    st.floats(0.0, 1e6),
    st.floats(0.0, 100.0),
)
plays = st.lists(play, max_size=40)
EVEN = dict.fromkeys(("knob", "structure", "merge"), 1.0)


def ordinary(operator, *gains, seconds=300.0):
    return [Play(operator, gain, seconds) for gain in gains]


@given(weights, plays)
def test_shares_are_those_of_one_whole_and_none_lies_below_its_floor(given_weights, ended):
    found = shares(given_weights, ended)
    assert math.fsum(found.values()) == pytest.approx(1.0)
    total = sum(given_weights.values())
    assert found.keys() == given_weights.keys()
    for name, share in found.items():
        assert share >= min(FLOOR, given_weights[name] / total) - 1e-12


@given(weights)
def test_without_a_play_the_weights_decide(given_weights):
    total = sum(given_weights.values())
    for name, share in shares(given_weights, []).items():
        assert share == pytest.approx(given_weights[name] / total)


@given(weights, plays)
def test_while_nothing_was_gained_the_weights_decide(given_weights, ended):
    in_vain = [replace(play, gain=-abs(play.gain)) for play in ended]
    assert shares(given_weights, in_vain) == pytest.approx(shares(given_weights, []))


def test_an_operator_at_weight_0_stays_off_whatever_its_offspring_gained():
    found = shares({"knob": 1.0, "merge": 0.0}, ordinary("merge", 3.0, 3.0))
    assert found == {"knob": 1.0}


@given(weights, plays, st.data())
def test_a_play_that_gained_more_never_lowers_the_share_of_its_operator(given_weights, ended, data):
    ended = [play for play in ended if play.operator in given_weights]
    if not ended:
        return
    place = data.draw(st.integers(0, len(ended) - 1))
    better = list(ended)
    better[place] = replace(ended[place], gain=ended[place].gain + data.draw(st.floats(0.0, 5.0)))
    name = ended[place].operator
    before, after = shares(given_weights, ended)[name], shares(given_weights, better)[name]
    assert after >= before - 1e-9


@given(weights, plays, st.data())
def test_a_play_that_cost_more_never_raises_the_share_of_its_operator(given_weights, ended, data):
    ended = [play for play in ended if play.operator in given_weights]
    if not ended:
        return
    place = data.draw(st.integers(0, len(ended) - 1))
    dearer = list(ended)
    more = data.draw(st.floats(0.0, 1e4))
    dearer[place] = replace(ended[place], seconds=ended[place].seconds + more)
    name = ended[place].operator
    before, after = shares(given_weights, ended)[name], shares(given_weights, dearer)[name]
    assert after <= before + 1e-9


def test_an_operator_that_gains_rises_gradually_and_the_others_keep_their_floor():
    rising = [
        shares(EVEN, [*ordinary("knob", *[1.0] * n), *ordinary("merge", *[0.0] * n)])["knob"]
        for n in (0, 1, 10, 100, 300)
    ]
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(1 / 3)
    assert rising[1] < 0.36
    assert 0.6 < rising[-1] <= 1 - 2 * FLOOR


def test_the_same_gain_in_half_the_time_is_worth_more():
    ended = [*ordinary("knob", *[1.0] * 30, seconds=150), *ordinary("merge", *[1.0] * 30)]
    found = shares(EVEN, ended)
    assert found["knob"] > found["structure"] > found["merge"]


def test_dollars_count_as_the_device_time_that_they_are_worth():
    dear = [Play("knob", 1.0, 300.0, 0.1)] * 30
    in_time = [Play("knob", 1.0, 300.0 + 0.1 * 2000)] * 30
    rest = ordinary("merge", *[1.0] * 30)
    found = shares(EVEN, [*dear, *rest], seconds_per_usd=2000.0)
    assert found == pytest.approx(shares(EVEN, [*in_time, *rest]))
    assert found["knob"] < shares(EVEN, [*ordinary("knob", *[1.0] * 30), *rest])["knob"]


def test_a_dollar_is_worth_the_time_that_a_run_may_take_for_it():
    assert seconds_per_usd(36_000.0, 10.0) == 3_600.0
    assert seconds_per_usd(0.0, 10.0) == seconds_per_usd(36_000.0, None) == RENTED_SECONDS


@given(plays)
def test_how_bad_a_disaster_is_changes_nothing(ended):
    bad = [replace(play, gain=-1.0) if play.gain < 0 else play for play in ended]
    assert shares(EVEN, ended) == pytest.approx(shares(EVEN, bad))


def test_one_lucky_find_counts_no_more_than_the_most_that_a_play_may():
    some = ordinary("structure", 0.5, 0.0, 0.2)
    lucky = shares(EVEN, [*some, Play("knob", 500.0, 300.0)])
    assert lucky == pytest.approx(shares(EVEN, [*some, Play("knob", MOST_GAIN, 300.0)]))


def test_old_plays_count_half_after_a_half_life_and_not_at_all_in_the_end():
    old, recent = ordinary("knob", 1.0), ordinary("merge", 1.0)
    between = ordinary("structure", *[0.0] * (int(HALF_LIFE) - 1))
    found = shares(EVEN, [*old, *between, *recent])
    assert found["merge"] > found["knob"] > found["structure"]
    fading = ordinary("merge", *[0.0] * LATEST)
    assert shares(EVEN, [*old, *fading]) == shares(EVEN, fading)


@given(weights, plays, st.floats(1e-3, 1e3))
def test_the_unit_of_time_does_not_matter(given_weights, ended, factor):
    timed = [replace(play, seconds=play.seconds + 1.0, usd=0.0) for play in ended]
    slower = [replace(play, seconds=play.seconds * factor) for play in timed]
    assert shares(given_weights, slower) == pytest.approx(shares(given_weights, timed))
