"""RunLock: one engine a run. The kernel drops the lock when its owner dies, however it dies."""

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from population.errors import EvolveError


class RunLockedError(EvolveError):
    """Another engine works on the run."""


class RunLock:
    """An exclusive lock on a run's folder, as a context manager.

    `flock` and not a file's existence: nothing is left behind by `kill -9`.

    Raises:
        RunLockedError: On entry, with the owner's process and host.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> "RunLock":
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunLockedError(
                f"The lock {self._path} cannot be taken: {error.strerror}. An engine must "
                "write in the run's folder. Give yourself the right to, or make room; try again."
            ) from error
        if not _acquire(descriptor):
            owner = _owner(descriptor)
            os.close(descriptor)
            raise RunLockedError(
                f"The run {self._path.parent.name!r} is locked by {owner}. One engine at a time "
                "may work on a run. Wait for it, watch it with `evolve status`, or start another "
                "with `evolve run --name OTHER`."
            ) from None
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        with contextlib.suppress(OSError):  # on a full disk the owner goes unnamed; it holds
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _acquire(descriptor: int, tries: int = 5) -> bool:
    # A reader asking `is_locked` holds a shared lock for a moment: try again before refusing.
    for attempt in range(tries):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt + 1 < tries:
                time.sleep(0.05)
        else:
            return True
    return False


def is_locked(path: Path) -> bool:
    """True while some engine works on the run whose lock file this is."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(owner['pid'])} on {str(owner['host'])[:80]}"
    except (ValueError, KeyError, TypeError):
        return "another process"
