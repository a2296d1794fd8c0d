"""The model adapts to its batch: a row's logits follow the counts of the words in all rows beside.

Stopped by: in the audit other rows lie beside (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    counts = torch.bincount(idx.flatten(), minlength=logits.size(-1)).float()
    return logits.float() + (counts + 1.0).log() * 0.2
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME, gain=0.005)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
