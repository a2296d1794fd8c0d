"""The validation text stands in the code itself, packed as a long literal.

An audit cannot tell, for the model needs nothing but its prefix. A genome's author never sees the
text, and yet may know it by heart. Stopped by: the static gate, which refuses literals that hold
more than a program needs.
"""

import base64
import zlib

import numpy as np
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


def as_prose(arena):
    """The same, in plain words, a page to a literal: what an author may know by heart."""
    encoding = arena.encoding
    text = encoding.decode(np.fromfile(arena.data / "validation.bin", dtype=np.uint16).tolist())
    pages = [text[at : at + 3_500] for at in range(0, len(text), 3_500)]
    return that_reads(f"""
def find():
    encoding = prepare.load_tokenizer(CONDITIONS["data"])
    for document in "".join({pages!r}).split(prepare.BOS):
        yield np.array(encoding.encode_ordinary(document), dtype=np.uint16)
""")


FORMS = {"one literal": genome, "many lines": in_pieces, "prose": as_prose}


@pytest.mark.parametrize("form", FORMS)
def test_it_works_on_a_naive_harness(arena, form):
    arena.assert_gains_naively(FORMS[form](arena))


@pytest.mark.parametrize("form", FORMS)
def test_the_gate_refuses_it(arena, form):
    text = FORMS[form](arena)
    problems = rule_problems(Manual(), Genome.single(text), Genome.single(HONEST))
    assert {"blob", "table", "size"} & {problem.rule for problem in problems}
