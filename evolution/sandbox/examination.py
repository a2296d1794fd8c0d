"""What is handed in, scored by processes that have no stake in the number.

A submission is a sealed file that holds a ``state_dict``. While everything else of the trial stands
still, a fresh scorer rebuilds the model and claims a loss for each token; another, which never sees
those targets, is asked for logits at probed positions, and the harness compares them
(`evolution.scoring`). Nothing that a scorer wrote is read beyond its size, and nothing of it is
ever unpickled here.
"""

import dataclasses
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evolution.sandbox.box import Box, RejectedError, TrialOverError
from evolution.sandbox.line import is_sealed, read_file, sealed_file
from evolution.sandbox.trainer import Trainer

if TYPE_CHECKING:
    from evolution.scoring import AuditPlan, AuditReport, Forged, Losses, Rows, Tolerance

_SCORER = str(Path(__file__).with_name("score_worker.py"))
_LARGEST_STATE = 64 * 2**30


class Examiner:
    """Scores what one trial hands in.

    Args:
        box: Where the scorers run; frozen around every use.
    """

    def __init__(self, box: Box) -> None:
        assert box.spec.data is not None
        self._box = box
        self._data = Path(box.spec.data)
        self._split = str(box.spec.conditions.get("split", "validation"))

    def check_handed_in(self, state: int) -> None:
        """Raise unless a descriptor is a sealed file in memory of a sane size.

        Raises:
            RejectedError: It is not.
        """
        if not is_sealed(state):
            raise RejectedError(
                "scoring rule seal: what was handed in is no sealed file in memory; hand the model "
                "to prepare.evaluate_bpb() and leave the line to the harness alone"
            )
        size = os.fstat(state).st_size
        if not 0 < size <= _LARGEST_STATE:
            raise RejectedError(
                f"scoring rule size: {size} bytes were handed in; a state_dict of at most "
                f"{_LARGEST_STATE >> 30} GiB is needed"
            )

    def snapshot(self, state: int) -> float:
        """Bits per byte of a model on the fixed small slice, by its claim alone.

        Raises:
            TrialOverError: It gives none.
        """
        from evolution.scoring import bits_per_byte, check_claim, read_rows

        with _rulings():
            rows = read_rows(self._data, "slice")
            claim = self._claim(state, rows)
            check_claim(rows, claim)
        return bits_per_byte(claim, rows)

    def score(self, state: int, split: str | None = None) -> tuple[float, "AuditReport"]:
        """Bits per byte of a model on a split, the trial's by default, claimed and audited.

        Raises:
            RejectedError: The claim is not believed.
            TrialOverError: A scorer failed.
        """
        from evolution.scoring import bits_per_byte, check_claim, judge, read_rows, take_audit

        with _rulings():
            split = split or self._split
            rows = read_rows(self._data, split)
            claim = self._claim(state, rows)
            check_claim(rows, claim)
            plan = self._plan(rows, claim, split)
            with self._scorer("audit", rows) as line, _own_copy(state) as own:
                answers = take_audit(line, own, plan, rows.vocab_size)
                report = judge(plan, claim, answers, self._tolerance())
        gap = report.mean_gap if self._box.spec.device != "cpu" else 0.0
        return bits_per_byte(claim, rows, mean_gap=min(0.0, gap)), report

    def _claim(self, state: int, rows: "Rows") -> "Losses":
        from evolution.scoring import take_claim

        with self._scorer("claim", rows) as line, _own_copy(state) as own:
            return take_claim(line, own, rows)

    @contextmanager
    def _scorer(self, mode: str, rows: "Rows") -> "Iterator[_BoxLine]":
        """A scorer in a box of its own; it is gone at the end, and so is all it wrote."""
        from evolution.scoring import worker_conditions

        box = self._box
        conditions = {
            **worker_conditions(
                mode, rows, _rows_per_batch(rows, box.spec.device), box.spec.device, box.spec.entry
            ),
            "snapshots": [],
            "budget": {"kind": "tokens", "amount": 1_000_000},  # nothing is trained
        }
        box.deadline = time.monotonic() + box.spec.scoring_seconds
        trainer = box.start("genome", conditions, program=_SCORER)
        yield _BoxLine(box, trainer)
        box.end(trainer)

    def _plan(self, rows: "Rows", claim: "Losses", split: str) -> "AuditPlan":
        import numpy as np

        from evolution.scoring import plan_audit, reference_losses

        return plan_audit(
            rows,
            claim,
            reference_losses(self._data, split),
            probe_count=self._box.spec.probe_count,
            pair_count=self._box.spec.audit_pair_count,
            batch_size=_rows_per_batch(rows, self._box.spec.device),
            filler=np.memmap(self._data / "train.bin", dtype=np.uint16, mode="r"),
            rng=np.random.default_rng(secrets.randbits(128)),  # no genome can foresee it
        )

    def _tolerance(self) -> "Tolerance":
        from evolution.scoring import Tolerance

        # A GPU's kernels may round otherwise where a row has other neighbours; what slips under
        # the wider tolerance is taken off the score.
        return Tolerance() if self._box.spec.device == "cpu" else Tolerance(1e-2, 1e-2)


@contextmanager
def _rulings() -> Iterator[None]:
    """A claim that is not believed ends the trial; what the scorer itself lacks is our fault."""
    from evolution.scoring import Forged, ScoringError

    try:
        yield
    except Forged as forged:
        raise _rejected(forged) from None
    except ScoringError as error:
        raise TrialOverError("harness", f"the trial could not be scored: {error}") from None


@contextmanager
def _own_copy(state: int) -> Iterator[int]:
    """A sealed copy for one scorer alone.

    Seals stop writes, and no more: position, locks, times and attributes of a file that two
    processes were handed would carry word from one to the other.
    """
    copy = sealed_file(read_file(state, os.fstat(state).st_size))
    try:
        yield copy
    finally:
        os.close(copy)


class _BoxLine:
    """The line to a scorer in a box; waiting for it is watching over it."""

    def __init__(self, box: Box, trainer: Trainer) -> None:
        self._box = box
        self._trainer = trainer

    def send(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """One packet; a scorer that does not read meets its deadline."""
        self._trainer.tell(dict(message), descriptors)

    def expect_done(self) -> None:
        """Until it says that it is done; its end or its silence ends the trial."""
        trainer = self._trainer
        while True:
            while (packet := trainer.next_packet()) is not None:
                if packet.descriptor is not None:
                    os.close(packet.descriptor)
                if packet.message["type"] == "done":
                    return
            if trainer.exit_code is not None:
                over = self._box.why_ended(trainer)
                raise TrialOverError(over.kind, f"while it was scored: {over.message}")
            if self._box.is_late():
                raise TrialOverError(
                    "time_out",
                    f"scoring did not end within {self._box.spec.scoring_seconds:g} s",
                )
            self._box.pump()


def _rows_per_batch(rows: "Rows", device: str) -> int:
    from evolution.scoring import rows_per_batch

    return rows_per_batch(device, rows.seq_len, rows.vocab_size)


def figures(report: "AuditReport") -> dict[str, float]:
    """The audit's figures that can be stored: finite ones."""
    values = {name: float(value) for name, value in dataclasses.asdict(report).items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _rejected(forged: "Forged") -> TrialOverError:
    """A claim that is not believed; one of a model that diverged has a class of its own."""
    if forged.rule == "finite":
        return TrialOverError("not_finite", str(forged))
    return RejectedError(str(forged))
