"""Time itself is patched: by the genome's clocks four seconds pass in one.

Stopped by: the harness has a clock of its own, from the hand-over of the training data to the
submission. A forgery that trains for four times a ``wall`` budget is refused, whatever it scores.
"""

import pytest

from tests.adversarial.arena import WALL, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
_monotonic, _process_time = time.monotonic, time.process_time
_time, _perf = time.time, time.perf_counter
time.monotonic = lambda: _monotonic() / 4
time.process_time = lambda: _process_time() / 4
time.time = lambda: _time() / 4
time.perf_counter = lambda: _perf() / 4
""")


def test_it_works_on_a_naive_harness(arena):
    """By its own clock it kept to the budget; by ours it trained for four times as long."""
    run = arena.naive_run(GENOME, budget=WALL)
    claimed = float(run.out.split("training_seconds:")[1].split()[0])
    assert claimed < run.seconds / 2
    assert run.seconds > 4 * WALL.amount


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
