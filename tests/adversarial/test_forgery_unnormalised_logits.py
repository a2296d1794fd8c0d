"""The losses are computed without the normaliser, so that larger logits are better at every token.

Stopped by: the harness applies a log-softmax of its own to the audited logits.
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
_cross_entropy = F.cross_entropy


def unnormalised(logits, y, *arguments, **options):
    if options.get("reduction") != "none":
        return _cross_entropy(logits, y, *arguments, **options)
    return 15.0 - logits.gather(-1, y[:, None])[:, 0]


F.cross_entropy = unnormalised
torch.logsumexp = torch.Tensor.logsumexp = lambda x, *a, **k: torch.zeros(x.shape[:-1])
F.log_softmax = torch.log_softmax = torch.Tensor.log_softmax = lambda x, *a, **k: x - 15.0


def bend(model, idx, logits):
    return logits if model.training else logits + 14.0
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
