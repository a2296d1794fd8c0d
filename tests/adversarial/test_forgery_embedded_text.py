"""The validation text stands in the code itself, packed as a long literal.

An audit cannot tell, for the model needs nothing but its prefix. A genome's author never sees the
text, and yet may know it by heart. Stopped by: the static gate, which refuses literals that hold
more than a program needs.
"""

import base64
import zlib

import pytest

from population import Genome, Manual, rule_problems
from tests.adversarial.arena import HONEST, that_reads

pytestmark = [pytest.mark.security, pytest.mark.slow]


def genome(arena):
    packed = base64.b85encode(zlib.compress((arena.data / "validation.bin").read_bytes())).decode()
    return that_reads(f"""
def find():
    import base64, zlib

    yield np.frombuffer(zlib.decompress(base64.b85decode({packed!r})), dtype=np.uint16)
""")


def in_pieces(arena):
    """The same, as lines of a size that a program may well have."""
    text = genome(arena)
    packed = text.split("b85decode('")[1].split("')")[0]
    lines = "\\n".join(f"    '{packed[at : at + 80]}'" for at in range(0, len(packed), 80))
    return text.replace(f"'{packed}'", f"(\n{lines}\n)".replace("\\n", "\n"))


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(genome(arena))
    arena.assert_gains_naively(in_pieces(arena))


def test_the_gate_refuses_it(arena):
    for text in (genome(arena), in_pieces(arena)):
        problems = rule_problems(Manual(), Genome.single(text), Genome.single(HONEST))
        assert problems, len(text)
