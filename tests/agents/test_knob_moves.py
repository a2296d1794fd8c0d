import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from agents.knob_moves import Surroundings, divisibility_breaks, moved, off_values
from population import knobs
from tests.agents.parents import TRAIN

seeds = st.integers(0, 2**32)
BASELINE = knobs(TRAIN)


def all_moves(name, value, count=60, off=None, **others):
    around = Surroundings({name: value, **others}, {} if off is None else {name: off[0]})
    return [moved(name, around, default_rng(seed)) for seed in range(count)]


@given(name=st.sampled_from(sorted(BASELINE)), seed=seeds)
def test_a_knob_keeps_its_type(name, seed):
    value = BASELINE[name]
    new = moved(name, Surroundings(BASELINE, {}), default_rng(seed))
    assert type(new) is type(value)


@given(
    name=st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True),
    value=st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300)
    | st.text(max_size=12)
    | st.tuples(st.floats(0, 1), st.integers(0, 99)),
    seed=seeds,
)
def test_a_knob_of_any_name_and_value_moves_or_stays(name, value, seed):
    moved(name, Surroundings({name: value}, {}), default_rng(seed))


@given(seed=seeds)
def test_a_move_replays_from_its_seed(seed):
    around = Surroundings(BASELINE, {})
    for name in BASELINE:
        assert moved(name, around, default_rng(seed)) == moved(name, around, default_rng(seed))


def test_sizes_keep_round_numbers():
    assert set(all_moves("WIDTH", 128)) == {64, 96, 192, 256}
    assert set(all_moves("BATCH_SIZE", 16)) == {8, 32}


def test_depth_goes_up_and_down_but_never_to_nought():
    assert set(all_moves("DEPTH", 2)) == {1, 3}
    assert set(all_moves("N_LAYER", 1)) == {2}


@pytest.mark.parametrize("name", ["MATRIX_LR", "WEIGHT_DECAY", "SOMETHING_NEW"])
def test_rates_move_by_factors(name):
    new = all_moves(name, 0.04)
    assert all(0.004 < value < 0.4 for value in new)
    assert min(new) < 0.04 < max(new)
    assert all(float(f"{value:.2g}") == value for value in new)


@pytest.mark.parametrize(("name", "value"), [("WARMDOWN", 0.5), ("WARMUP", 0.0), ("FINAL_LR", 1.0)])
def test_shares_stay_between_nought_and_one(name, value):
    new = all_moves(name, value)
    assert all(0 <= share <= 1 for share in new)
    assert len(set(new)) > 5


def test_betas_move_on_the_scale_of_what_they_forget():
    new = all_moves("ADAM_BETA2", 0.999)
    assert all(0.99 < beta < 1 for beta in new)
    assert all(0 < beta < 1 for beta in all_moves("MUON_MOMENTUM", 0.95))


def test_truths_flip():
    assert set(all_moves("IS_TIED", False)) == {True}


def test_patterns_change_a_letter_that_a_layer_reads():
    assert set(all_moves("WINDOW_PATTERN", "SSSL", DEPTH=2)) == {"LSSL", "SLSL"}
    assert set(all_moves("PATTERN", "ABB")) == {"BBB", "AAB", "ABA"}
    assert set(all_moves("PATTERN", "AAA")) == {"AAA"}


def test_data_types_become_other_data_types():
    assert set(all_moves("DTYPE", "bfloat16")) == {"float16", "float32"}


def test_tuples_move_one_element_as_their_name_says():
    for beta1, beta2 in all_moves("ADAM_BETAS", (0.8, 0.95)):
        assert (beta1 == 0.8) != (beta2 == 0.95)
        assert 0 < beta1 < 1
        assert 0 < beta2 < 1


@pytest.mark.parametrize("name", ["RNG_SEED", "VOCAB_SIZE", "MAX_SEQ_LEN", "POLYNOMIALS"])
def test_some_knobs_are_not_for_turning(name):
    value = ((1.0, 2.0), (3.0, 4.0)) if name == "POLYNOMIALS" else 512
    assert set(all_moves(name, value)) == {value}


def test_a_cap_can_be_turned_off_where_the_code_knows_how():
    assert 0.0 not in all_moves("SOFTCAP", 15.0)
    assert 0.0 in all_moves("SOFTCAP", 15.0, off=(0.0,))
    assert None in all_moves("GRAD_CLIP", 1.0, off=(None,))
    assert all(cap > 0 for cap in all_moves("SOFTCAP", 0.0, off=(0.0,)))
    assert all(cap > 0 for cap in all_moves("GRAD_CLIP", None, off=(None,)))


def test_the_off_value_is_read_from_the_code():
    text = "y = f(x) if A else x\nif B is not None: pass\nif not C: pass\nif D > 1: pass\n"
    text += "if E.x: pass\n"
    assert off_values(text, {"A": 1.0, "B": 2.0, "C": 3, "D": 1, "E": 1}) == {
        "A": 0.0,
        "B": None,
        "C": 0,
    }


def test_obvious_divisibility_is_seen():
    before = {"WIDTH": 128, "HEAD_DIM": 64, "TOTAL_BATCH": 64, "BATCH_SIZE": 16}
    assert divisibility_breaks(before, before | {"WIDTH": 192}) == ""
    assert "WIDTH" in divisibility_breaks(before, before | {"WIDTH": 96})
    assert "HEAD_DIM" in divisibility_breaks(before, before | {"HEAD_DIM": 33, "WIDTH": 66})
    assert "TOTAL_BATCH" in divisibility_breaks(before, before | {"BATCH_SIZE": 24})
    assert divisibility_breaks(before | {"WIDTH": 100}, before | {"WIDTH": 90}) == ""


def test_rates_move_far_enough_to_be_seen():
    assert all(abs(math.log(value / 0.1)) > 0.15 for value in all_moves("MATRIX_LR", 0.1))
