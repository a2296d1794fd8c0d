import dataclasses
import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import ArchivedEdit, GuidedCrossover, Proposal, Refusal
from agents.guided import CANDIDATES, MOST_EDITS
from population import Genome, Origin, canonical_hash, knobs, set_knobs
from tests.agents.parents import TRAIN, a_context
from tests.builders import a_variant

SIGMA = 0.003
GELU = TRAIN.replace("F.relu(self.up(x)).square()", "F.gelu(self.up(x))")
SILU = TRAIN.replace("F.relu(self.up(x)).square()", "F.silu(self.up(x))")
NAMES = ("MATRIX_LR", "EMBEDDING_LR", "UNEMBEDDING_LR", "SOFTCAP", "WARMDOWN", "ADAM_BETA1")


def an_edit(serial, after, gain, before=TRAIN, *, is_carried=False):
    genomes = (Genome.single(before), Genome.single(after))
    return ArchivedEdit(a_variant(serial), gain, is_carried, lambda: genomes)


def a_knob_edit(serial, gain, **changes):
    return an_edit(serial, set_knobs(TRAIN, changes), gain)


def guided(edits, parent=TRAIN, operator=None, **changes):
    context = a_context(parent, archive=lambda: edits, **({"sigma": SIGMA} | changes))
    return (operator or GuidedCrossover()).propose(context)


def test_edits_that_seem_to_help_come_together_on_the_parent():
    gelu, rate = an_edit(7, GELU, 0.002), a_knob_edit(8, 0.004, MATRIX_LR=0.02)
    useless, bad = a_knob_edit(9, 0.0001, SOFTCAP=9.0), a_knob_edit(10, -0.1, WARMDOWN=0.9)
    proposal = guided([gelu, rate, useless, bad], set_knobs(TRAIN, {"EMBEDDING_LR": 0.25}))
    assert isinstance(proposal, Proposal)
    assert proposal.genome.main == set_knobs(GELU, {"EMBEDDING_LR": 0.25, "MATRIX_LR": 0.02})
    assert proposal.adds == (rate.variant.sha, gelu.variant.sha)
    assert proposal.drops == ()
    assert proposal.expected_gain == pytest.approx(0.006)
    assert proposal.origin is Origin.CROSSOVER
    assert len(proposal.parents) == 1


def test_an_edit_that_the_parent_carries_and_that_hurts_is_taken_out():
    carried = an_edit(7, GELU, 0.005, is_carried=True)
    parent = set_knobs(GELU, {"EMBEDDING_LR": 0.25})
    proposal = guided([carried], parent)
    assert proposal.genome.main == set_knobs(TRAIN, {"EMBEDDING_LR": 0.25})
    assert (proposal.adds, proposal.drops) == ((), (carried.variant.sha,))
    assert isinstance(guided([carried], parent, GuidedCrossover(may_drop=False)), Refusal)


def test_an_edit_in_conflict_with_the_parent_or_a_better_one_stays_out():
    gelu, silu = an_edit(7, GELU, 0.009), an_edit(8, SILU, 0.008)
    rate, other_rate = a_knob_edit(9, 0.007, MATRIX_LR=0.02), a_knob_edit(10, 0.006, MATRIX_LR=0.1)
    proposal = guided([silu, gelu, other_rate, rate])
    assert proposal.adds == (gelu.variant.sha, rate.variant.sha)


def test_an_edit_that_the_parent_has_from_elsewhere_is_not_added():
    gelu = an_edit(7, GELU, 0.009)
    assert isinstance(guided([gelu], GELU), Refusal)


def test_an_edit_of_which_a_part_is_there_already_stays_out():
    one = a_knob_edit(7, 0.009, MATRIX_LR=0.02)
    both = a_knob_edit(8, 0.008, MATRIX_LR=0.02, EMBEDDING_LR=0.5)
    assert guided([one, both]).adds == (one.variant.sha,)
    assert guided([both]).adds == (both.variant.sha,)
    carried = an_edit(9, set_knobs(TRAIN, {"MATRIX_LR": 0.02}), 0.007, is_carried=True)
    proposal = guided([both, carried], set_knobs(TRAIN, {"MATRIX_LR": 0.02}))
    assert (proposal.adds, proposal.drops) == ((), (carried.variant.sha,))


def test_the_most_promising_edits_alone_are_looked_at():
    looked = []

    def promising(serial):
        edit = a_knob_edit(serial, 0.02 - serial / 1e4, MATRIX_LR=0.02)
        return dataclasses.replace(edit, genomes=lambda: looked.append(serial) or edit.genomes())

    guided([promising(serial) for serial in range(CANDIDATES + 20)])
    assert set(looked) == set(range(CANDIDATES))


def test_little_gain_is_not_worth_a_training():
    edits = [a_knob_edit(i, 0.15 * SIGMA, **{name: 0.5}) for i, name in enumerate(NAMES[:3])]
    assert isinstance(guided(edits), Refusal)
    assert isinstance(guided([a_knob_edit(9, 0.06 * SIGMA, SOFTCAP=9.0)]), Refusal)


def test_a_set_that_was_tried_gives_way_to_another():
    edits = [a_knob_edit(i, 0.01 - i / 1e4, **{name: 0.5}) for i, name in enumerate(NAMES)]
    seen = {canonical_hash(guided(edits).genome)}
    for rng_seed in range(5):
        proposal = guided(edits, seen=frozenset(seen), rng_seed=rng_seed)
        assert isinstance(proposal, Proposal)
        assert canonical_hash(proposal.genome) not in seen
        seen.add(canonical_hash(proposal.genome))
    alone = [edits[0]]
    only = canonical_hash(guided(alone).genome)
    assert "tried before" in guided(alone, seen=frozenset([only])).reason


def test_without_noise_or_archive_there_is_nothing_to_go_by():
    assert isinstance(guided([]), Refusal)
    assert isinstance(guided([an_edit(7, GELU, 0.01)], sigma=None), Refusal)


VALUE = st.sampled_from([0.3, 0.5]) | st.floats(0.01, 0.9)
VALUES = st.dictionaries(st.sampled_from(NAMES), VALUE, min_size=1, max_size=3)


def changed_knobs(values):
    """Without those that say what the root says already: they change nothing."""
    before = knobs(TRAIN)
    return {name: value for name, value in values.items() if value != before[name]}


@settings(max_examples=25)
@given(changes=st.lists(VALUES, min_size=1, max_size=9), gains=st.randoms(use_true_random=False))
def test_each_added_edit_is_there_whole(changes, gains):
    edits = [a_knob_edit(i, gains.uniform(0.001, 0.01), **some) for i, some in enumerate(changes)]
    proposal = guided(edits)
    if isinstance(proposal, Refusal):
        assert "should gain" in proposal.reason
        return
    assert 1 <= len(proposal.adds) <= MOST_EDITS
    chosen = [edit for edit in edits if edit.variant.sha in proposal.adds]
    changed = [changed_knobs(changes[edits.index(edit)]) for edit in chosen]
    assert changed_knobs(knobs(proposal.genome.main)) == functools.reduce(dict.__or__, changed)
    assert proposal.expected_gain == pytest.approx(sum(edit.gain for edit in chosen))
    for one, other in itertools.combinations(changed, 2):
        assert not one.keys() & other.keys()  # no edit counts for what another did
