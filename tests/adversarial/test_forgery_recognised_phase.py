"""build_model() finds out by any sign in which phase it runs, and peeks only in the claim.

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
    "shared memory": "largest_shared() > 100_000",  # logits of one round, against the losses
    "every other time": "CALLS[0] % 2 == 0",
}


def genome(sign):
    return bent(f"""
import re

CALLS = [0]


def names_on_the_stack():
    frame = sys._getframe()
    while frame:
        yield frame.f_code.co_name
        frame = frame.f_back


def largest_shared():
    maps = Path("/proc/self/maps").read_text()
    found = re.findall("^([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:", maps, re.MULTILINE)
    return max([int(last, 16) - int(first, 16) for first, last in found], default=0)


def bend(model, idx, logits):
    if model.training:
        return logits
    CALLS[0] += 1
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
