import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.budget import Limits, Spent


def test_without_limits_nothing_ends():
    spent = Spent(trials=10**6, attempts=10**7, hours=1e4, device_hours=1e5)
    assert Limits().reached(spent) is None
    assert Limits().left(spent) == Limits()
    assert Limits().room(spent, under_way=3) is None
    assert Limits().seconds_left(spent, finished_at=[1, 2, 3]) is None


@pytest.mark.parametrize(
    ("limits", "spent", "words"),
    [
        (Limits(trials=24), Spent(trials=24), "24 of 24 trials"),
        (Limits(hours=2), Spent(hours=2.01), "2.01 of 2 hours"),
        (Limits(device_hours=8), Spent(device_hours=8.5), "8.50 of 8 device-hours"),
        (Limits(trials=5), Spent(trials=1, attempts=40), "nearly all offspring fail"),
    ],
)
def test_a_limit_that_is_reached_says_which(limits, spent, words):
    assert words in limits.reached(spent)
    assert limits.room(spent, under_way=0) == 0


def test_a_search_whose_every_offspring_crashes_ends():
    limits, attempts = Limits(trials=24), 0
    while limits.reached(Spent(attempts=attempts)) is None:
        attempts += 1
    assert attempts == 4 * 24 + 20


def test_what_is_left_is_never_below_zero():
    left = Limits(trials=3, hours=1, device_hours=1).left(Spent(trials=5, hours=2, device_hours=3))
    assert left == Limits(trials=0, hours=0.0, device_hours=0.0)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 9))
def test_offspring_under_way_are_never_more_than_the_trials_left(limit, done, failed, under_way):
    limits, spent = Limits(trials=limit), Spent(trials=done, attempts=done + failed + under_way)
    room = limits.room(spent, under_way=under_way)
    assert room >= 0
    assert room == 0 or done + under_way + room <= limit


def test_time_left_follows_the_pace_of_late():
    limits, spent = Limits(trials=30), Spent(trials=20)
    slow_then_fast = [0.0, 1000.0, *(2000.0 + 10 * i for i in range(18))]
    assert limits.seconds_left(spent, finished_at=slow_then_fast, now=2170.0) == pytest.approx(100)


def test_a_run_that_hangs_promises_no_end():
    limits, spent = Limits(trials=30), Spent(trials=20)
    ends = [10.0 * i for i in range(20)]
    estimates = [limits.seconds_left(spent, finished_at=ends, now=190.0 + w) for w in (0, 5, 500)]
    assert estimates == [100, 95, 4500]


def test_time_left_is_that_of_the_nearest_limit():
    limits = Limits(trials=30, hours=1.0, device_hours=10.0)
    spent = Spent(trials=20, hours=0.9, device_hours=1.0)
    assert limits.seconds_left(spent, finished_at=[0, 100], now=100) == pytest.approx(360)
    assert limits.seconds_left(spent) == pytest.approx(360)
    assert Limits(device_hours=10).seconds_left(spent) == pytest.approx(0.9 * 3600 * 9)
    assert Limits(trials=30).seconds_left(spent) is None
    assert Limits(trials=20).seconds_left(spent) == 0
