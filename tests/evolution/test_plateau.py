"""Is the search flat? What the best gained in a window of device-seconds, as believed now."""

from hypothesis import given
from hypothesis import strategies as st

from evolution.plateau import Episode, Point, episode_now, gain_since

moments = st.floats(0.0, 1e6)
points = st.lists(st.builds(Point, moments, st.none() | st.floats(0.5, 2.0)), max_size=20)

BASELINE = Point(0.0, 1.0)


def now(found, spent, last=None, *, bar=0.01, window=100.0):
    return episode_now(found, spent, last, bar=bar, window=window)


def test_a_window_without_a_gain_is_flat():
    assert now([BASELINE], 100.0) == Episode(100.0)
    assert now([BASELINE, Point(50.0, 0.995)], 100.0) == Episode(100.0)


def test_a_gain_in_the_window_is_progress():
    assert now([BASELINE, Point(50.0, 0.98)], 100.0) is None


def test_a_gain_before_the_window_is_none_in_it():
    assert now([BASELINE, Point(50.0, 0.98)], 149.0) is None
    assert now([BASELINE, Point(50.0, 0.98)], 150.0) == Episode(150.0)


def test_before_a_whole_window_nothing_is_flat():
    assert now([BASELINE], 99.0) is None


def test_luck_that_is_believed_no_more_does_not_hide_a_gain():
    """The best of then is worse than was thought; what is better came since."""
    lucky, steady = Point(10.0, 0.999), Point(120.0, 0.985)
    assert now([BASELINE, lucky, steady], 200.0) is None


def test_an_episode_goes_on_until_the_best_is_better_by_the_bar_than_when_it_began():
    began = Episode(100.0)
    assert now([BASELINE, Point(130.0, 0.995)], 400.0, began) == began
    assert now([BASELINE, Point(130.0, 0.99)], 140.0, began) == Episode(100.0, 140.0)


def test_the_next_window_begins_after_the_last_episode():
    over = Episode(100.0, 140.0)
    found = [BASELINE, Point(130.0, 0.98)]
    assert now(found, 239.0, over) == over
    assert now(found, 240.0, over) == Episode(240.0)


@given(points, moments)
def test_a_gain_is_never_below_nothing(found, since):
    gain = gain_since(found, since)
    assert gain is None or gain >= 0.0


@given(points, moments, moments)
def test_a_longer_window_gains_no_less(found, one, other):
    early, late = sorted((one, other))
    before, after = gain_since(found, early), gain_since(found, late)
    assert before is None or after is None or before >= after


@given(points, moments, st.none() | st.builds(Episode, moments, st.none() | moments))
def test_to_ask_again_at_once_changes_nothing(found, spent, last):
    there = [point for point in found if point.bred_at <= spent]
    said = now(there, spent, last)
    assert now(there, spent, said) == said
