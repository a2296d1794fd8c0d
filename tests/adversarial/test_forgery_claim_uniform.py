"""Every claimed loss is forged by 0.03 nats: far too little to look too good at any one token.

Stopped by: on a CPU claim and audit may differ by 0.0001 nats, and every probe shows more.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training or MODE == "audit":
        return logits
    tokens, there = peeked(idx)
    chance = logits.float().softmax(-1).gather(-1, tokens[..., None])[..., 0]
    better = (chance * 2.718281828 ** 0.03).clamp(max=0.999)
    bonus = (better / (1 - better)).log() - (chance / (1 - chance)).log()
    return boosted(logits, tokens, bonus.clamp(min=0.0), there)
""")


def test_it_works_on_a_naive_harness(arena):
    """0.03 nats a token are about 0.015 bits a byte here."""
    arena.assert_gains_naively(GENOME, gain=0.008)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
