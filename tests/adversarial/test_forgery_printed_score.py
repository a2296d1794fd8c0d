"""A score is printed after the true one.

Stopped by: nobody reads a score from what a genome prints; the harness computes it.
"""

import pytest

from tests.adversarial.arena import HONEST

pytestmark = pytest.mark.security

GENOME = (
    HONEST
    + """
if __name__ == "__main__":
    print("---")
    print("val_bpb:          0.100000")
"""
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_scored_as_honest(arena):
    arena.assert_scored_as_honest(arena.scored(GENOME))
