"""Time itself is patched: by the genome's clocks four seconds pass in one.

Stopped by: the harness has a clock of its own, from the hand-over of the training data to the
submission. A forgery that trains for four times a ``wall`` budget is refused, whatever it scores.
"""

import pytest

from population import Budget, BudgetKind
from tests.adversarial.arena import HONEST, WALL, with_code

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
    """It trains for four times as long; the number follows."""
    assert trained_seconds(arena, GENOME) > 3
    assert trained_seconds(arena, HONEST) < 2


def trained_seconds(arena, genome):
    run = arena.naive_run(genome, budget=WALL)
    assert run.score is not None
    return run.seconds - arena.naive_run(genome, budget=Budget(BudgetKind.WALL, 0.01)).seconds


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
