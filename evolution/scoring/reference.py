"""A small reference model: how hard each token is for an n-gram count of the training text.

The audit looks twice where a claim is far below it. Unigrams, bigrams and trigrams, interpolated
after Witten and Bell; within a row, as the models see it. Learnt in numpy in seconds, and kept
beside the prepared text.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evolution.scoring.rows import Rows, ScoringError, read_rows

LEARNT_TOKENS = 4_000_000  # of the training text's beginning; more would cost seconds for little
_VERSION = 1  # of the model; part of the name it is kept under


def reference_losses(data: Path, part: str) -> npt.NDArray[np.float32]:
    """Nats of each target of a part, (rows, T); kept in the prepared folder when it is writable.

    Raises:
        ScoringError: If the folder does not hold the part or the training text.
    """
    rows = read_rows(data, part)
    kept = data / f"reference-{part}-v{_VERSION}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):  # missing or cut short: make it anew
        losses = np.load(kept, allow_pickle=False)
        if losses.shape == rows.targets.shape and losses.dtype == np.float32:
            return np.asarray(losses)
    losses = ngram_losses(_training_tokens(data), rows)
    with contextlib.suppress(OSError):  # a folder that cannot be written serves all the same
        _keep(kept, losses)
    return losses


def _training_tokens(data: Path) -> npt.NDArray[np.uint16]:
    try:
        return np.fromfile(data / "train.bin", dtype=np.uint16, count=LEARNT_TOKENS)
    except OSError as error:
        raise ScoringError(
            f"The training text cannot be read from {data}: {error}. The reference model is learnt "
            "from it. Prepare the data again: python prepare.py --profile PROFILE."
        ) from error


def _keep(path: Path, losses: npt.NDArray[np.float32]) -> None:
    """Whole or not at all, however many do so at once."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            np.save(handle, losses, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def ngram_losses(train: npt.NDArray[np.uint16], rows: Rows) -> npt.NDArray[np.float32]:
    """Nats of each target under the interpolated trigram of ``train``, (rows, T)."""
    size = np.uint64(rows.vocab_size)
    text = train.astype(np.uint64)
    now = rows.inputs.astype(np.uint64)
    after = rows.targets.astype(np.uint64)
    before = np.concatenate([np.zeros_like(now[:, :1]), now[:, :-1]], axis=1)
    counts = np.bincount(train, minlength=rows.vocab_size)
    chance = ((counts + 0.5) / (counts.sum() + 0.5 * rows.vocab_size))[rows.targets]
    chance = _mix(chance, text[:-1], text[1:], now, after, size)
    pairs, pairs_now = text[:-2] * size + text[1:-1], before * size + now
    three = _mix(chance, pairs, text[2:], pairs_now, after, size)
    chance[:, 1:] = three[:, 1:]  # the first position has one token of context
    return (-np.log(chance)).astype(np.float32)


def _mix(
    chance: npt.NDArray[np.float64],
    contexts: npt.NDArray[np.uint64],
    nexts: npt.NDArray[np.uint64],
    context: npt.NDArray[np.uint64],
    after: npt.NDArray[np.uint64],
    size: np.uint64,
) -> npt.NDArray[np.float64]:
    """One order higher: counts of the context, smoothed by the ``chance`` of the order below."""
    seen, seen_counts = np.unique(contexts * size + nexts, return_counts=True)
    owners, first, kinds = np.unique(seen // size, return_index=True, return_counts=True)
    totals = np.add.reduceat(seen_counts, first) if len(first) else seen_counts
    hits = _look_up(seen, seen_counts, context * size + after)
    total = _look_up(owners, totals, context)
    kind = _look_up(owners, kinds, context)
    mixed: npt.NDArray[np.float64] = (hits + np.maximum(kind, 1) * chance) / (
        total + np.maximum(kind, 1)
    )
    return mixed


def _look_up(
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int64], wanted: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """The value of each wanted key; 0 where there is none."""
    if not len(keys):
        return np.zeros(wanted.shape, dtype=np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
