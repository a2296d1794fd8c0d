"""Steps by turns: a genome and the baseline on one core, one training step each at a time.

In calibrate mode a trainer asks before every batch. A step is what lies between two of its calls
of ``report``; a genome that never reports is stepped by the batch.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evolution.calibration import Price, Step, price, token_seconds
from evolution.sandbox.box import Box, TrialOverError
from evolution.sandbox.spec import Spec
from evolution.sandbox.streams import count
from evolution.sandbox.trainer import Trainer

_WARM_UP = 2
_FEWEST_PAIRS = 6
_REFERENCE_STEPS = 10
_MOST_BATCHES = 16
_ANY_BUDGET = {"kind": "tokens", "amount": 1_000_000}  # progress counts steps in this mode


class Stepper:
    """One trainer in calibrate mode that is let run one step at a time."""

    def __init__(self, box: Box, who: str, step_count: int) -> None:
        self.steps: list[Step] = []
        self._box = box
        self._who = who
        self._tokens = 0
        self._reports = 0
        self._never_reports = False
        self._has_tokens = False
        self.trainer: Trainer = box.start(
            who,
            {
                "mode": "calibrate",
                "budget": _ANY_BUDGET,
                "snapshots": [],
                "calibration_steps": _WARM_UP + step_count + 1,
                "scoring": box.spec.scoring,
            },
        )

    @property
    def counted(self) -> list[Step]:
        """The steps after the warm-up."""
        return self.steps[_WARM_UP:]

    def wait_for_start(self) -> None:
        """Until it asks for its first batch."""
        self._await("start")

    def step(self) -> None:
        """Let it run to the end of one training step, and note what that cost."""
        cpu_before, tokens_before = self.trainer.cpu_seconds(), self._tokens
        for batch in range(1, _MOST_BATCHES + 1):
            reports_before = self._reports
            self._run_batch()
            if self._reports > reports_before:
                self._never_reports = False
                break
            if self._never_reports:
                break
            self._never_reports = batch == _MOST_BATCHES and self._reports == 0
        cost = self.trainer.cpu_seconds() - cpu_before
        self.steps.append(Step(cost, self._tokens - tokens_before))

    def _run_batch(self) -> None:
        if self._has_tokens or self._box.spec.data is None:
            self.trainer.go()
        else:
            with open_training_tokens(self._box.spec) as tokens:
                self.trainer.go([tokens])
            self._has_tokens = True
        message = self._await("batch")
        self._tokens = count(message, "tokens")
        self._reports = count(message, "reports")

    def _await(self, kind: str) -> dict[str, object]:
        """Its next message of a kind; its end or its silence ends the trial."""
        trainer = self.trainer
        while True:
            while trainer.messages:
                message = trainer.messages.popleft()
                if message["type"] == kind:
                    return message
            if trainer.exit_code is not None:
                raise self._blame(self._box.why_ended(trainer))
            if self._box.is_late():
                raise self._blame(TrialOverError("time_out", "calibration did not end in time"))
            self._box.pump()

    def _blame(self, over: TrialOverError) -> TrialOverError:
        """What fails in the baseline is not the genome's fault."""
        if self._who == "genome":
            return over
        return TrialOverError("harness", f"the baseline beside it failed: {over.message}")


@contextmanager
def open_training_tokens(spec: Spec) -> Iterator[int]:
    """A descriptor of the text to learn from, which is handed over when the clock starts."""
    assert spec.data is not None
    descriptor = os.open(Path(spec.data) / "train.bin", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def price_genome(box: Box) -> Price:
    """Price the genome's token by steps that alternate with the baseline's.

    A genome so slow that half the time is gone is priced by the pairs there are, if they are six.
    """
    pair_count = box.spec.pair_count
    genome, baseline = Stepper(box, "genome", pair_count), Stepper(box, "baseline", pair_count)
    box.deadline = time.monotonic() + box.spec.startup_seconds
    genome.wait_for_start()
    baseline.wait_for_start()
    half_time = time.monotonic() + box.spec.calibration_seconds / 2
    box.deadline = half_time + box.spec.calibration_seconds / 2
    for turn in range(_WARM_UP + pair_count):
        if turn >= _WARM_UP + _FEWEST_PAIRS and time.monotonic() > half_time:
            break
        genome.step()
        baseline.step()
    box.end_trainers()
    try:
        return price(genome.counted, baseline.counted)
    except ValueError:
        raise TrialOverError("contract", "its training steps take no tokens") from None


def reference_seconds(box: Box) -> float:
    """CPU-seconds per token of the baseline at this moment, on the same core."""
    stepper = Stepper(box, "baseline", _REFERENCE_STEPS)
    box.deadline = time.monotonic() + box.spec.startup_seconds
    stepper.wait_for_start()
    box.deadline = time.monotonic() + box.spec.calibration_seconds
    for _ in range(_WARM_UP + _REFERENCE_STEPS):
        stepper.step()
    box.end(stepper.trainer)
    return token_seconds(stepper.counted)
