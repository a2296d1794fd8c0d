import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import KnobEdit, Proposal, Refusal, StructureEdit
from agents.knob_moves import divisibility_breaks
from population import (
    Genome,
    Manual,
    Origin,
    canonical_hash,
    contract_problems,
    knobs,
    rule_problems,
    set_knobs,
)
from tests.agents.parents import TRAIN, a_context

OPERATORS = [KnobEdit(), StructureEdit()]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
@settings(max_examples=10)
@given(rng_seed=st.integers(0, 2**32))
def test_a_proposal_is_new_and_keeps_the_contract(operator, rng_seed):
    context = a_context(rng_seed=rng_seed)
    proposal = operator.propose(context)
    assert isinstance(proposal, Proposal)
    assert contract_problems(proposal.genome) == []
    assert canonical_hash(proposal.genome) != canonical_hash(context.parents[0].genome)
    assert proposal.parents == (context.parents[0].variant.sha,)
    assert proposal.origin is Origin.MUTATION
    assert proposal.operator == operator.name
    assert "\n" not in proposal.hypothesis


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_a_proposal_replays_from_its_seed(operator):
    first, second = (operator.propose(a_context(rng_seed=5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_nothing_is_proposed_twice(operator):
    seen = set()
    for rng_seed in (3, 3, 3):
        proposal = operator.propose(a_context(rng_seed=rng_seed, seen=frozenset(seen)))
        assert canonical_hash(proposal.genome) not in seen
        seen.add(canonical_hash(proposal.genome))


@settings(max_examples=12)
@given(rng_seed=st.integers(0, 2**32))
def test_one_or_two_knobs_move_and_nothing_else(rng_seed):
    proposal = KnobEdit().propose(a_context(rng_seed=rng_seed))
    before, after = knobs(TRAIN), knobs(proposal.genome.main)
    changed = {name: after[name] for name in after if after[name] != before[name]}
    assert 1 <= len(changed) <= 2
    assert set_knobs(TRAIN, changed) == proposal.genome.main
    assert proposal.trailers == {"Knob": ", ".join(proposal.trailers["Knob"].split(", "))}
    assert set(proposal.trailers["Knob"].split(", ")) == set(changed)
    assert divisibility_breaks(before, after) == ""


def test_when_all_has_been_tried_the_refusal_says_so():
    text = "import prepare\nIS_TIED = True\ndef build_model(): pass\n"
    text += 'if __name__ == "__main__":\n prepare.make_dataloader(1)\n prepare.evaluate_bpb(1)\n'
    other = canonical_hash(Genome.single(set_knobs(text, {"IS_TIED": False})))
    assert isinstance(KnobEdit().propose(a_context(text)), Proposal)
    refusal = KnobEdit().propose(a_context(text, seen=frozenset({other})))
    assert isinstance(refusal, Refusal)
    assert "tried before" in refusal.reason
    refusal = StructureEdit().propose(a_context(text))
    assert isinstance(refusal, Refusal)
    assert "no place for it" in refusal.reason


@pytest.mark.parametrize("text", ["", "not python (", "A = 1\n", "\0"])
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_a_parent_that_is_no_genome_gives_a_refusal(operator, text):
    refusal = operator.propose(a_context(text))
    assert isinstance(refusal, Refusal)
    assert refusal.operator == operator.name


def test_a_knob_that_would_leave_all_numbers_is_not_moved():
    text = TRAIN.replace("MATRIX_LR = 0.04", "MATRIX_LR = 1.7e308")
    for rng_seed in range(8):
        assert isinstance(KnobEdit().propose(a_context(text, rng_seed=rng_seed)), Proposal)


def test_knobs_that_are_frozen_are_never_drawn():
    free = {"MATRIX_LR", "WARMDOWN"}
    manual = Manual(frozen=tuple(set(knobs(TRAIN)) - free))
    for rng_seed in range(20):
        proposal = KnobEdit().propose(a_context(rng_seed=rng_seed, manual=manual))
        assert set(proposal.trailers["Knob"].split(", ")) <= free


def test_a_genome_whose_knobs_are_all_frozen_is_refused_at_once():
    refusal = KnobEdit().propose(a_context(manual=Manual(frozen=("train.py",))))
    assert "every knob of train.py is frozen" in refusal.reason


def test_structural_edits_leave_frozen_code_alone():
    manual = Manual(frozen=("Attention", "MLP", "Block"))
    baseline = Genome.single(TRAIN)
    for rng_seed in range(4):
        proposal = StructureEdit().propose(a_context(rng_seed=rng_seed, manual=manual))
        assert rule_problems(manual, proposal.genome, baseline) == []
