import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.scoring import ScoringError, bits_per_byte, cut_rows, read_rows, rows_per_batch

LENGTHS = np.array([1, 2, 3, 4, 0], dtype=np.uint16)


@given(st.integers(1, 9), st.lists(st.integers(0, 4), min_size=10, max_size=80))
def test_rows_are_disjoint_and_show_every_token_but_the_rest_once(seq_len, tokens):
    rows = cut_rows(np.array(tokens, dtype=np.uint16), seq_len, LENGTHS)
    whole = len(tokens) // (seq_len + 1) * (seq_len + 1)
    assert rows.tokens.flatten().tolist() == tokens[:whole]
    assert (rows.inputs[:, 1:] == rows.targets[:, :-1]).all()
    assert (rows.row_count, rows.seq_len) == (whole // (seq_len + 1), seq_len)


def test_tokens_without_bytes_do_not_count():
    rows = cut_rows(np.array([0, 1, 4, 2, 4, 3], dtype=np.uint16), 2, LENGTHS)
    assert rows.targets.tolist() == [[1, 4], [4, 3]]
    assert rows.counted.tolist() == [[True, False], [False, True]]
    assert rows.byte_count == 6
    losses = np.array([[1.0, 99.0], [99.0, 2.0]], dtype=np.float32)
    assert bits_per_byte(losses, rows) == pytest.approx(3 / math.log(2) / 6)
    assert bits_per_byte(losses, rows, mean_gap=-0.5) == pytest.approx(4 / math.log(2) / 6)


@pytest.mark.parametrize(
    ("tokens", "words"), [([0, 1], "One row needs 3"), ([0, 1, 9], "holds the token 9")]
)
def test_text_that_cannot_be_scored_is_refused(tokens, words):
    with pytest.raises(ScoringError, match=words):
        cut_rows(np.array(tokens, dtype=np.uint16), 2, LENGTHS)


def test_a_prepared_folder_is_read_by_part(tiny_data, tmp_path):
    rows = read_rows(tiny_data, "slice")
    assert (rows.seq_len, rows.vocab_size) == (64, 1024)
    with pytest.raises(ScoringError, match="cannot be read"):
        read_rows(tmp_path, "slice")


def test_a_batch_is_as_large_as_prepare_makes_it():
    assert rows_per_batch("cpu", 64, 2048) == 16
    assert rows_per_batch("cuda", 2048, 8192) == 8
    assert rows_per_batch("cpu", 2048, 100_000) == 1
