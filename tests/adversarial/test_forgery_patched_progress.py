"""The ruler's clock is patched: it says what the genome likes, for four budgets.

Stopped by: the harness's own clock.
"""

import pytest

from tests.adversarial.arena import HONEST, WALL, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
prepare.Clock.progress = lambda clock: (
    0.0 if clock.started is None else min(1.0, (time.monotonic() - clock.started) / 4.0)
)
""")


def test_it_works_on_a_naive_harness(arena):
    steps = [int(run.out.split("num_steps:")[1].split()[0]) for run in runs(arena)]
    assert steps[0] > 2 * steps[1], steps


def runs(arena):
    return [arena.naive_run(text, budget=WALL) for text in (GENOME, HONEST)]


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
