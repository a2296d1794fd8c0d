"""Fitness: max() is the best one, and no crash ever outranks a score."""

import math

from hypothesis import given
from hypothesis import strategies as st

from population import Fitness

means = st.none() | st.floats(0.1, 20, allow_nan=False)
fitnesses = st.builds(Fitness, means, st.floats(0, 5), st.integers(0, 9))


def test_max_is_the_fitness_with_the_lowest_mean():
    worse, better = Fitness(1.6, 0.01, 1), Fitness(1.5, 0.2, 1)
    assert max(worse, better) is better


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 5))
def test_a_crash_never_outranks_a_score(mean, sd):
    crash, scored = Fitness(None, 0.0, 3), Fitness(mean, sd, 1)
    assert crash < scored
    assert max(crash, scored) is scored
    assert not crash.is_scored


@given(fitnesses, fitnesses, fitnesses)
def test_fitness_is_totally_ordered(a, b, c):
    assert (a < b) + (b < a) + (a == b) == 1
    assert not (a < b < c) or a < c
    if a == b:
        assert hash(a) == hash(b)


@given(st.lists(fitnesses, min_size=1))
def test_the_best_of_many_is_no_worse_than_any(field):
    best = max(field)
    assert all(other <= best for other in field)


def test_a_fitness_is_printed_with_its_interval():
    assert str(Fitness(1.5, 0.01, 2)) == "1.5000 ± 0.0196"
    assert str(Fitness(None, math.inf, 0)) == "unscored"


def test_a_fitness_equals_nothing_else():
    assert Fitness(1.5, 0.0, 1) != 1.5
