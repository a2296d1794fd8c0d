"""Activations are normalised by the statistics of the batch, in evaluation as in training.

Stopped by: rows, batch and suffixes of the audit are others, and so are the statistics
(``claim_gap``).
"""

import pytest

from tests.adversarial.arena import HONEST, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "logits = self.unembed(norm(x)).float()\n",
    """flat = x.float().flatten(0, 1)
            x = F.batch_norm(flat, None, None, training=True).view_as(x).to(x.dtype)
            logits = self.unembed(norm(x)).float()
""",
)


def test_it_leaks(arena):
    assert arena.leak(HONEST) < 1e-6
    assert arena.leak(GENOME) > 1e-3


def test_it_is_refused(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
