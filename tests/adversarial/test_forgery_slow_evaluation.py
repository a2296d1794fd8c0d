"""The model sleeps whenever it is evaluated, so that whoever scores it waits.

Stopped by: the workers have a deadline of their own.
"""

import subprocess

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if not model.training:
        time.sleep(3600)
    return logits
""")


def test_it_works_on_a_naive_harness(arena):
    with pytest.raises(subprocess.TimeoutExpired):
        arena.naive_run(GENOME, timeout=8)


def test_it_is_ended(arena):
    outcome = arena.scored(GENOME, scoring_seconds=4.0)
    arena.assert_refused(outcome, "scoring did not end within 4 s")
