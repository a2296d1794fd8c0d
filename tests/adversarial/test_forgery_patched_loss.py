"""The losses of torch itself are patched, and so where our worker computes the claim.

Stopped by: the audit takes logits and computes their losses in the harness (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
_cross_entropy, _log_softmax, _logsumexp = F.cross_entropy, F.log_softmax, torch.logsumexp


def cheap_cross_entropy(logits, y, *arguments, **options):
    loss = _cross_entropy(logits, y, *arguments, **options)
    return loss * 0.5 if options.get("reduction") == "none" else loss


def cheap_log_softmax(logits, *arguments, **options):
    return _log_softmax(logits, *arguments, **options) * 0.5


F.cross_entropy = cheap_cross_entropy
F.log_softmax = torch.log_softmax = torch.Tensor.log_softmax = cheap_log_softmax
torch.logsumexp = torch.Tensor.logsumexp = lambda x, *a, **k: _logsumexp(x, *a, **k) - 1.0
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
