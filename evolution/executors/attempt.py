"""One attempt at a job: its supervisor process, what it says, and what is left to do at its end."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace

from evolution.executors.orphans import sweep_orphans
from evolution.executors.outcomes import (
    Curve,
    calibration_of,
    harness_failure,
    outcome_of,
    point_of,
    snapshot_of,
)
from evolution.executors.protocol import Event, Job, Reported, SnapshotTaken
from evolution.executors.site import TrialSite, marker
from evolution.sandbox.environment import supervisor_environment
from evolution.sandbox.spec import Result, Spec
from evolution.sandbox.streams import MessageReader
from evolution.sandbox.usage import remove_folder
from population import Calibration, Outcome, Snapshot, TrialStatus

_STOP_SECONDS = 5.0  # a supervisor needs a tenth of it
_LINE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
_COMPLAINT_BYTES = 8192


class Attempt:
    """A supervisor at work on a job.

    Args:
        site: What every trial of the run needs.
        job: What is asked for.
        slot: The number of the worker.
        spec: What the supervisor is told; the folder is added here.

    Raises:
        OSError: Its files cannot be written, or the process cannot be started.
    """

    def __init__(self, site: TrialSite, job: Job, slot: int, spec: Spec) -> None:
        self.job = job
        self.slot = slot
        self.progress = 0.0
        self._site = site
        self._reader = MessageReader(line_bytes=_LINE_BYTES, per_second=1e9, burst=1e9)
        self._curve = Curve()
        self._snapshots: list[Snapshot] = []
        self._result: Result | None = None
        self._kill_at: float | None = None
        name = f"{site.run_id}-{job.trial_id}-{job.attempt}".replace("/", "-")
        # Absolute: a trainer's home is named to it, and it works in another folder than we do.
        self._folder = (site.scratch / name).resolve()
        try:
            self._lay_out()
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
            self._process = self._start(replace(spec, scratch=str(self._folder)))
        except OSError:
            remove_folder(self._folder)
            raise

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._process.pid

    def fileno(self) -> int:
        """Where its events come from: an attempt can be waited for."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> list[Event] | None:
        """The events that have come, if any; None once there will be no more."""
        data = os.read(self.fileno(), _CHUNK_BYTES)
        if not data:
            return None
        events = [self._take(message) for message in self._reader.feed(data)]
        return [event for event in events if event is not None]

    def stop(self, reason: str) -> None:
        """Ask the supervisor to end it early; ``enforce_stop`` follows if it does not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _STOP_SECONDS
            self._tell(json.dumps({"type": "stop", "reason": reason}).encode() + b"\n")

    def seconds_to_kill(self) -> float | None:
        """How long a stop may still take; None where none was asked for."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def enforce_stop(self) -> None:
        """Kill a supervisor that did not answer in time: its events end, which is waited for."""
        if self.seconds_to_kill() == 0.0:
            self._process.kill()

    def abandon(self) -> None:
        """Hang up: the supervisor takes everything along."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> Outcome:
        """See the supervisor out, clean up where it could not, and say what came of it."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        if self._result is None or self._result.survivor_count:
            sweep_orphans(self._site.run_id, self.job.trial_id)
        remove_folder(self._folder)
        return self._outcome(self._read_complaints())

    def calibration(self) -> Calibration | None:
        """What was measured, if anything was."""
        return None if self._result is None else calibration_of(self.job, self._result)

    def token_seconds(self) -> float:
        """CPU-seconds of a token in its quicker steps, as the trainer says; 0 if it does not."""
        return 0.0 if self._result is None else self._result.token_seconds

    def _lay_out(self) -> None:
        remove_folder(self._folder)
        self._site.lay_out(self._folder, self.job.genome)
        if self._site.logs is not None:
            self._site.logs.mkdir(parents=True, exist_ok=True)

    def _start(self, spec: Spec) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "evolution.sandbox.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
            env=supervisor_environment(marker(self._site, self.job.trial_id)),
            start_new_session=True,
        )
        self._tell(spec.to_line())
        return self._process

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # dead already: found when its events end
            self._process.stdin.write(line)

    def _take(self, message: dict[str, object]) -> Event | None:
        trial_id, attempt = self.job.trial_id, self.job.attempt
        match message["type"]:
            case "report":
                point = point_of(message)
                self._curve.add(point)
                self.progress = point.progress
                return Reported(trial_id, attempt, point)
            case "snapshot":
                snapshot = snapshot_of(message)
                self._snapshots.append(snapshot)
                return SnapshotTaken(trial_id, attempt, snapshot)
            case "progress":
                share = message["share"]
                self.progress = float(share) if isinstance(share, int | float) else 0.0
            case "result":
                self._result = Result.from_message(message)
        return None

    def _read_complaints(self) -> str:
        with self._complaints as complaints:
            size = complaints.seek(0, os.SEEK_END)
            complaints.seek(max(0, size - _COMPLAINT_BYTES))
            return complaints.read().decode("utf-8", errors="replace")

    def _outcome(self, complaints: str) -> Outcome:
        result = self._result
        if result is None and self._kill_at is not None:
            result = Result(status=TrialStatus.STOPPED_EARLY)
        if result is None:
            code = self._process.returncode
            return harness_failure(f"the supervisor left with {code} and no result", complaints)
        return outcome_of(self.job, result, self._snapshots, self._curve)
