import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from population.summary import read_summary

PRINTED = """step 600 loss 3.21
---
val_bpb:          1.565000
training_seconds: 30.1
peak_vram_mb:     0.0
num_steps:        610
"""


def test_a_summary_holds_the_numbers_that_were_printed():
    summary = read_summary(PRINTED)
    assert summary.val_bpb == 1.565
    assert summary.values == {
        "val_bpb": 1.565,
        "training_seconds": 30.1,
        "peak_vram_mb": 0.0,
        "num_steps": 610.0,
    }


def test_the_last_block_counts():
    assert read_summary(PRINTED + "---\nval_bpb: 9\n").values == {"val_bpb": 9.0}
    assert read_summary(PRINTED + "---\ndone\n") is None


def test_progress_bars_and_chatter_are_passed_over():
    text = PRINTED.replace("---", "99 %\r100 %\r\n---\r") + "bye: see you\nWarning: 3 things\n"
    assert read_summary(text).val_bpb == 1.565


@pytest.mark.parametrize(
    "text",
    ["", "---", "val_bpb: 1.5", "---\nval_bpb: nan", "---\nval_bpb: inf", "---\nval_bpb: none",
     " ---\nval_bpb: 1", "----\nval_bpb: 1", "---\nval_bpb: 1\nval_bpb: nan"],
)  # fmt: skip
def test_without_a_finite_score_there_is_no_summary(text):
    assert read_summary(text) is None


@given(st.text() | st.text(alphabet="-\nval_bpb: 1.e+\r\0"))
def test_reading_is_total(text):
    summary = read_summary(f"---\n{text}")
    assert summary is None or all(map(math.isfinite, summary.values.values()))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_read_back(number):
    assert read_summary(f"---\nval_bpb: {number!r}\n").val_bpb == number
