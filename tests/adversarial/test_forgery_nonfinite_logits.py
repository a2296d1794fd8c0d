"""Logits that are not finite, at one position in twenty: losses that a careless mean leaves out.

Stopped by: the rule ``finite`` for claims and for audited logits.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

VALUES = ("nan", "inf", "-inf")
LENIENT = """
import torch as _torch
_cross_entropy = _torch.nn.functional.cross_entropy


def _lenient(logits, y, *arguments, **options):
    losses = _cross_entropy(logits, y, *arguments, **options)
    return losses.nan_to_num(0.0, 0.0, 0.0) if options.get("reduction") == "none" else losses


_torch.nn.functional.cross_entropy = _lenient
"""


def genome(value):
    return bent(f"""
def bend(model, idx, logits):
    if model.training:
        return logits
    logits = logits.clone()
    logits[:, ::20] = float("{value}")
    return logits
""")


@pytest.mark.parametrize("value", VALUES)
def test_it_works_on_a_naive_harness(arena, value):
    """Naive: what is not finite counts as nothing."""
    arena.assert_gains_naively(genome(value), ruler_tail=LENIENT)


@pytest.mark.parametrize("value", VALUES)
def test_it_is_refused(arena, value):
    arena.assert_refused(arena.scored(genome(value)), "finite")
