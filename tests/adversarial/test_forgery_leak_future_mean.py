"""The mean of the whole row is added to each position, as sums without a mask do by mistake.

Stopped by: the audit's suffix changes the mean (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import HONEST, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "        logits = self.unembed(norm(x)).float()\n",
    "        logits = self.unembed(norm(x + x.mean(1, keepdim=True))).float()\n",
).replace("            logits = self", "            logits = self")


def test_it_leaks(arena):
    assert arena.leak(HONEST) < 1e-6
    assert arena.leak(GENOME) > 1e-3


def test_it_is_refused(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
