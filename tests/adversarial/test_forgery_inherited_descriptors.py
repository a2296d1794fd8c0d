"""The validation text is looked for among descriptors and memory that a process is born with.

Stopped by: a process in the box is forked by one that never held it, and inherits only its line.
"""

import os

import pytest

from tests.adversarial.arena import that_reads

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = that_reads("""
def find():
    import re

    for descriptor in range(3, 256):
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(descriptor).st_size
            data = os.pread(descriptor, size, 0)
            training = b"train.bin" in os.readlink(f"/proc/self/fd/{descriptor}").encode()
            if 1000 < size < 1 << 20 and size % 2 == 0 and not training:
                yield np.frombuffer(data, dtype=np.uint16)
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("validation.bin") or line.endswith("slice.bin"):
            yield np.fromfile(line.split()[-1], dtype=np.uint16)
""")


def test_it_works_on_a_naive_harness(arena):
    """Naive: the ruler has mapped the text before training begins."""
    mapped = "\n_kept = _state().tokens_of('validation.bin')\n"
    arena.assert_gains_naively(GENOME, ruler_tail=mapped)


def test_it_finds_nothing(arena):
    with (arena.data / "validation.bin").open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        arena.assert_scored_as_honest(arena.scored(GENOME))
