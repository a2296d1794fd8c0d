"""A thread of the genome overwrites the memory that its claim is written to.

Stopped by: the claim proves nothing by itself; the audit's logits decide (``claim_gap``).
"""

import pytest

from tests.adversarial.arena import HONEST, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
import ctypes, re


def overwrite():
    while True:
        for line in Path("/proc/self/maps").read_text().splitlines():
            found = re.match("([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:", line)
            if found:
                first, last = (int(group, 16) for group in found.groups())
                forged = np.full((last - first) // 4, 0.5, dtype=np.float32).tobytes()
                ctypes.memmove(first, forged, len(forged))


if __name__ != "__main__" and MODE == "claim":
    import numpy as np

    threading.Thread(target=overwrite, daemon=True).start()
""")


def test_it_works_on_a_naive_harness(arena):
    assert arena.naive_claim(GENOME) < arena.naive_claim(HONEST) - 1.0


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
