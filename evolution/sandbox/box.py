"""The processes of one attempt at a trial: started, listened to, limited, and all ended."""

import hashlib
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from evolution.sandbox.autopsy import classify, oom_kill_count
from evolution.sandbox.link import Link
from evolution.sandbox.process_tree import ProcessTree
from evolution.sandbox.spec import Spec
from evolution.sandbox.trainer import Launch, Trainer, read_files, remove_folder

_TICK_SECONDS = 0.1
_SAMPLE_SECONDS = 0.25
_LOG_TAIL_LINES = 60
_LOG_TAIL_CHARS = 16_384


class TrialOverError(Exception):
    """The attempt ends here without a score; ``kind`` is a value of ``FailureClass``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class RejectedError(TrialOverError):
    """The genome breaks a rule of the manual that only its running model can show."""

    def __init__(self, message: str) -> None:
        super().__init__("contract", message)


class Box:
    """Everything that runs for one attempt. There is one deadline; whoever starts a stage sets it.

    The files of the genome and the baseline are read before any genome runs, and every trainer
    gets a fresh folder of them: nothing passes from a calibration to the training after it.
    """

    def __init__(self, spec: Spec, link: Link, selector: selectors.BaseSelector) -> None:
        self.spec = spec
        self.link = link
        self.tree = ProcessTree()
        self.deadline = math.inf
        self.peak_memory_mb = 0.0
        self._selector = selector
        self._trainers: list[Trainer] = []
        self._oom_kills = oom_kill_count()
        self._sampled_at = -math.inf
        self._scratch = Path(spec.scratch)
        self._files = {who: read_files(self._scratch / who) for who in ("genome", "baseline")}

    def check_ruler(self) -> None:
        """Believe no number that another ``prepare.py`` measured."""
        for files in self._files.values():
            found = hashlib.sha256(files.get("prepare.py", b"")).hexdigest()
            if found != self.spec.ruler_hash:
                raise TrialOverError("harness", "prepare.py in the scratch folder is not the run's")

    def start(
        self, who: str, conditions: Mapping[str, object], command: Sequence[str] | None = None
    ) -> Trainer:
        """Start ``genome`` or ``baseline`` in a folder of its own; by default, to train."""
        name = f"{who}-{conditions['mode']}"
        folder = self._scratch / name
        home = {"HOME": str(folder), "TMPDIR": str(folder)}
        launch = Launch(
            name=name,
            folder=folder,
            files=self._files[who],
            command=command or self.spec.command,
            environment={**self.spec.environment, **home},
            conditions={**self.spec.conditions, **conditions},
            cpu=self.spec.cpu,
        )
        try:
            trainer = Trainer(launch, self.tree, self._selector)
        except (OSError, subprocess.SubprocessError) as error:
            raise TrialOverError("harness", f"the trainer could not be started: {error}") from error
        self._trainers.append(trainer)
        return trainer

    def pump(self) -> bool:
        """Wait a moment for news, and take it in; True when it is time to look at the tree.

        Raises:
            TrialOverError: The tree holds more memory than it may.
        """
        self.link.pump(min(_TICK_SECONDS, self.deadline - time.monotonic()))
        self.tree.reap()
        if time.monotonic() < self._sampled_at + _SAMPLE_SECONDS:
            return False
        self._sampled_at = time.monotonic()
        self._check_memory()
        return True

    def is_late(self) -> bool:
        """True once the deadline has passed."""
        return time.monotonic() > self.deadline

    def why_ended(self, trainer: Trainer) -> TrialOverError:
        """The failure of a trainer that has ended by itself."""
        trainer.drain()
        was_oom_killed = oom_kill_count() > self._oom_kills
        tail = trainer.log.tail(_LOG_TAIL_LINES)
        return TrialOverError(
            *classify(trainer.exit_code or 0, tail, was_oom_killed=was_oom_killed)
        )

    def end(self, trainer: Trainer) -> None:
        """End one trainer that leaves no children, and let the others be."""
        os.kill(trainer.pid, signal.SIGKILL)
        while trainer.exit_code is None:
            self.pump()
        trainer.close()
        self._trainers.remove(trainer)

    def end_all(self) -> int:
        """Kill every process; how many could not be killed."""
        survivor_count = self.tree.kill()
        for trainer in self._trainers:
            trainer.drain()
            trainer.close()
        return survivor_count

    def clear(self) -> str:
        """Keep the genome's last log where it is wanted, remove the folder; the end of the log."""
        logs = [trainer.log for trainer in self._trainers if trainer.name.startswith("genome")]
        log = logs[-1] if logs else None
        if log is not None and self.spec.log is not None:
            try:
                Path(self.spec.log).write_text(log.text(), encoding="utf-8")
            except OSError as error:  # a full disk costs the log, not the score
                log.append(f"\n(this log could not be kept: {error})\n".encode())
        remove_folder(self._scratch)
        return log.tail()[-_LOG_TAIL_CHARS:] if log is not None else ""

    def _check_memory(self) -> None:
        resident = self.tree.memory_mb()
        self.peak_memory_mb = max(self.peak_memory_mb, resident)
        limit = self.spec.memory_mb
        if limit is not None and resident > limit:
            raise TrialOverError(
                "out_of_memory", f"{resident:.0f} MB resident, {limit:.0f} MB are allowed"
            )
        # A calibration holds a trainer of the baseline beside the genome's.
        trainer_count = sum(trainer.exit_code is None for trainer in self._trainers)
        allowed = self.spec.manual_memory_mb
        if allowed is not None and resident > allowed * max(1, trainer_count):
            raise TrialOverError(
                "out_of_memory",
                f"limits.memory_mb of program.md: {resident:.0f} MB resident in {trainer_count} "
                f"trainer(s), {allowed:.0f} MB are allowed to each",
            )
