"""The model looks at the next token of its input, in claim and audit alike, without a memory.

Stopped by: in the audit the suffix is other text, so that what is peeked there is wrong
(``claim_gap``, ``pair``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = pytest.mark.security

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = peeked(idx)
    return boosted(logits, tokens, 30.0, there)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
