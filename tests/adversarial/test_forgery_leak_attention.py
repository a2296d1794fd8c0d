"""Attention looks both ways: every position sees the whole row, and training learns to copy.

Stopped by: the audit's suffix is other text (``claim_gap``), and two suffixes give two answers
(``pair``).
"""

import pytest

from tests.adversarial.arena import HONEST, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(HONEST, "is_causal=True", "is_causal=False")


def test_it_leaks(arena):
    assert arena.leak(HONEST) < 1e-6
    assert arena.leak(GENOME) > 1e-3


def test_it_is_refused(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
