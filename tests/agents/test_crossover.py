from hypothesis import given
from hypothesis import strategies as st

from agents import Crossover, Proposal, Refusal
from agents.crossover import merged_knobs
from population import Genome, Origin, canonical_hash, knobs, set_knobs
from tests.agents.parents import TRAIN, a_context

GELU = TRAIN.replace("F.relu(self.up(x)).square()", "F.gelu(self.up(x))")
SILU = TRAIN.replace("F.relu(self.up(x)).square()", "F.silu(self.up(x))")
CAPLESS = set_knobs(TRAIN, {"SOFTCAP": 0.0})
BASE = Genome.single(TRAIN)


def cross(one, other, operator=None, **changes):
    context = a_context(one, other, **({"base": BASE} | changes))
    return (operator or Crossover()).propose(context), context


def with_knobs(**changes):
    return set_knobs(TRAIN, changes)


# --- without a model -----------------------------------------------------------------------------


def test_what_both_parents_changed_comes_together():
    proposal, context = cross(GELU, CAPLESS)
    assert isinstance(proposal, Proposal)
    assert proposal.genome.main == set_knobs(GELU, {"SOFTCAP": 0.0})
    assert proposal.parents == tuple(parent.variant.sha for parent in context.parents)
    assert proposal.origin is Origin.CROSSOVER
    assert proposal.operator == "merge"


def test_knobs_are_merged_by_name_though_they_stand_side_by_side():
    proposal, _ = cross(
        with_knobs(EMBEDDING_LR=0.3), with_knobs(UNEMBEDDING_LR=0.008, MATRIX_LR=0.02)
    )
    after = knobs(proposal.genome.main)
    assert (after["EMBEDDING_LR"], after["UNEMBEDDING_LR"], after["MATRIX_LR"]) == (
        0.3,
        0.008,
        0.02,
    )


def test_a_knob_both_changed_takes_the_fitter_value_or_the_middle():
    one, other = with_knobs(MATRIX_LR=0.02, DEPTH=3), with_knobs(MATRIX_LR=0.08, WARMDOWN=0.7)
    rates = set()
    for rng_seed in range(8):
        proposal, _ = cross(one, other, rng_seed=rng_seed)
        rates.add(knobs(proposal.genome.main)["MATRIX_LR"])
        assert proposal.trailers == {"Knob": "MATRIX_LR"}
    assert rates == {0.02, 0.04}


def test_powers_of_two_meet_in_a_power_of_two():
    merged = merged_knobs(
        BASE,
        Genome.single(with_knobs(BATCH_SIZE=4)),
        Genome.single(with_knobs(BATCH_SIZE=64)),
        is_mixing=True,
    )
    assert merged.values["BATCH_SIZE"] == 16
    assert merged.both_changed == ("BATCH_SIZE",)


NAMES = st.sampled_from(["DEPTH", "MATRIX_LR", "WARMDOWN", "WINDOW_PATTERN", "BATCH_SIZE"])
CHANGES = st.dictionaries(NAMES, st.integers(1, 64) | st.floats(0.01, 1))


BLOCK_ALONE = "".join(f"{name} = {value!r}\n" for name, value in knobs(TRAIN).items())


@given(one=CHANGES, other=CHANGES, is_mixing=st.booleans())
def test_merging_knobs_keeps_what_one_changed_and_what_none_did(one, other, is_mixing):
    base, ours, theirs = (
        Genome.single(set_knobs(BLOCK_ALONE, changes)) for changes in ({}, one, other)
    )
    before, after_one, after_other = (knobs(genome.main) for genome in (base, ours, theirs))
    merged = merged_knobs(base, ours, theirs, is_mixing=is_mixing).values
    assert list(merged) == list(before)
    for name, value in merged.items():
        if after_one[name] == before[name]:
            assert value == after_other[name]
        elif after_other[name] == before[name]:
            assert value == after_one[name]


def test_a_conflict_is_a_refusal_that_counts():
    refusal, _ = cross(GELU, SILU)
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("1 conflict")


def test_a_merge_that_is_one_parent_again_is_refused():
    refusal, _ = cross(set_knobs(GELU, {"SOFTCAP": 0.0}), GELU)
    assert isinstance(refusal, Refusal)
    assert "equal to a parent" in refusal.reason


def test_a_merge_that_was_tried_before_is_refused():
    tried = canonical_hash(Genome.single(set_knobs(GELU, {"SOFTCAP": 0.0})))
    refusal, _ = cross(GELU, CAPLESS, seen=frozenset({tried}))
    assert "tried before" in refusal.reason


def test_a_merge_that_breaks_a_divisibility_is_refused():
    refusal, _ = cross(with_knobs(WIDTH=192), with_knobs(HEAD_DIM=128))
    assert isinstance(refusal, Refusal)
    assert "no multiple" in refusal.reason


def test_without_an_ancestor_there_is_no_merge():
    refusal, _ = cross(GELU, CAPLESS, base=None)
    assert "common ancestor" in refusal.reason
    refusal = Crossover().propose(a_context(GELU, base=BASE))
    assert "two parents" in refusal.reason
