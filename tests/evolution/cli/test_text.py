"""Numbers and names as words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.scale import decimals
from evolution.cli.text import (
    clean,
    duration,
    gain_words,
    plus_minus,
    verdict_lines,
)
from population import Metric, Ruling
from tests.builders import a_rung, a_verdict


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.53214, 0.0067, "1.532 ± 0.007"),
        (1.53214, 0.0134, "1.532 ± 0.013"),
        (1.53214, 0.4, "1.5 ± 0.4"),
        (20.31, 7.2, "20 ± 7"),
        (1.5321, 0.0, "1.5321 ± 0.0000"),
        (1.5, float("inf"), "1.5000 ± inf"),
    ],
)
def test_a_value_shows_the_digits_that_its_error_leaves_meaning(
    value: float, error: float, text: str
):
    assert plus_minus(value, error) == text


def test_a_gain_is_told_in_thousandths_with_its_sign():
    assert gain_words(0.0199, 0.003, Metric()) == "+20 ± 6"
    assert gain_words(-0.0199, 0.003, Metric()) == "-20 ± 6"


@given(st.floats(1e-6, 1e3))
def test_an_error_never_rounds_to_nothing(error: float):
    assert float(f"{error:.{decimals(error)}f}") > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (420, "7 min"), (11_100, "3 h 05 min"), (190_000, "2 d 4 h")],
)
def test_a_duration_is_told_in_the_unit_people_think_in(seconds: float, text: str):
    assert duration(seconds) == text


@given(st.text())
def test_cleaned_text_holds_no_control_character(text: str):
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in clean(text))


def test_tabs_keep_their_columns_on_a_terminal():
    assert clean("a\tb\x1b[2J") == "a   b"


def test_a_verdict_without_a_claim_is_told_as_such():
    lines = verdict_lines(a_verdict(champion=None, rungs=()), None, Metric())
    assert lines == ["v001: none confirmed; no variant promised a gain worth testing"]


def test_a_rung_without_scores_claims_no_gain():
    rung = a_rung(gain=None, low=None, high=None, pair_count=0, ruling=Ruling.UNDECIDED)
    lines = verdict_lines(a_verdict(rungs=(rung,)), "g001-001", Metric())
    assert "none confirmed" in lines[0]
    assert "gain" not in lines[1]
    assert "too few pairs" in lines[1]


def test_a_gain_without_an_interval_shows_none():
    rung = a_rung(low=None, high=None, pair_count=1, ruling=Ruling.UNDECIDED)
    line = verdict_lines(a_verdict(rungs=(rung,)), "g001-001", Metric())[1]
    assert "gain +10.0 mbpb" in line
    assert "95 %" not in line
    assert line.endswith("1 pair")
