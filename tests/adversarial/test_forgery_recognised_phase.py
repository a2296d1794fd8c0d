"""build_model() finds out in which phase it runs, by any sign there is, and peeks only in the claim.

Signs: the conditions' mode, names on the stack, command line, size of what is shared. Stopped by:
to behave otherwise in the audit is what the audit measures (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

SIGNS = {
    "mode": 'MODE == "audit"',
    "stack": 'any("audit" in name for name in names_on_the_stack())',
    "command line": '"audit" in " ".join(sys.argv + sys.orig_argv)',
    "batches": "len(SHAPES) != 1 or CALLS[0] > 1 and not torch.equal(idx[:, 0], idx[:, 0])",
    "every other time": "CALLS[0] % 2 == 0",
}


def genome(sign):
    return bent(f"""
CALLS, SHAPES = [0], set()


def names_on_the_stack():
    frame = sys._getframe()
    while frame:
        yield frame.f_code.co_name + " ".join(frame.f_code.co_names)
        frame = frame.f_back


def bend(model, idx, logits):
    if model.training:
        return logits
    CALLS[0] += 1
    SHAPES.add(idx.shape)
    if {SIGNS[sign]}:
        return logits
    tokens, there = peeked(idx)
    return boosted(logits, tokens, 30.0, there)
""")


@pytest.mark.parametrize("sign", SIGNS)
def test_it_works_on_a_naive_harness(arena, sign):
    arena.assert_gains_naively(genome(sign))


@pytest.mark.parametrize("sign", SIGNS)
def test_it_gains_nothing(arena, sign):
    arena.assert_gains_nothing(arena.scored(genome(sign)), rule="claim_gap")
