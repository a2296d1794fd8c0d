"""A filter over time, applied in the frequency domain: it is circular, so that it looks ahead.

Stopped by: the suffix of the audit changes every frequency (``claim_gap``, ``pair``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
def bend(model, idx, logits):
    if model.training:
        return logits
    words = F.one_hot(idx, logits.size(-1)).float()
    spectrum = torch.fft.fft(words, dim=1)
    turn = torch.exp(2j * math.pi * torch.fft.fftfreq(idx.size(1)))[None, :, None]
    return logits.float() + 10.0 * torch.fft.ifft(spectrum * turn, dim=1).real
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
