"""Experts choose their tokens among all of the row: whether one is served depends on later ones.

Stopped by: the audit's suffix brings other rivals (``claim_gap``, ``pair``).
"""

import pytest

from tests.adversarial.arena import HONEST, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "logits = self.unembed(norm(x)).float()\n",
    """merit = x.float()[..., :1] + x.float()[..., 1:2]
            chosen = torch.zeros_like(merit).scatter(1, merit.topk(16, dim=1).indices, 1.0)
            x = x + (chosen * F.silu(x.float())).to(x.dtype)
            logits = self.unembed(norm(x)).float()
""",
)


def test_it_leaks(arena):
    assert arena.leak(HONEST) < 1e-6
    assert arena.leak(GENOME) > 1e-3


def test_it_is_refused(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
