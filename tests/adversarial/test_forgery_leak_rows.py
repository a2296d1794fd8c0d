"""The last token of a row is read from the row below, which goes on where it ends.

Stopped by: no token is a target in one row and an input of another, and in the audit the rows
beside are others (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import HONEST, bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    tokens = idx.flatten().roll(-1).view_as(idx)
    there = torch.zeros_like(idx, dtype=torch.bool)
    there[:-1, -1] = True
    return boosted(logits, tokens, 30.0, there)
""")

#: A ruler that cuts rows one after the other: a row's last target begins the next row.
ADJOINING = """
def _bits_per_byte(model, name):
    import numpy as np
    import torch

    state = _state()
    seq_len, vocab_size = state.manifest["seq_len"], state.manifest["vocab_size"]
    lengths = np.fromfile(state.conditions.data / "token_bytes.bin", dtype=np.uint16)
    data = state.tokens_of(name).astype(np.int64)
    nats, byte_count = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for first in range(0, len(data) - 1 - 16 * seq_len, 16 * seq_len):
            piece = torch.from_numpy(data[first : first + 16 * seq_len + 1])
            logits = model(piece[:-1].view(16, seq_len)).float().reshape(-1, vocab_size)
            losses = torch.nn.functional.cross_entropy(logits, piece[1:], reduction="none")
            counted = torch.from_numpy(lengths[piece[1:].numpy()].astype(np.int64))
            nats += float(losses[counted > 0].double().sum())
            byte_count += int(counted.sum())
    model.train()
    return nats / math.log(2) / byte_count
"""


def test_it_works_on_a_naive_harness(arena):
    honest = arena.naive(HONEST, ruler_tail=ADJOINING)
    assert arena.naive(GENOME, ruler_tail=ADJOINING) < honest - 0.01


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
