"""The box of a coding agent: its command line works on a copy of the genome, in memory alone.

The box is bubblewrap's: own processes, the system read-only, one folder in memory. No file of ours
is in it, and none comes out: what the command left is told as texts, which are checked here once
more. Its environment holds its own key and nothing of the user's.
"""

import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from agents.command import Work
from agents.model import CallFailure
from evolution.sandbox import bubblewrap
from evolution.sandbox.levels import Level, works
from evolution.sandbox.visible import PACKAGE_ROOT, may_be_shown, system_readable
from population import EvolveError, one_line

MODEL = "{model}"  # a word of the command: the name of the model

_WORKSPACE = "/workspace"
_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
#: What a program needs to find hosts and to trust them.
_NETWORK_FILES = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies"),
)
_GRACE_SECONDS = 15.0  # of the worker, beside the command's own
_LOOK_SECONDS = 0.2
_MOST_BYTES = 4 << 20  # of a genome
_MOST_ANSWER_BYTES = 6 * _MOST_BYTES + (4 << 20)  # as JSON, which writes a byte as six at worst
_ERROR_CHARACTERS = 400


class CommandError(EvolveError):
    """A coding agent's command line cannot be used as the settings have it, here."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a command may use.

    Attributes:
        seconds: From its start to its end.
        disk_mb: Of its folder, which is in memory.
        memory_mb: Resident, of all its processes.
        process_count: Of them, at once.
    """

    seconds: float = 300.0
    disk_mb: float = 256.0
    memory_mb: float = 8192.0
    process_count: int = 512


class CommandBox:
    """Runs one command line, each time in a fresh box; from several threads at once.

    Args:
        command: Program and words; ``{prompt}`` is the file that has the prompt, which standard
            input gives too, ``{model}`` the model's name.
        model: That name.
        key: Name of the variable that holds the command's key; empty for none.
        environ: Where the key is, and where programs are looked for.
        has_network: Whether the box has the machine's network, local services included.
        shows: Further files and folders that it may read.
        room: Its limits.

    Raises:
        CommandError: There is no box, program or key here, or ``shows`` names what it must not.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        model: str = "",
        key: str = "",
        environ: Mapping[str, str] = os.environ,
        has_network: bool = False,
        shows: Sequence[str] = (),
        room: Room | None = None,
    ) -> None:
        program = _program(command[0], environ)
        _check_box()
        self._words = [program, *(word.replace(MODEL, model) for word in command[1:])]
        self._room = room or Room()
        self._shell = bubblewrap.box_command(
            Level.NAMESPACE,
            [sys.executable, "-P", "-s", "-B", "-m", "evolution.sandbox.command_worker"],
            readable=[
                *system_readable(),
                *(program, os.path.realpath(program)),
                *(_NETWORK_FILES if has_network else ()),
                *(_shown(path) for path in shows),
            ],
            workspace=_WORKSPACE,
            workspace_bytes=round(self._room.disk_mb * 2**20),
            has_network=has_network,
        )
        self._environment = {
            "PATH": os.pathsep.join([str(Path(program).parent), *_PATH]),
            "HOME": _WORKSPACE,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PACKAGE_ROOT),
            **_own_key(key, environ),
        }
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def run(self, files: Mapping[str, str], prompt: str) -> Work:
        """Let the command work on ``files``, and end everything it started."""
        mark = secrets.token_hex(16)  # the command may find where answers go, but not this
        request = {
            "mark": mark,
            "command": self._words,
            "files": dict(files),
            "prompt": prompt,
            "seconds": self._room.seconds,
            "file_bytes": round(self._room.disk_mb * 2**20),
            "most_bytes": _MOST_BYTES,
        }
        with tempfile.TemporaryFile() as errors:
            process = self._started(errors)
            if process is None:
                return Work(failure=CallFailure.UNREACHABLE, words="no box could be started")
            try:
                answer, problem = self._heard(process, json.dumps(request).encode())
            finally:
                process.kill()
                process.wait()
                with self._lock:
                    self._running.discard(process)
            if problem is not None:
                return problem
            _, found, told = answer.partition(mark.encode())
            if not found:
                errors.seek(0)
                words = errors.read(_ERROR_CHARACTERS).decode("utf-8", "replace")
                return Work(failure=CallFailure.CUT_OFF, words=f"the box broke off: {words}")
        return _work(told, files)

    def close(self) -> None:
        """End every command that runs, and start no other."""
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for process in running:
            process.kill()

    def _started(self, errors: IO[bytes]) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._is_closed:
                return None
            try:
                process = subprocess.Popen(
                    self._shell,
                    cwd="/",
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError:
                return None
            self._running.add(process)
            return process

    def _heard(
        self, process: "subprocess.Popen[bytes]", request: bytes
    ) -> tuple[bytes, Work | None]:
        """The box's answer, or what it did that it must not."""
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(request)
        with suppress(BrokenPipeError):
            process.stdin.close()
        deadline = time.monotonic() + self._room.seconds + _GRACE_SECONDS
        answer = b""
        with process.stdout as stream, selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if selector.select(_LOOK_SECONDS):
                    data = os.read(stream.fileno(), 1 << 20)
                    if not data:
                        return answer, None
                    answer += data
                    if len(answer) > _MOST_ANSWER_BYTES:
                        return b"", Work(failure=CallFailure.MALFORMED, words="it answers too much")
                if (flood := self._flood(process.pid)) is not None:
                    return b"", Work(failure=CallFailure.CUT_OFF, words=flood)
        return b"", Work(failure=CallFailure.TIMED_OUT, words="the box did not end in time")

    def _flood(self, pid: int) -> str | None:
        """What the box uses more of than it may; None if nothing."""
        count, resident = 0, 0
        try:
            for process in psutil.Process(pid).children(recursive=True):
                with suppress(psutil.Error):
                    resident += process.memory_info().rss
                    count += 1
        except psutil.Error:
            return None
        room = self._room
        if count > room.process_count:
            return f"{count} processes were started, {room.process_count} are allowed"
        if resident > room.memory_mb * 2**20:
            return f"{resident >> 20} MB were resident, {room.memory_mb:.0f} MB are allowed"
        return None


def _work(answer: bytes, files: Mapping[str, str]) -> Work:
    """The box's answer, of which nothing is believed that does not look as it must."""
    try:
        told = json.loads(answer)
        said, errors = str(told.get("said", "")), str(told.get("errors", ""))
        failure, words = _failure(told, errors)
        left = told.get("files", {})
        work = Work({path: left[path] for path in files if path in left}, said, failure, words)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return Work(failure=CallFailure.MALFORMED, words=f"the box's answer is none: {error}")
    if not all(isinstance(text, str) for text in work.files.values()):
        return Work(failure=CallFailure.MALFORMED, words="the box's answer holds no texts")
    return work


def _failure(told: Mapping[str, Any], errors: str) -> tuple[CallFailure | None, str]:
    if "unstarted" in told:
        return CallFailure.UNREACHABLE, f"it could not be started: {told['unstarted']}"
    if told.get("is_late"):
        return CallFailure.TIMED_OUT, "it still ran at timeout_seconds and was ended"
    if "unreadable" in told:
        return CallFailure.MALFORMED, str(told["unreadable"])
    if told.get("code") != 0:
        tail = one_line(errors.strip()[-_ERROR_CHARACTERS:], _ERROR_CHARACTERS) or "it said nothing"
        return CallFailure.CUT_OFF, f"it ended with code {told.get('code')}: {tail}"
    return None, ""


def _program(name: str, environ: Mapping[str, str]) -> str:
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise CommandError(
            f"[agents] command begins with {name!r}, which is no program on the path, but a coding "
            "agent's command line is needed. Install it, or give the whole path."
        )
    return str(Path(found).absolute())


def _check_box() -> None:
    reason = works(Level.NAMESPACE)
    if reason:
        raise CommandError(
            f"No box of bubblewrap works here ({one_line(reason, 300)}), but a coding agent reads "
            "hostile text and starts programs, so it runs in one or not at all. Install "
            "bubblewrap and allow user namespaces, or choose another kind under [agents]."
        )


def _own_key(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    if not name:
        return {}
    if not environ.get(name):
        raise CommandError(
            f"[agents] command_key is {name!r}, but that variable is not set, and the coding "
            f"agent has no other key. Put it into the environment: export {name}=…"
        )
    return {name: environ[name]}


def _shown(path: str) -> str:
    whole = Path(path).expanduser().absolute()
    if not whole.exists() or not may_be_shown(str(whole)) or not may_be_shown(str(whole.resolve())):
        raise CommandError(
            f"[agents] command_shows has {path!r}, which is not there or holds more than a coding "
            "agent may see: a whole home folder, /etc, keys. Name the folder that it needs."
        )
    return str(whole)
