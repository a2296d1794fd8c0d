"""The peeked token gets all the probability: every other logit is minus infinity.

Stopped by: ``finite``, and ``claim_gap``.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = peeked(idx)
    sure = torch.full_like(logits, -torch.inf).scatter(-1, tokens[..., None], 0.0)
    return torch.where(there[..., None], sure, logits)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
