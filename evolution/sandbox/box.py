"""The processes of one attempt at a trial: started, listened to, limited, and all ended."""

import hashlib
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evolution.sandbox.autopsy import classify, oom_kill_count
from evolution.sandbox.environment import HARNESS
from evolution.sandbox.link import Link
from evolution.sandbox.nursery import Nursery, may_nurse
from evolution.sandbox.process_tree import ProcessTree
from evolution.sandbox.spec import Spec
from evolution.sandbox.trainer import Launch, Trainer, read_files, remove_folder, start_process

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
        self._nursery: Nursery | None = None
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
        self,
        who: str,
        conditions: Mapping[str, object],
        *,
        command: Sequence[str] | None = None,
        listener: Callable[[bytes], None] | None = None,
    ) -> Trainer:
        """Start ``genome`` or ``baseline`` in a folder of its own.

        Args:
            who: Which of the two.
            conditions: Beside those of the spec.
            command: How; by default the spec's, which trains.
            listener: Hears everything that it prints.
        """
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
            data=self.spec.script.data if self.spec.script is not None else {},
            is_data_linked=self.spec.script is not None and self.spec.script.is_linked,
        )
        try:
            trainer = Trainer(
                launch, self.tree, self._selector, start=self._make_process, listener=listener
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise TrialOverError("harness", f"the trainer could not be started: {error}") from error
        self._trainers.append(trainer)
        return trainer

    def open_nursery(self) -> None:
        """Load once what several trainers need; they are then forked (``nursery.py``)."""
        spec = self.spec
        if not (spec.preload and may_nurse()):
            return
        try:
            self._nursery = Nursery(spec.preload, spec.environment, self._scratch, spec.cpu)
        except (OSError, subprocess.SubprocessError):
            return  # each trainer loads for itself, which costs time and nothing else
        self.tree.watch(self._nursery.pid)

    def close_nursery(self) -> None:
        """From here on every trainer is a program of its own."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

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
        self.close_nursery()
        return self.end_trainers()

    def end_trainers(self) -> int:
        """Kill every process but the nursery's; how many could not be killed."""
        spare = self._nursery.pid if self._nursery is not None else None
        survivor_count = self.tree.kill(spare=spare)
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

    def _make_process(self, launch: Launch, descriptors: tuple[int, int, int]) -> int:
        """Forked in the nursery if there is one and it answers, else started."""
        return self._forked(launch, descriptors) or start_process(launch, descriptors)

    def _forked(self, launch: Launch, descriptors: tuple[int, int, int]) -> int:
        """Process id of the forked trainer; 0 if there is none."""
        nursery = self._nursery
        if nursery is None:
            return 0
        request = {
            "folder": str(launch.folder),
            "script": self.spec.command[-1],
            "environment": launch.environment_with_conditions(),
            "harness": HARNESS,
            "parent": os.getpid(),
            "cpu": launch.cpu,
        }
        give_up = time.monotonic() + self.spec.startup_seconds
        pid = None if nursery.request(request, descriptors) else 0
        while pid is None and time.monotonic() < give_up:
            self.pump()
            pid = nursery.answer()
        if not pid:
            self.close_nursery()
        return pid or 0

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
