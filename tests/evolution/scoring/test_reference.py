import math

import numpy as np
import pytest

from evolution.scoring import ScoringError, cut_rows, read_rows, reference_losses
from evolution.scoring.reference import ngram_losses
from tests.evolution.scoring.small_world import VOCAB_SIZE, small_rows, small_text


def test_what_was_read_often_is_easy_and_what_was_never_read_is_hard():
    losses = ngram_losses(small_text(20_000, rng_seed=7), small_rows())
    assert np.isfinite(losses).all()
    assert losses.mean() < 0.85 * math.log(VOCAB_SIZE)
    strange = cut_rows(np.full(17, 5, np.uint16), 16, np.ones(VOCAB_SIZE, np.uint16))
    assert ngram_losses(np.zeros(500, np.uint16), strange).min() > 3


def test_the_chances_of_all_tokens_after_a_context_sum_to_one():
    train, lengths = small_text(3000), np.ones(VOCAB_SIZE, np.uint16)
    rows = np.array([[3, 9, token] for token in range(VOCAB_SIZE)], dtype=np.uint16)
    losses = ngram_losses(train, cut_rows(rows.flatten(), 2, lengths))
    assert np.exp(-losses[:, 1].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


@pytest.fixture
def folder(tiny_data, tmp_path):
    for name in ("manifest.json", "slice.bin", "train.bin", "token_bytes.bin"):
        (tmp_path / name).write_bytes((tiny_data / name).read_bytes())
    return tmp_path


def test_it_is_kept_beside_the_text_and_made_anew_when_it_was_cut_short(folder):
    first = reference_losses(folder, "slice")
    (kept,) = folder.glob("*.npy")
    assert first.shape == read_rows(folder, "slice").targets.shape
    kept.write_bytes(kept.read_bytes()[:100])
    assert (reference_losses(folder, "slice") == first).all()
    assert (np.load(kept) == first).all()
    assert not list(folder.glob(".reference*"))


def test_a_folder_without_training_text_is_refused(folder):
    (folder / "train.bin").unlink()
    with pytest.raises(ScoringError, match="The training text cannot be read"):
        reference_losses(folder, "slice")
