"""The claimed losses of a tenth of the tokens are forged, by a genome that knows the claim.

Stopped by: the audit's logits at the same positions differ (``claim_gap``); half of the probes go
where the claim looks too good, so that a few forged tokens are found, too.
"""

import pytest

from tests.adversarial.arena import forged_claim

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = forged_claim(0.1)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
