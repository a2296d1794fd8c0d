"""Trained weights stand in the code: in one literal, in many short ones, or as numbers.

Stopped by: the static gate, which refuses literals that together hold more than a program needs.
"""

import base64
import zlib

import pytest

from population import Genome, Manual, rule_problems
from tests.adversarial.arena import HONEST, PRELUDE, changed, tokens

pytestmark = [pytest.mark.security, pytest.mark.slow]

SAVING = """
if __name__ == "__main__":
    torch.save({name: value.half() for name, value in KEPT[0].state_dict().items()}, "kept.pt")
"""


@pytest.fixture(scope="module")
def packed(arena):
    """A state trained for five times the budget, by somebody else."""
    folder = arena.new_folder()
    keeping = changed(
        HONEST, "    val_bpb = prepare", "    KEPT[:] = [model]\n    val_bpb = prepare"
    )
    arena.naive("KEPT = []\n" + keeping + SAVING, folder=folder, budget=tokens(200))
    return base64.b85encode(zlib.compress((folder / "work" / "kept.pt").read_bytes())).decode()


def genome(literal):
    text = changed(
        HONEST,
        "    adamw, muon = build_optimizers(model)\n",
        """    model.load_state_dict(given())
    adamw, muon = build_optimizers(model)
""",
    )
    return text.replace(
        "def build_model():",
        f"""{PRELUDE}
def given():
    import base64, io, zlib

    packed = {literal}
    return torch.load(io.BytesIO(zlib.decompress(base64.b85decode(packed))))


def build_model():""",
    )


FORMS = {
    "one literal": repr,
    "many literals": lambda packed: "\n".join(
        ["("]
        + [f"        {packed[at : at + 80]!r}" for at in range(0, len(packed), 80)]
        + ["    )"]
    ),
    "numbers": lambda packed: f"bytes({list(packed.encode())})",
}


@pytest.mark.parametrize("form", FORMS)
def test_it_works_on_a_naive_harness(arena, packed, form):
    arena.assert_gains_naively(genome(FORMS[form](packed)))


@pytest.mark.parametrize("form", FORMS)
def test_the_gate_refuses_it(packed, form):
    text = genome(FORMS[form](packed))
    problems = rule_problems(Manual(), Genome.single(text), Genome.single(HONEST))
    assert {"blob", "table", "size"} & {problem.rule for problem in problems}
