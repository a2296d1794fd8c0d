"""The ruler's clock is patched: it says what the genome likes, for four budgets.

Stopped by: the harness's own clock.
"""

import pytest

from tests.adversarial.arena import WALL, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
prepare.Clock.progress = lambda clock: (
    0.0 if clock.started is None else min(1.0, (time.monotonic() - clock.started) / 4.0)
)
""")


def test_it_works_on_a_naive_harness(arena):
    run = arena.naive_run(GENOME, budget=WALL)
    assert float(run.out.split("training_seconds:")[1].split()[0]) > 3 * WALL.amount, run.err


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
