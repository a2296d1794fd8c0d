"""After its one submission the genome trains on, and hands in again.

Stopped by: one submission a trial; the tree is frozen while it is scored, and what comes later is
not read.
"""

import pytest

from tests.adversarial.arena import HONEST, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "    val_bpb = prepare.evaluate_bpb(model)\n",
    """    val_bpb = prepare.evaluate_bpb(model)
    for _ in range(60):
        set_rates(adamw, muon, 0.5)
        train_step(trained, (adamw, muon), batches)
    prepare._state().is_scored = False
    val_bpb = prepare.evaluate_bpb(model)
""",
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_the_first_submission_is_what_counts(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
