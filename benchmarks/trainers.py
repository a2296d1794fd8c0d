"""Trainers without boxes: a genome trains for so many tokens, or step by step beside another.

One process loads torch and forks every trainer from there, so that a training of seconds does not
pay for a start of seconds. What is counted are tokens and CPU-seconds, never wall time: other work
on the machine changes neither. Genomes are run as they are, by the protocol of ``prepare.py``; use
it for genomes that you trust.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trainer_process import become_a_trainer
from evolution.calibration import Price, Step, price
from evolution.sandbox.environment import CPU_SETTINGS
from evolution.sandbox.line import PACKETS
from evolution.sandbox.process_tree import process_cpu_seconds
from evolution.templates import template_path

WARM_UP = 2  # steps that are not priced
MOST_BATCHES = 16  # of one step
ANY_BUDGET = {"kind": "tokens", "amount": 1_000_000}  # progress counts steps while they are priced


class TrainerError(Exception):
    """A genome did not train; the text says how it ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training to its score.

    Attributes:
        val_bpb: Validation bits per byte.
        steps: Optimizer steps, as the genome reported them; 0 for one that says nothing.
        tokens: Training tokens handed out.
        train_seconds: CPU-seconds of the training; seconds of the clock on a GPU.
        peak_mb: MiB that the process took beyond what it began with; on a GPU what torch allocated.
        mfu_percent: As the genome says it; 0 on a processor.
        snapshot_bpb: Of the small slice, on the way; None if it was not asked for, or not finite.
    """

    val_bpb: float
    steps: int
    tokens: int
    train_seconds: float
    peak_mb: float
    mfu_percent: float = 0.0
    snapshot_bpb: float | None = None


def with_trainer_settings(device: str = "cpu") -> None:
    """Begin this program again under the thread and memory settings of trainers on a processor.

    The C library reads them when a process starts, and forked trainers inherit what it read.
    """
    if device != "cpu":
        return
    if any(os.environ.get(name) != value for name, value in CPU_SETTINGS.items()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **CPU_SETTINGS})


class Trainers:
    """Forks trainers for one prepared text, on one core."""

    def __init__(self, data: Path, core: int | None = None, device: str = "cpu") -> None:
        """Load torch, once; nothing here touches a GPU, so that trainers can.

        Args:
            data: A prepared folder.
            core: Where trainers run; None leaves them where this process runs.
            device: ``cpu`` or ``cuda``: whether steps are timed by their CPU time or by the clock.
        """
        import torch

        torch.set_num_threads(1)
        self._data, self._core, self._device = data, core, device

    def train(
        self,
        text: str,
        *,
        tokens: int,
        rng_seed: int,
        depth_scale: float = 1.0,
        snapshot_at: float | None = None,
    ) -> Run:
        """Train for so many tokens and score on the validation text.

        Args:
            text: The genome.
            tokens: Its budget.
            rng_seed: Of weights and batches.
            depth_scale: Factor on the genome's own depth.
            snapshot_at: Share of the budget at which the model is scored on the small slice, too.

        Raises:
            TrainerError: It ended without a score.
        """
        conditions = {
            "budget": {"kind": "tokens", "amount": tokens},
            "rng_seed": rng_seed,
            "depth_scale": depth_scale,
            "snapshots": [] if snapshot_at is None else [snapshot_at],
        }
        with self._trainer(text, conditions) as trainer:
            snapshot_bpb: float | None = None
            score: Mapping[str, Any] = {}
            end: Mapping[str, Any] = {}
            while message := trainer.message():
                if message["type"] == "start":
                    trainer.go()
                elif message["type"] == "snapshot":
                    snapshot_bpb = message["bpb"]
                elif message["type"] == "score":
                    score = message
                elif message["type"] == "end":
                    end = message
            if not score or not end or trainer.exit_code() != 0:
                raise TrainerError(trainer.last_words())
            return Run(
                val_bpb=float(score["val_bpb"]),
                steps=int(end["num_steps"]),
                tokens=int(score["tokens"]),
                train_seconds=float(score["train_seconds"]),
                peak_mb=float(end["peak_mb"]),
                mfu_percent=float(end["mfu_percent"]),
                snapshot_bpb=snapshot_bpb,
            )

    def step_pairs(self, text: str, other: str, pair_count: int) -> list[tuple[Step, Step]]:
        """Steps of two genomes by turns on the same core, the first ones left out.

        Raises:
            TrainerError: One of them ended.
        """
        conditions = {
            "budget": ANY_BUDGET,
            "mode": "calibrate",
            "calibration_steps": WARM_UP + pair_count + 1,
        }
        with self._trainer(text, conditions) as one, self._trainer(other, conditions) as two:
            for trainer in (one, two):
                trainer.wait_for("start")
            pairs = [(one.step(), two.step()) for _ in range(WARM_UP + pair_count)]
        return pairs[WARM_UP:]

    def price(self, text: str, reference: str, *, pair_count: int = 24) -> Price:
        """What a genome's token costs against the reference's: means of the fastest quartiles."""
        pairs = self.step_pairs(text, reference, pair_count)
        return price([one for one, _ in pairs], [two for _, two in pairs])

    def parameters(self, text: str) -> dict[str, tuple[int, int]]:
        """Each parameter of the untrained model: (how many numbers, bytes of one)."""
        with self._trainer(text, {"budget": ANY_BUDGET}, task="parameters") as trainer:
            message = trainer.message()
            if message is None:
                raise TrainerError(trainer.last_words())
            return {name: (int(count), int(size)) for name, count, size in message["parameters"]}

    @contextmanager
    def _trainer(
        self, text: str, conditions: Mapping[str, object], task: str = "train"
    ) -> Iterator["Trainer"]:
        folder = Path(tempfile.mkdtemp(prefix="trainer-"))
        (folder / "train.py").write_text(text, encoding="utf-8")
        shutil.copyfile(template_path("prepare.py"), folder / "prepare.py")
        trainer = Trainer(folder, {"data": str(self._data), **conditions}, self._core, task)
        trainer.is_timed_by_clock = self._device != "cpu"
        try:
            yield trainer
        finally:
            trainer.end()
            shutil.rmtree(folder, ignore_errors=True)


class Trainer:
    """One forked process and its line."""

    def __init__(
        self, folder: Path, conditions: Mapping[str, object], core: int | None, task: str
    ) -> None:
        self._folder = folder
        self._packets, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
        reads, writes = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._packets.close()
            os.close(reads)
            become_a_trainer(folder, conditions, core, task, (theirs.fileno(), writes))
        theirs.close()
        os.close(writes)
        self._lines = os.fdopen(reads, encoding="utf-8")
        self._tokens = self._reports = 0
        self._exit_code: int | None = None
        self.is_timed_by_clock = False

    def go(self) -> None:
        """Let it take the next batch."""
        self._packets.send(b'{"type": "go"}')

    def message(self) -> dict[str, Any] | None:
        """Its next message; None once it has ended."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Its next message of a kind."""
        while message := self.message():
            if message["type"] == kind:
                return message
        raise TrainerError(self.last_words())

    def step(self) -> Step:
        """Let it run to the end of one training step: to the next batch after a report.

        Raises:
            TrainerError: It ended, or took 16 batches and reported nothing.
        """
        before, tokens_before = self._seconds(), self._tokens
        for _ in range(MOST_BATCHES):
            reports_before = self._reports
            self.go()
            message = self.wait_for("batch")
            self._tokens, self._reports = int(message["tokens"]), int(message["reports"])
            if self._reports > reports_before:
                return Step(self._seconds() - before, self._tokens - tokens_before)
        raise TrainerError(
            f"The genome took {MOST_BATCHES} batches without a word to prepare.report. A step ends "
            "with a report: call it once after each optimizer step."
        )

    def _seconds(self) -> float:
        """A step ends with its loss on the host, so that a GPU has nothing left to do."""
        return time.perf_counter() if self.is_timed_by_clock else process_cpu_seconds(self.pid)

    def exit_code(self) -> int:
        """How it ended; waits until it has."""
        if self._exit_code is None:
            self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_code

    def last_words(self) -> str:
        """The end of what it wrote."""
        code = self.exit_code()
        log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
        return f"The genome ended with exit code {code}: {log[-2000:].strip() or 'no word'}"

    def end(self) -> None:
        """End it, if it has not ended."""
        if self._exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.exit_code()
        self._lines.close()
        self._packets.close()
