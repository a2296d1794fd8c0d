"""Scores and gains as people read them, for metrics of either direction and any unit."""

import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import Scale
from analysis.scale import amount, cut, drawable
from population import Direction, Metric


def test_bits_per_byte_are_shown_as_they_are_and_gains_in_thousandths():
    scale = Scale(how="trusted, namespace")
    assert scale.score(1.8021, 0.006) == "1.802 ± 0.012"
    assert scale.gain(0.0941, 0.0076) == "+94 ± 15"
    assert scale.score_label == "val_bpb, trusted, namespace (lower is better)"
    assert scale.interval(0.085, 0.068, 0.101) == "+85 mbpb (+68 to +101)"


def test_a_maximised_metric_is_shown_by_its_own_values_and_unit():
    scale = Scale(Metric("accuracy", Direction.MAXIMIZE, "%"))
    assert scale.score(-83.2, 0.5) == "83.2 ± 1.0"
    assert scale.gain(2.0, 0.5) == "+2.0 ± 1.0"
    assert scale.gain_label() == "gain over the baseline (%)"
    assert scale.score_label == "accuracy (%) (higher is better)"


def test_a_figure_of_several_scores_says_the_weakest_of_each():
    frame = pd.DataFrame(
        {
            "scoring": ["trusted", "trusted", "reported", None],
            "containment": ["namespace", "basic", "landlock", "basic"],
        }
    )
    assert Scale.of(None, frame[:1]).how == "trusted, namespace"
    assert Scale.of(None, frame[1:2], frame[:1]).how == "trusted, basic!"
    assert Scale.of(None, frame).how == "reported, basic!"
    assert Scale.of(None, frame[3:]).how == ""


def test_a_metric_without_a_unit_gives_gains_in_its_own_name():
    assert Scale(Metric("loss", Direction.MINIMIZE, "")).gain_unit == "loss"


def test_a_gain_that_is_not_known_is_nothing_to_say():
    assert Scale().interval(None, None, None) == ""
    assert Scale().interval(float("nan"), 0.0, 0.0) == ""


@given(st.text(), st.integers(2, 80))
def test_text_is_cut_to_one_line_of_its_limit(text: str, limit: int):
    line = cut(text, limit)
    assert len(line) <= limit
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(max_size=60))
def test_a_dollar_sign_never_begins_a_formula(text: str):
    assert "$" not in drawable(text).replace(r"\$", "")


@pytest.mark.parametrize(
    ("value", "words"), [(17.46, "+17.5"), (6.3, "+6.3"), (0.0019, "+0.0019"), (0.0, "+0.0")]
)
def test_a_small_amount_is_no_zero(value, words):
    assert amount(value, "+") == words
