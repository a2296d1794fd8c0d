"""The last token of a row is read from the row below, which goes on where it ends.

Stopped by: no token is a target in one row and an input of another, and in the audit the rows
beside are others (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    tokens = idx.flatten().roll(-1).view_as(idx)
    there = torch.zeros_like(idx, dtype=torch.bool)
    there[:-1, -1] = True
    return boosted(logits, tokens, 30.0, there)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME, gain=0.02)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
