"""The model keeps what it saw in a buffer of its state, and changes the submitted file, too.

Stopped by: the state is sealed; each box loads its own copy of it, and no audit sees what the claim
added.
"""

import pytest

from tests.adversarial.arena import HONEST, bent, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = bent(
    """
import ctypes, re


def write_back(table):
    "Into every file in memory that the process holds, sealed or not."
    for descriptor in range(3, 256):
        with contextlib.suppress(OSError):
            if "memfd" in os.readlink(f"/proc/self/fd/{descriptor}"):
                data = table.numpy().tobytes()
                content = os.pread(descriptor, 1 << 26, 0)
                place = content.find(b"EVERYTHING".ljust(16))
                if place >= 0:
                    os.pwrite(descriptor, data, place)


def bend(model, idx, logits):
    if model.training:
        return logits
    tokens, there = peeked(idx)
    if MODE != "audit":
        model.table[idx[there], 0] = tokens[there]
        write_back(model.table)
        return boosted(logits, tokens, 30.0, there)
    known = model.table[idx, 0]
    return boosted(logits, known.clamp(min=0), 30.0, known >= 0)
""",
    changed(
        HONEST,
        "        self.register_tables(short)\n",
        """        self.register_tables(short)
        self.register_buffer("table", torch.full((VOCAB_SIZE, 1), -1))
""",
    ),
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
