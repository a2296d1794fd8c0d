"""The training of one attempt: its clock, what it says, its score, and its limits.

Wall time: ``startup_seconds`` to ask for the first batch, ``train_seconds`` from there to the
score, ``finish_seconds`` from the score to the end of the process.

CPU time, where the price of the genome's token is known: 1.25 × what its tokens should cost,
counted over the whole tree from the first batch on, plus an allowance for snapshots and evaluation
(``evaluation_cpu_seconds`` × the genome's cost ratio, at least once). Start-up and calibration do
not count. At the cap the tree is frozen and the baseline measured again: on a machine that has
become slower the cap grows in proportion.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evolution.calibration import CPU_CAP, SUSPECT_DEVIATION, deviation, slowdown
from evolution.sandbox.box import Box, RejectedError, TrialOverError
from evolution.sandbox.examination import Examiner, figures
from evolution.sandbox.line import Packet
from evolution.sandbox.spec import Result
from evolution.sandbox.streams import count, number
from evolution.sandbox.turns import open_training_tokens, reference_seconds

_LEAST_EXTENSION = 1.05  # a cap that would be reached again at once is not worth a measurement
_MOST_SCALARS = 32


@dataclass(slots=True)
class Expectation:
    """What a training should cost.

    Attributes:
        tokens: Training tokens.
        cost_ratio: A token of the genome against one of the baseline.
        baseline_seconds: CPU-seconds of a baseline's token, as last measured.
    """

    tokens: int
    cost_ratio: float
    baseline_seconds: float

    @property
    def token_seconds(self) -> float:
        """CPU-seconds of one token of the genome."""
        return self.cost_ratio * self.baseline_seconds


class Training:
    """From the start of the trainer to its score, or to whatever ends it before."""

    def __init__(
        self, box: Box, result: Result, budget: dict[str, object], expected: Expectation | None
    ) -> None:
        self._box = box
        self._result = result
        self._expected = expected
        self._cap_seconds = _cap(
            box.spec.evaluation_cpu_seconds, expected, is_trusted=box.spec.scoring == "trusted"
        )
        self._cpu_at_go: float | None = None
        self._startup_cpu_seconds = 0.0
        self._has_trained = False
        self._wanted_snapshots = _snapshots(box.spec.conditions)
        self._examiner = Examiner(box) if box.spec.scoring == "trusted" else None
        conditions = {"mode": "train", "budget": budget, "scoring": box.spec.scoring}
        self._trainer = box.start("genome", conditions)
        box.peak_memory_mb = 0.0  # of the training, not of a calibration before it

    def run(self) -> None:
        """Fill in the result.

        Raises:
            TrialOverError: There is no score.
        """
        box, trainer = self._box, self._trainer
        box.deadline = time.monotonic() + box.spec.startup_seconds
        while trainer.exit_code is None and not box.is_late() and not self._has_trained:
            is_time_to_look = box.pump()
            self._listen()
            if is_time_to_look and self._cpu_at_go is None:
                self._check_startup()
            elif is_time_to_look:
                self._check_cpu()
        trainer.drain()
        self._listen()
        self._result.ignored_count += trainer.ignored_count
        if self._result.val_bpb is None and not self._has_trained:
            raise self._why_no_score()
        box.end_trainers()
        self._result.is_suspect = self._is_suspect()

    def _why_no_score(self) -> TrialOverError:
        if self._trainer.exit_code is not None:
            return self._box.why_ended(self._trainer)
        missing = "first batch" if self._cpu_at_go is None else "score"
        return TrialOverError("time_out", f"the deadline passed before the {missing} came")

    def _listen(self) -> None:
        messages = self._trainer.messages
        while messages:
            self._take(messages.popleft())
        while (packet := self._trainer.next_packet()) is not None:
            self._take_packet(packet)

    def _take(self, message: dict[str, object]) -> None:
        match message["type"]:
            case "start" if self._cpu_at_go is None:
                self._start_clock()
            case "report":
                self._take_report(message)
            case "snapshot" if self._examiner is None and self._is_wanted(message):
                self._take_snapshot(number(message, "fraction"), number(message, "bpb"))
            case "score" if self._examiner is None and self._may_score():
                self._take_score(message, _reported(message))
            case _:
                self._result.ignored_count += 1

    def _take_packet(self, packet: Packet) -> None:
        """What is handed in to be scored."""
        message, state = packet
        try:
            if self._examiner is None or state is None:
                self._result.ignored_count += 1
            elif message["type"] == "snapshot" and self._is_wanted(message):
                self._score_snapshot(self._examiner, message, state)
            elif message["type"] == "submit" and self._box.spec.train_only:
                self._examiner.check_handed_in(state)
                self._take_figures(message)
                self._has_trained = self._cpu_at_go is not None
            elif message["type"] == "submit" and self._may_score():
                self._score_model(self._examiner, message, state)
            else:
                self._result.ignored_count += 1
        finally:
            if state is not None:
                os.close(state)

    def _check_startup(self) -> None:
        """What is learnt before the clock starts would be learnt for nothing."""
        spent, allowed = self._trainer.cpu_seconds(), self._box.spec.startup_cpu_seconds
        if allowed is not None and spent > allowed:
            raise RejectedError(
                f"rule startup: {spent:.1f} CPU-seconds were used before the first batch, "
                f"{allowed:.1f} are allowed; build the model, learn from make_dataloader() alone"
            )

    def _start_clock(self) -> None:
        box = self._box
        self._check_startup()
        self._startup_cpu_seconds = self._trainer.cpu_seconds()
        self._cpu_at_go = box.tree.cpu_seconds()
        if self._examiner is None:
            self._trainer.go()
        else:
            with open_training_tokens(box.spec) as tokens:
                self._trainer.go([tokens])
        box.deadline = time.monotonic() + box.spec.train_seconds

    def _is_wanted(self, message: dict[str, object]) -> bool:
        return self._cpu_at_go is not None and number(message, "fraction") in self._wanted_snapshots

    def _may_score(self) -> bool:
        """A score needs a training before it, and there is one."""
        return self._cpu_at_go is not None and self._result.val_bpb is None

    def _score_snapshot(self, examiner: Examiner, message: dict[str, object], state: int) -> None:
        with self._clock_stopped():
            examiner.check_handed_in(state)
            bpb = examiner.snapshot(state)
        self._take_snapshot(number(message, "fraction"), bpb)
        self._trainer.go()

    def _score_model(self, examiner: Examiner, message: dict[str, object], state: int) -> None:
        self._check_cpu()
        work = self._work()
        with self._clock_stopped():
            examiner.check_handed_in(state)
            val_bpb, report = examiner.score(state)
            if self._box.spec.second_split is not None:
                self._score_second(examiner, state, self._box.spec.second_split)
        self._take_score(message, val_bpb)
        self._result.audit = {**figures(report), **work}
        self._trainer.tell({"type": "score", "val_bpb": val_bpb})

    def _score_second(self, examiner: Examiner, state: int, split: str) -> None:
        """The same model on another split, which decides nothing: but for a forged claim.

        A scorer that is late, or falls, there leaves the trial its first score alone.
        """
        try:
            self._result.test_bpb, _ = examiner.score(state, split)
        except RejectedError:
            raise
        except TrialOverError:
            self._result.test_bpb = None

    @contextmanager
    def _clock_stopped(self) -> Iterator[None]:
        """Everything of the trial stands still, and what happens meanwhile is not charged."""
        box = self._box
        with box.frozen():
            cpu_before = box.tree.cpu_seconds()
            yield
            box.end_others()
            assert self._cpu_at_go is not None
            self._cpu_at_go += box.tree.cpu_seconds() - cpu_before

    def _take_report(self, message: dict[str, object]) -> None:
        self._result.train_tokens = count(message, "tokens")
        scalars = message.get("scalars")
        named = list(scalars.items())[:_MOST_SCALARS] if isinstance(scalars, dict) else []
        event = {
            "type": "report",
            "progress": min(1.0, max(0.0, _finite(message, "progress"))),
            "loss": number(message, "loss"),
            "scalars": {name[:64]: _finite({name: value}, name) for name, value in named},
        }
        self._box.link.send(event, may_drop=True)

    def _take_snapshot(self, fraction: float, bpb: float) -> None:
        self._wanted_snapshots.discard(fraction)
        if not math.isfinite(bpb):
            raise TrialOverError("not_finite", f"the model at {fraction:.0%} scores {bpb}")
        self._box.link.send({"type": "snapshot", "fraction": fraction, "bpb": bpb})

    def _take_score(self, message: dict[str, object], val_bpb: float) -> None:
        self._take_figures(message)
        self._result.val_bpb = val_bpb
        self._result.scoring = self._box.spec.scoring
        self._box.deadline = time.monotonic() + self._box.spec.finish_seconds

    def _take_figures(self, message: dict[str, object]) -> None:
        clocks = message.get("token_seconds")
        self._result.train_tokens = count(message, "tokens")
        self._result.step_count = count(message, "batches")
        self._result.train_seconds = max(0.0, _finite(message, "train_seconds"))
        self._result.token_seconds = _finite(clocks, "fast") if isinstance(clocks, dict) else 0.0

    def _check_cpu(self) -> None:
        """The cap on CPU time; it grows only as far as the machine has become slower."""
        if self._expected is None or self._cpu_at_go is None or self._result.val_bpb is not None:
            return
        spent = self._box.tree.cpu_seconds() - self._cpu_at_go
        if spent <= self._cap_seconds:
            return
        slower = self._slowdown_while_frozen(self._expected)
        if self._cap_seconds * slower < spent * _LEAST_EXTENSION:
            raise TrialOverError(
                "time_out",
                f"{spent:.1f} CPU-seconds are used, {self._cap_seconds * slower:.1f} are allowed",
            )
        self._cap_seconds *= slower

    def _work(self) -> dict[str, float]:
        """What the training cost, as seen from outside.

        ``startup_cpu_seconds`` before the first batch; ``work_ratio``: CPU time from there over
        what its tokens should have cost.
        """
        expected, found = self._expected, {"startup_cpu_seconds": self._startup_cpu_seconds}
        if expected is not None and self._cpu_at_go is not None:
            spent = self._box.tree.cpu_seconds() - self._cpu_at_go
            found["work_ratio"] = spent / (expected.tokens * expected.token_seconds)
        return found

    def _slowdown_while_frozen(self, expected: Expectation) -> float:
        with self._clock_stopped():
            seconds_now = reference_seconds(self._box)
        slower = slowdown(seconds_now, expected.baseline_seconds)
        expected.baseline_seconds = seconds_now
        return slower

    def _is_suspect(self) -> bool:
        """True if the run's own steps cost over 10 % more or less than they should have."""
        expected, seconds = self._expected, self._result.token_seconds
        if expected is None or seconds <= 0:
            return False
        if deviation(seconds, expected.token_seconds) <= SUSPECT_DEVIATION:
            return False
        expected.baseline_seconds = reference_seconds(self._box)
        return deviation(seconds, expected.token_seconds) > SUSPECT_DEVIATION


def _cap(evaluation_seconds: float, expected: Expectation | None, *, is_trusted: bool) -> float:
    if expected is None:
        return math.inf
    allowance = evaluation_seconds
    if not is_trusted:  # it evaluates itself, at its own price; a price can be forged
        allowance *= max(1.0, expected.cost_ratio)
    return CPU_CAP * expected.tokens * expected.token_seconds + allowance


def _reported(message: dict[str, object]) -> float:
    """The score that a trainer computed itself.

    Raises:
        TrialOverError: It is none.
    """
    val_bpb = message.get("val_bpb")
    if isinstance(val_bpb, bool) or not isinstance(val_bpb, int | float) or val_bpb <= 0:
        raise TrialOverError("contract", f"the score is no bits per byte: {val_bpb!r:.60}")
    if not math.isfinite(number(message, "val_bpb")):
        raise TrialOverError("not_finite", f"the score is {val_bpb!r:.60}")
    return float(val_bpb)


def _snapshots(conditions: dict[str, object]) -> set[float]:
    wanted = conditions.get("snapshots")
    return {float(fraction) for fraction in wanted} if isinstance(wanted, list) else set()


def _finite(message: dict[str, object], key: str) -> float:
    value = number(message, key)
    return value if math.isfinite(value) else 0.0
