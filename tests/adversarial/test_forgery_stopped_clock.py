"""The genome stops the clock, as the ruler does for a snapshot, and trains meanwhile.

Stopped by: the harness's own clock, which only the harness stops.
"""

import pytest

from tests.adversarial.arena import HONEST, WALL, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "        set_rates(adamw, muon, share)\n",
    """        with prepare._state().clock.stopped():
            until = time.monotonic() + 2.0
            while steps in (1, 3) and time.monotonic() < until:
                train_step(trained, (adamw, muon), batches)
        set_rates(adamw, muon, share)
""",
)


def test_it_works_on_a_naive_harness(arena):
    run = arena.naive_run(GENOME, budget=WALL)
    assert float(run.out.split("training_seconds:")[1].split()[0]) > 3 * WALL.amount, run.err


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
