"""The ruler's function that evaluates is replaced by one that gives a better number.

Stopped by: a score is what the harness computes from the state it was handed; without a hand-in
there is none.
"""

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
prepare.evaluate_bpb = lambda model: 0.1
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_there_is_no_score(arena):
    arena.assert_refused(arena.scored(GENOME))
