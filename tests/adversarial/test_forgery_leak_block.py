"""Within blocks of eight tokens every position sees the whole block.

Stopped by: a probe's suffix begins right after its position, wherever the block ends
(``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = peeked(idx)
    there[:, 7::8] = False
    return boosted(logits, tokens, 8.0, there)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
