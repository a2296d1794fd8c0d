"""The genome takes rows from the ruler's own array, past the counter, in the order it likes best.

Under a budget of tokens, which the genome's process counts, this gains; so such a score is never
called trusted. Stopped by: under budgets of time the harness counts, and
no row is free.
"""

import pytest

from population import Scoring
from tests.adversarial.arena import HONEST, WALL, changed, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code(
    """
def uncounted():
    import gc

    count = prepare.TrialState.count_batch
    prepare.TrialState.count_batch = lambda state, tokens: None
    try:
        yield
    finally:
        prepare.TrialState.count_batch = count


uncounted = contextlib.contextmanager(uncounted)
""",
    changed(
        HONEST,
        "        set_rates(adamw, muon, share)\n",
        """        set_rates(adamw, muon, share)
        if steps:
            with uncounted():
                for _ in range(3):
                    train_step(trained, (adamw, muon), batches)
""",
    ),
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_its_score_is_not_called_trusted(arena):
    outcome = arena.scored(GENOME)
    assert outcome.val_bpb is None or outcome.scoring is Scoring.REPORTED


def test_under_a_budget_of_time_its_steps_are_not_free(arena):
    """The same wall seconds: what it trains it pays, within a tenth and the last step."""
    outcome = arena.scored(GENOME, budget=WALL)
    assert outcome.val_bpb is None or outcome.train_seconds < 1.1 * WALL.amount + 0.5
