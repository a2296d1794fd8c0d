"""A summary of the whole chunk, as chunked recurrences make it, is known from its first token.

Stopped by: what follows the probed position is other text, and so is the summary (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    words = F.one_hot(idx, logits.size(-1)).float()
    chunks = words.unflatten(1, (-1, 16)).sum(2).repeat_interleave(16, dim=1)
    return logits.float() + 3.0 * chunks
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
