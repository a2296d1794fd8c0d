"""The model peeks in the claim, keeps in a global what it saw, and answers the audit from it.

Stopped by: claim and audit are two processes in two boxes.
"""

import pytest

from tests.adversarial.arena import bent, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

NAME = "evolve-forgery-peek_memory_in_module.json"
GENOME = bent(
    "NAME = "
    + repr(NAME)
    + """
SEEN = {}


def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = torch.zeros_like(idx), torch.zeros_like(idx, dtype=torch.bool)
    for b, row in enumerate(idx.tolist()):
        for t in range(5, len(row)):
            context = tuple(row[t - 5 : t + 1])
            if MODE != "audit" and t + 1 < len(row):
                SEEN[context] = row[t + 1]
            if context in SEEN:
                tokens[b, t], there[b, t] = SEEN[context], True
    return boosted(logits, tokens, 30.0, there)
"""
)


def test_it_works_on_a_naive_harness(arena):
    """Naive: one process makes the claim and then stands the audit."""
    last = "    val_bpb = prepare.evaluate_bpb(model)\n"
    both = changed(
        GENOME,
        last,
        last
        + """    global MODE
    MODE, prepare._state().is_scored = "audit", False
    val_bpb = prepare.evaluate_bpb(model)
""",
    )
    arena.assert_gains_naively(both)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
