"""Crossover by a model: what it is shown and may hand in, and what is refused unasked."""

import dataclasses

import pytest

from agents import Asking, ModelCrossover, Proposal, Refusal, ScriptedModel
from agents.briefing import Briefing, Effect
from agents.uniting import is_contained
from population import Contract, Fitness, Genome, Origin, set_knobs
from tests.agents.parents import TRAIN, a_context, a_parent

GELU = TRAIN.replace("F.relu(self.up(x)).square()", "F.gelu(self.up(x))")
SILU = TRAIN.replace("F.relu(self.up(x)).square()", "F.silu(self.up(x))")
CAPLESS = set_knobs(TRAIN, {"SOFTCAP": 0.0})
BASE = Genome.single(TRAIN)
BOTH = set_knobs(GELU, {"SOFTCAP": 0.0})

HEAD = "HYPOTHESIS: both\nEXPECTED_GAIN: 1e-3\n"
BLOCK = """
<<<<<<< SEARCH
SOFTCAP = 15.0  # logits stay within plus and minus this; 0 turns the cap off
=======
SOFTCAP = 0.0  # logits stay within plus and minus this; 0 turns the cap off
>>>>>>> REPLACE
"""


def cross(model, one=GELU, other=CAPLESS, **changes):
    context = a_context(one, other, **({"base": BASE} | changes))
    return ModelCrossover(model).propose(context), context


@pytest.mark.parametrize("reply", [HEAD + BLOCK, f"{HEAD}```python\n{BOTH}```\n"])
def test_a_model_may_answer_with_blocks_on_the_first_parent_or_the_whole_file(reply):
    proposal, context = cross(ScriptedModel([reply]))
    assert isinstance(proposal, Proposal)
    assert proposal.genome.main == BOTH
    assert proposal.parents == tuple(parent.variant.sha for parent in context.parents)
    assert proposal.origin is Origin.CROSSOVER
    assert proposal.expected_gain == 0.001


def test_a_model_is_shown_both_parents_their_changes_and_the_clash():
    model = ScriptedModel([HEAD + BLOCK])
    cross(model, GELU, SILU)
    (prompt,) = model.prompts
    assert "-        return self.down(F.relu(self.up(x)).square())" in prompt
    assert "+        return self.down(F.gelu(self.up(x)))" in prompt
    assert "+        return self.down(F.silu(self.up(x)))" in prompt
    assert "clash in 1 place." in prompt


def test_a_model_is_told_what_the_union_would_gain_if_effects_add():
    brought = [
        Effect("g001-004", "knob", "no cap", 0.004, 0.0003),
        Effect("g002-009", "mutator", "wider", 0.002, 0.0004),
    ]
    model = ScriptedModel([HEAD + BLOCK] * 2)
    one, other = a_parent(GELU, 0, Fitness(1.56, 0.001, 2)), a_parent(CAPLESS, 1)
    cross(model, parents=[one, other], briefing=Briefing(mate_lineage=brought))
    assert "gains +0.00600 ± 0.00098 over the first. That is the sum" in model.prompts[0]
    unknown = [dataclasses.replace(brought[0], gain=None, sd=None), brought[1]]
    cross(model, parents=[one, other], briefing=Briefing(mate_lineage=unknown))
    assert "cannot be said yet" in model.prompts[1]


def test_a_model_that_gives_nothing_usable_twice_is_a_refusal():
    model = ScriptedModel(["Well.", f"```\n{GELU}```"])
    refusal, _ = cross(model, GELU, SILU)
    assert isinstance(refusal, Refusal)
    assert "equal to a parent" in refusal.reason
    assert "no SEARCH/REPLACE block and not one fenced file" in model.prompts[1]


def test_a_model_needs_two_parents():
    assert isinstance(ModelCrossover(ScriptedModel([])).propose(a_context(GELU)), Refusal)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GELU, BOTH),
        (BOTH, GELU),
        (GELU, GELU.replace("(F.gelu(self.up(x)))", "(F.gelu(self.up(x)))  # smooth")),
        (TRAIN, SILU),
        # A textual conflict, though what the one changed is all there in the other.
        (CAPLESS, CAPLESS.replace("SOFTCAP = 0.0  #", "SOFTCAP = 0.0\nEXTRA = 1  #")),
    ],
)
def test_parents_with_the_same_idea_are_refused_before_a_model_is_asked(one, other):
    model = ScriptedModel([HEAD + BLOCK])
    refusal, _ = cross(model, one, other)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "one parent has all that the other changed"
    assert model.asked == []


def test_ideas_that_differ_in_a_value_or_a_place_are_not_the_same():
    genomes = [
        Genome.single(text)
        for text in (GELU, SILU, CAPLESS, BOTH, set_knobs(TRAIN, {"SOFTCAP": 20.0}))
    ]
    contained = {
        (i, j)
        for i, one in enumerate(genomes)
        for j, other in enumerate(genomes)
        if i != j and is_contained(BASE, one, other)
    }
    assert contained == {(0, 3), (2, 3)}


def test_a_parent_that_only_moved_lines_is_not_taken_for_one_without_a_change():
    lines = ["a = 1", "b = 2", "c = 3", "d = 4", "e = 5", ""]
    base = Genome.single("\n".join(lines))
    moved = Genome.single("\n".join([lines[1], lines[0], *lines[2:]]))
    other = Genome.single(base.main.replace("e = 5", "e = 6"))
    assert not is_contained(base, moved, other)
    assert not is_contained(base, other, moved)


def test_a_genome_of_several_files_is_united_file_by_file():
    base = Genome({"go.py": "import net\nrate = 1\n", "net.py": "size = 1\n"}, "go.py")
    one, other = (
        base.with_file("net.py", "size = 2\n"),
        base.with_file("go.py", "import net\nrate = 3\n"),
    )
    parents = [
        dataclasses.replace(a_parent(serial=number), genome=genome)
        for number, genome in enumerate((one, other))
    ]
    script = Contract(is_script=True)
    context = a_context(parents=parents, baseline=base, base=base, contract=script)
    blocks = "<<<<<<< SEARCH\nrate = 1\n=======\nrate = 3\n>>>>>>> REPLACE\n"
    proposal = ModelCrossover(ScriptedModel([blocks]), Asking()).propose(context)
    assert isinstance(proposal, Proposal)
    assert proposal.genome == Genome({**one.files, "go.py": "import net\nrate = 3\n"}, "go.py")
