import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.knob_axes import axis_of, move_size

NAMES = ("MATRIX_LR", "WARMDOWN", "ADAM_BETA", "INIT_STD", "SOFTCAP", "ANYTHING")


@given(name=st.sampled_from(NAMES), value=st.floats(1e-3, 0.99), other=st.floats(1e-3, 0.99))
def test_a_value_is_found_again_at_its_position_as_people_write_it(name, value, other):
    axis = axis_of(name, value)
    again = axis.value(axis.position(other))
    assert again == pytest.approx(other, rel=0.06, abs=0.006)
    assert axis.value(axis.position(again)) == pytest.approx(again)


@given(name=st.sampled_from(["DEPTH", "BATCH_SIZE", "WIDTH", "STEPS"]), value=st.integers(1, 4096))
def test_integers_stay_integers_above_nought(name, value):
    axis = axis_of(name, value)
    for step in (-3.3, 0.0, 2.6):
        found = axis.value(axis.position(value) + step)
        assert type(found) is int
        assert found >= 1


def test_batches_are_powers_of_two_and_widths_multiples_of_eight():
    assert axis_of("BATCH_SIZE", 64).value(6.4) == 64
    assert axis_of("WIDTH", 384).value(math.log2(200)) == 200
    assert axis_of("WIDTH", 384).value(math.log2(203)) == 200


@pytest.mark.parametrize("value", [None, True, "SSL", (0.9, 0.95), -1.0, math.inf])
def test_what_is_no_number_of_the_scale_has_no_position(value):
    assert axis_of("MATRIX_LR", 0.1).position(value) is None


@pytest.mark.parametrize(("name", "value"), [("RNG_SEED", 3), ("TIED", True), ("CAP", None)])
def test_some_knobs_have_no_scale(name, value):
    assert axis_of(name, value) is None


def test_a_distance_is_told_in_usual_steps():
    assert move_size("MATRIX_LR", 0.1, 0.1 * math.exp(0.4)) == pytest.approx(1.0)
    assert move_size("WARMDOWN", 0.2, 0.5) == pytest.approx(2.0)
    assert move_size("MATRIX_LR", 0.1, None) is None
