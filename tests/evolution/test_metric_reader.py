"""One number out of all that a script prints: found anywhere, refused when it is not one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.sandbox.metric_reader import MetricError, MetricReader


def read(
    output: str | bytes, pattern: str = "", *, takes_last: bool = False, cut: int = 7
) -> float:
    data = output.encode() if isinstance(output, str) else output
    reader = MetricReader("val_loss", pattern, takes_last=takes_last)
    for start in range(0, len(data), cut):
        reader.feed(data[start : start + cut])
    return reader.score()


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("val_loss: 0.5\n", 0.5),
        ("---\nval_loss: 0.5\nother: 1", 0.5),
        ("val_loss = -1.5e-3", -0.0015),
        ("  val_loss:.5  \r\n", 0.5),
        ("10%|█\r100%|██\rval_loss: 2\r\n", 2.0),
        ("\x1b[32mval_loss: 0.25\x1b[0m\n", 0.25),
        ("epoch 1 val_loss: 9\nval_loss: 0.5\n", 0.5),
        ("best_val_loss: 9\nval_loss: 0.5\nval_loss: 0.5\n", 0.5),
    ],
)
def test_the_metric_is_read_from_its_line(output: str, value: float):
    assert read(output) == value


def test_a_pattern_finds_it_within_a_line():
    assert read("epoch 3, val 93.5%, done\n", r"val ([\d.]+)%") == 93.5


def test_the_metric_is_found_in_the_middle_of_a_flood():
    flood = b"x" * 100_000 + b"\n" + b"noise\n" * 50_000
    assert read(flood + b"val_loss: 0.5\n" + flood, cut=65_536) == 0.5


@pytest.mark.parametrize(
    ("output", "pattern", "kind", "words"),
    [
        ("", "", "contract", "never printed: none of 0 lines"),
        ("loss: 3\n", "", "contract", "a line `val_loss: NUMBER`"),
        ("loss: 3\n", "val (.+)", "contract", "the pattern val (.+)"),
        ("val_loss: nan\n", "", "not_finite", "val_loss is nan"),
        ("val_loss: -inf\n", "", "not_finite", "val_loss is -inf"),
        ("val_loss: 1\nval_loss: 2\n", "", "contract", "appears 2 times with different values"),
        ("val_loss: ten\n", "val_loss: (.+)", "contract", "is no number: 'ten'"),
    ],
)
def test_what_is_no_score_is_refused_with_the_reason(
    output: str, pattern: str, kind: str, words: str
):
    with pytest.raises(MetricError, match="val_loss") as caught:
        read(output, pattern)
    assert caught.value.kind == kind
    assert words in caught.value.message


def test_of_several_values_the_last_counts_where_it_is_asked_for():
    assert read("val_loss: 1\nval_loss: 2\n", takes_last=True) == 2.0
    with pytest.raises(MetricError, match="nan"):
        read("val_loss: 1\nval_loss: nan\n", takes_last=True)


@given(st.binary(), st.integers(1, 50))
def test_reading_is_total_over_any_bytes(data: bytes, cut: int):
    try:
        value = read(data, r"(\S+)", cut=cut)
    except MetricError:
        return
    assert math.isfinite(value)


def test_an_endless_line_takes_no_memory():
    reader = MetricReader("val_loss", "", takes_last=False)
    for _ in range(1000):
        reader.feed(b"x" * 10_000)
    assert len(reader._partial) <= 4096
