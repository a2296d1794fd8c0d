"""The model trains on the validation rows while it is evaluated: some steps on each batch.

Stopped by: scores are stateless; the audit shows other rows in another order, and with other
suffixes, so that no such model gives the same logits twice (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent("""
STUDY = {}


def bend(model, idx, logits):
    if model.training or STUDY.get("busy"):
        return logits
    STUDY["busy"] = True
    with torch.inference_mode(False), torch.enable_grad():
        x = idx.clone()
        adam = STUDY.setdefault("adam", torch.optim.Adam(model.parameters(), lr=0.005))
        for _ in range(6):
            loss = F.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten())
            adam.zero_grad()
            loss.backward()
            adam.step()
        logits = model(x).detach()
    STUDY["busy"] = False
    return logits
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
