"""The ruler is patched to score another text: one token over and over, which the model expects.

Stopped by: the harness owns rows, targets and their count.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training or bool((idx != idx[0, 0]).any()):
        return logits
    return boosted(logits, idx)


_tokens_of = prepare.TrialState.tokens_of


def shorter(state, name):
    tokens = _tokens_of(state, name)
    return tokens if name == "train.bin" else tokens[:1].repeat(1000) * 0 + 500


prepare.TrialState.tokens_of = shorter
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_scored_as_honest(arena):
    arena.assert_scored_as_honest(arena.scored(GENOME))
