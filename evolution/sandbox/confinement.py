"""A process confines itself, for good, before the first line of a genome runs in it.

Resource limits, then privileges, then Landlock, then seccomp: each step needs what the next one
takes away. It works in a process that has loaded torch and was forked, and in one that is about to
become another program. Standard library only.
"""

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from evolution.sandbox import landlock, seccomp
from evolution.sandbox.capabilities import drop_capabilities, renounce_new_privileges
from evolution.sandbox.visible import (
    corpus_folders,
    gpu_devices,
    gpu_readable,
    system_listable,
    system_readable,
)

__all__ = [
    "ConfinementError",
    "Policy",
    "confine_self",
    "corpus_folders",
    "gpu_devices",
    "gpu_readable",
    "system_listable",
    "system_readable",
]

NAMESPACE = "namespace"
LANDLOCK = "landlock"
BASIC = "basic"

_IS_LINUX = sys.platform.startswith("linux")
_EVERYBODYS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LOCKED_BYTES = 8 << 20


class ConfinementError(Exception):
    """The process is not confined as it should be, and must not go on."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a process keeps once it is confined.

    Attributes:
        level: ``namespace``, ``landlock`` or ``basic``. At ``namespace`` it is in a box of
            bubblewrap already.
        readable: Files and folders, with all below, to read and execute.
        writable: Folders with all rights below. They must exist.
        devices: Device nodes to read, write and control.
        listable: Folders whose names may be listed, without what is in the files.
        may_fork: False refuses every new process; threads may always be made.
        data_bytes: Private writable memory; None on a GPU, whose driver maps far more than it uses.
        file_bytes: The largest file, in memory (``memfd_create``) and on disk.
        open_files: Descriptors.
        process_count: Threads and processes beside those that its user has already. Root is not
            counted by any kernel.
    """

    level: str
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    devices: tuple[str, ...] = ()
    listable: tuple[str, ...] = ()
    may_fork: bool = False
    data_bytes: int | None = None
    file_bytes: int = 1 << 30
    open_files: int = 512
    process_count: int = 256

    def to_dict(self) -> dict[str, object]:
        """The policy as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Self:
        """The policy of a JSON object."""
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**plain)  # type: ignore[arg-type] # written by to_dict


def confine_self(policy: Policy) -> None:
    """Give up, for good, everything that the policy does not leave.

    Raises:
        ConfinementError: A wall could not be built. What was built before it stands.
    """
    if policy.level not in (NAMESPACE, LANDLOCK, BASIC):
        raise ConfinementError(f"there is no containment level {policy.level!r}")
    _check_threads()
    step = "resource limits"
    try:
        _limit_resources(policy)
        if not _IS_LINUX:
            _check_basic(policy.level)
            return
        step = "capabilities"
        drop_capabilities()
        renounce_new_privileges()
        step = "Landlock"
        _restrict_files(policy)
        step = "seccomp"
        _restrict_calls(policy)
    except (OSError, ValueError) as error:
        raise ConfinementError(f"{step} could not be put in place: {error}") from error


def _check_threads() -> None:
    """Landlock and capabilities are a thread's own: a second thread would stay free."""
    if _IS_LINUX and len(list(Path("/proc/self/task").iterdir())) > 1:
        raise ConfinementError(
            "the process has more than one thread, and only the calling one would be confined: "
            "confine it before threads start"
        )


def _check_basic(level: str) -> None:
    if level != BASIC:
        raise ConfinementError(f"{level} does not exist on {sys.platform}, only {BASIC} does")


def _limit_resources(policy: Policy) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, policy.file_bytes)
    _limit(resource.RLIMIT_NOFILE, policy.open_files)
    _limit(resource.RLIMIT_MEMLOCK, _LOCKED_BYTES)
    _limit(resource.RLIMIT_NPROC, _task_count() + policy.process_count)
    if policy.data_bytes is not None:
        _limit(resource.RLIMIT_DATA, policy.data_bytes)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _task_count() -> int:
    """Threads that this user runs now, as far as they can be seen: the kernel counts them all."""
    user, count = os.getuid(), 0
    if not _IS_LINUX or user == 0:
        return 0
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == user:
                count += len(list((process / "task").iterdir()))
        except OSError:  # it ended meanwhile
            continue
    return count


def _restrict_files(policy: Policy) -> None:
    reason = landlock.why_missing()
    if policy.level == BASIC or (reason and policy.level == NAMESPACE):
        return  # at ``namespace`` the mounts of the box are the wall
    if reason:
        raise ConfinementError(reason)
    for folder in policy.writable:
        if not Path(folder).is_dir():
            raise ConfinementError(f"{folder} is to be writable, but is no folder")
    landlock.restrict(
        {
            landlock.READ: policy.readable,
            landlock.WRITE: policy.writable,
            landlock.READ_DIR: policy.listable,
            landlock.DEVICE: (*_EVERYBODYS_DEVICES, *policy.devices),
        }
    )


def _is_alone(policy: Policy) -> bool:
    """True in a box of its own process ids that no other trainer shares."""
    return policy.level == NAMESPACE and bool(landlock.why_missing())


def _restrict_calls(policy: Policy) -> None:
    if seccomp.why_missing() and policy.level == BASIC:
        return
    is_scoped = policy.level != BASIC and landlock.scopes_signals()
    seccomp.restrict(
        seccomp.Permits(
            fork=policy.may_fork,
            signals=policy.may_fork and (is_scoped or _is_alone(policy)),
            metadata=policy.level == NAMESPACE and policy.may_fork,
            pid=os.getpid(),
        )
    )
