"""A ``cpu`` budget becomes tokens that the genome itself counts; this one counts every fourth.

Stopped by: the tree's CPU time is capped at 1.25 times what its tokens should cost, plus what is
left for evaluation. The test asserts that no more than the cap is used, or nothing is scored.
"""

import pytest

from population import Budget, BudgetKind, TrialStatus
from tests.adversarial.arena import HONEST, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
_count_batch = prepare.TrialState.count_batch


def count_some(state, tokens):
    _count_batch(state, tokens)
    if state.clock.batches % 4:
        state.clock.tokens -= tokens


prepare.TrialState.count_batch = count_some
""")
BUDGET = Budget(BudgetKind.CPU, 4.0)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_refused(arena):
    """A known price: a token of this genome costs one of the baseline's, for it is the baseline."""
    honest = arena.scored(HONEST, budget=BUDGET, calibrate=True)
    assert honest.status is TrialStatus.COMPLETE, honest.failure
    forged = arena.scored(GENOME, budget=BUDGET, calibrate=True)
    arena.assert_refused(forged, "CPU-seconds")
