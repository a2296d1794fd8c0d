"""The text that is scored, cut into rows, and the score of the losses on it.

A row is T + 1 consecutive tokens: T inputs, and the T tokens that follow them. Rows are disjoint,
so that no token is a target in one row and an input of another: a row shows nothing of what another
row is asked. ``prepare.py`` cuts the same rows when a genome is run alone.
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from population.errors import EvolveError


class ScoringError(EvolveError):
    """A score cannot be taken or is not believed."""


@dataclass(frozen=True)
class Rows:
    """Validation text in rows.

    Attributes:
        tokens: Token ids, (rows, T + 1), uint16.
        byte_lengths: Bytes that each token of the vocabulary stands for, (V,); 0 for special ones.
    """

    tokens: npt.NDArray[np.uint16]
    byte_lengths: npt.NDArray[np.uint16]

    @property
    def row_count(self) -> int:
        """Rows there are."""
        return int(self.tokens.shape[0])

    @property
    def seq_len(self) -> int:
        """T: inputs, and targets, of one row."""
        return int(self.tokens.shape[1]) - 1

    @property
    def vocab_size(self) -> int:
        """V: tokens of the vocabulary."""
        return len(self.byte_lengths)

    @property
    def inputs(self) -> npt.NDArray[np.uint16]:
        """What the model reads, (rows, T)."""
        return self.tokens[:, :-1]

    @property
    def targets(self) -> npt.NDArray[np.uint16]:
        """What it is to foretell, (rows, T)."""
        return self.tokens[:, 1:]

    @cached_property
    def counted(self) -> npt.NDArray[np.bool_]:
        """The targets that enter the score, (rows, T): those that stand for at least one byte."""
        return np.asarray(self.byte_lengths[self.targets] > 0)

    @cached_property
    def byte_count(self) -> int:
        """Bytes that all targets stand for together."""
        return int(self.byte_lengths[self.targets].sum(dtype=np.int64))


def cut_rows(
    tokens: npt.NDArray[np.uint16], seq_len: int, byte_lengths: npt.NDArray[np.uint16]
) -> Rows:
    """Consecutive, disjoint rows of ``seq_len + 1`` tokens; a shorter rest is left out.

    Raises:
        ScoringError: If there is no whole row, or a token is not of the vocabulary.
    """
    row_count = len(tokens) // (seq_len + 1)
    if row_count < 1:
        raise ScoringError(
            f"The text to score has {len(tokens)} tokens. One row needs {seq_len + 1}. "
            "Give more text, or choose a profile with shorter rows."
        )
    rows = np.array(tokens[: row_count * (seq_len + 1)]).reshape(row_count, seq_len + 1)
    if int(rows.max()) >= len(byte_lengths):
        raise ScoringError(
            f"The text to score holds the token {int(rows.max())}. The vocabulary has "
            f"{len(byte_lengths)} tokens. Delete the prepared folder and prepare it again."
        )
    return Rows(rows, byte_lengths)


def rows_per_batch(device: str, seq_len: int, vocab_size: int) -> int:
    """B: as many rows as ``prepare.py`` scores at once, bounded by the bytes of their logits."""
    room = 2**23 if device == "cpu" else 2**29
    return max(1, room // (4 * seq_len * vocab_size))


def read_rows(folder: Path, part: str) -> Rows:
    """The rows of one part (``validation``, ``test``, ``slice``) of a prepared folder.

    Raises:
        ScoringError: If the folder does not hold that part.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        tokens = np.fromfile(folder / f"{part}.bin", dtype=np.uint16)
        byte_lengths = np.fromfile(folder / "token_bytes.bin", dtype=np.uint16)
        seq_len = int(manifest["seq_len"])
    except (OSError, ValueError, KeyError) as error:
        raise ScoringError(
            f"The text to score, {part}, cannot be read from {folder}: {error}. A folder made by "
            "prepare.py is needed. Prepare it again: python prepare.py --profile PROFILE."
        ) from error
    return cut_rows(tokens, seq_len, byte_lengths)


def bits_per_byte(losses: npt.NDArray[np.float32], rows: Rows, mean_gap: float = 0.0) -> float:
    """The score: summed losses of the counted tokens in bits, over the bytes they stand for.

    Args:
        losses: Nats of each target, (rows, T).
        rows: The text.
        mean_gap: Nats for each counted token by which the losses are known to differ from the
            audited ones; taken off, so that what slips under a tolerance does not pay.
    """
    nats = float(losses[rows.counted].sum(dtype=np.float64))
    nats -= mean_gap * int(rows.counted.sum())
    return nats / math.log(2) / rows.byte_count
