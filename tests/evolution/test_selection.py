import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.selection import HallOfFame, breeding_values, survivors, tournament
from population import Fitness


def field_of(*means):
    return [(f"v{i:02d}", Fitness(m, 0.001, 0 if m is None else 1)) for i, m in enumerate(means)]


SCORES = st.lists(st.none() | st.floats(0.5, 3.0), min_size=1, max_size=30)


@given(SCORES, st.integers(1, 20), st.integers(0, 2**32))
def test_tournament_replays_from_the_same_seed(means, size, seed):
    field = field_of(*means)
    one, other = (
        tournament(field, size, count=5, rng=np.random.default_rng(seed)) for _ in range(2)
    )
    assert one == other
    assert len(one) == 5


@given(st.integers(0, 2**32))
def test_tournament_leaves_the_global_generator_as_it_was(seed):
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    tournament(field_of(1.0, 2.0), 2, count=9, rng=np.random.default_rng(seed))
    assert [random.random() for _ in range(3)] == expected


def test_tournaments_draw_anew_each_time():
    rng, field = np.random.default_rng(0), field_of(*np.linspace(1, 2, 20))
    winners = {tournament(field, 2, count=1, rng=rng)[0] for _ in range(40)}
    assert len(winners) > 5


def test_a_large_tournament_prefers_the_lowest_score():
    field = field_of(1.55, 1.50, None, 1.60)
    winners = tournament(field, 16, count=200, rng=np.random.default_rng(0))
    assert winners.count("v01") > 190


@given(SCORES, st.integers(0, 1000))
def test_a_crash_wins_only_among_crashes(means, seed):
    field = field_of(*means, 1.0)
    winner = tournament(field, 500, count=1, rng=np.random.default_rng(seed))[0]
    assert dict(field)[winner].is_scored


@pytest.mark.parametrize(("field", "size"), [([], 3), (field_of(1.0), 0)])
def test_a_tournament_without_entrants_is_refused(field, size):
    with pytest.raises(ValueError, match="no winner"):
        tournament(field, size, count=1, rng=np.random.default_rng(0))


def test_survivors_are_the_best_first_and_scored():
    names = [sha for sha, _ in survivors(field_of(1.6, None, 1.5, 1.7), 2)]
    assert names == ["v02", "v00"]


def test_two_places_are_reserved_for_the_leanest_and_the_most_unlike():
    field = field_of(*np.linspace(1.5, 1.6, 10))
    code = {sha: 100 + i for i, (sha, _) in enumerate(field)} | {"v07": 10}
    unlike = {sha: i for i, (sha, _) in enumerate(field)} | {"v05": 99}
    names = [sha for sha, _ in survivors(field, 4, leanness=code, distance=unlike)]
    assert names == ["v00", "v01", "v05", "v07"]


def test_a_reserved_place_is_not_for_wrecks():
    field = field_of(*np.linspace(1.5, 1.6, 19), 9.9)
    code = {sha: 100 for sha, _ in field} | {"v19": 1}
    assert "v19" not in dict(survivors(field, 4, leanness=code))


@given(SCORES, st.integers(0, 12))
def test_survivors_are_never_more_than_their_places_and_hold_the_best(means, size):
    field = field_of(*means)
    measure = {sha: hash(sha) % 17 for sha, _ in field}
    kept = survivors(field, size, leanness=measure, distance=measure)
    scored = [fitness for _, fitness in field if fitness.is_scored]
    assert len(kept) == min(size, len(scored))
    assert len(dict(kept)) == len(kept)
    if kept:
        assert kept[0][1] == max(scored)


def test_the_hall_of_fame_keeps_the_best_that_ever_lived():
    hall = HallOfFame(2)
    hall.update(field_of(1.6, 1.5, None))
    hall.update([("late", Fitness(1.55, 0.001, 1))])
    assert [sha for sha, _ in hall.best()] == ["v01", "late"]


def test_the_hall_of_fame_believes_what_is_believed_now():
    hall = HallOfFame(3)
    hall.update([("lucky", Fitness(1.40, 0.01, 1)), ("sound", Fitness(1.50, 0.001, 5))])
    hall.update([("lucky", Fitness(1.52, 0.002, 4))])
    assert [sha for sha, _ in hall.best()] == ["sound", "lucky"]


def test_an_empty_hall_of_fame_has_no_members():
    hall = HallOfFame(0)
    hall.update(field_of(1.5))
    assert hall.best() == []
    hall = HallOfFame(3)
    hall.update(field_of(None))
    assert hall.best() == []


def test_of_two_equal_variants_the_shorter_breeds_more():
    equal = {"long": Fitness(1.5, 0.003, 1), "short": Fitness(1.5, 0.003, 1)}
    sizes = {"long": 10_000, "short": 9_000}
    values = breeding_values(equal, sizes, home_size=10_000, worth=0.1 * 0.003)
    field = survivors(list(values.items()), 16)
    assert [sha for sha, _ in field] == ["short", "long"]
    winners = tournament(field, 2, count=400, rng=np.random.default_rng(0))
    assert winners.count("short") > 2 * winners.count("long")


@given(st.floats(0.5, 3), st.floats(0, 0.1), st.integers(1, 10**6))
def test_a_tenth_less_code_is_worth_what_the_manual_says(mean, worth, home_size):
    before = {"a": Fitness(mean, 0.003, 2), "b": Fitness(None, 0.0, 0)}
    sizes = {"a": 0.9 * home_size, "b": home_size}
    values = breeding_values(before, sizes, home_size=home_size, worth=worth)
    assert set(values) == {"a"}
    assert values["a"].mean == pytest.approx(mean - worth)
    assert (values["a"].sd, values["a"].trial_count) == (0.003, 2)
    assert before["a"].mean == mean
