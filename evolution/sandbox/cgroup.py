"""Memory and process limits that the kernel keeps for a whole tree, where a control group is ours.

Version 2 needs a delegated group (``systemd-run --user --scope -p Delegate=yes …``, or root of a
container with a writable one); version 1 needs write access to the memory and pids hierarchies.
Each is tried, and nothing is assumed from a version number. Version 1 was exercised as root.
Version 2 was written from the kernel's documentation and has only been exercised against a folder
of plain files: no machine with its memory controller was at hand. Standard library only.
"""

import errno
import itertools
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PREFIX = "evoresearch"
_HARNESS = f"{_PREFIX}-harness"
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.002
_COUNTER = itertools.count()


@dataclass(frozen=True, slots=True)
class Mount:
    """One hierarchy of control groups and where this process is in it."""

    version: int
    controllers: frozenset[str]
    own: Path
    top: Path


class MemoryGroup:
    """A group of processes that share a limit on memory and on their number."""

    def __init__(self, folders: Sequence[Path], version: int) -> None:
        self._folders = tuple(folders)
        self._version = version

    @classmethod
    def open(
        cls, limit_bytes: int, process_limit: int, mounts: Sequence[Mount] | None = None
    ) -> Self | None:
        """A new, empty group; None where this process may not make one.

        Args:
            limit_bytes: Memory of the group, files in memory included, swap excluded.
            process_limit: Processes and threads.
            mounts: Where to look; by default the hierarchies of this process.
        """
        found = own_mounts() if mounts is None else mounts
        for make in (_make_version_2, _make_version_1):
            folders = make(found, limit_bytes, process_limit)
            if folders:
                return cls(folders, 2 if make is _make_version_2 else 1)
        return None

    def add(self, pid: int) -> None:
        """Put a process into the group; what it starts from here on is in it, too.

        Raises:
            OSError: It is gone, or the group is full.
        """
        for folder in self._folders:
            _write(folder / "cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Every process in the group now."""
        found: set[int] = set()
        for folder in self._folders:
            with suppress(FileNotFoundError):
                found.update(map(int, (folder / "cgroup.procs").read_text("ascii").split()))
        return sorted(found)

    def oom_kill_count(self) -> int:
        """How many of its processes the kernel has killed for memory."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        for line in _read(self._folders[0] / name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def peak_bytes(self) -> int | None:
        """The most memory it held at once; None where the kernel does not count it."""
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        text = _read(self._folders[0] / name).strip()
        return int(text) if text else None

    def kill(self) -> int:
        """Kill every process of the group, and those that they start meanwhile; how many live."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with suppress(OSError):  # Linux 5.14 kills a group at once; the loop does for the others
            if self._version == 2:
                _write(self._folders[0] / "cgroup.kill", "1")
        while pids := [pid for pid in self.pids() if not _is_dead(pid)]:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return len(pids)
            time.sleep(_PAUSE_SECONDS)
        return 0

    def close(self) -> None:
        """Kill what is left and remove the group.

        Raises:
            OSError: It could not be removed, although it was waited for.
        """
        self.kill()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for folder in self._folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:  # the dead stay in it until they are collected
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(_PAUSE_SECONDS)
                else:
                    break


def own_mounts() -> list[Mount]:
    """Every hierarchy that this process is in, and can see."""
    places = {tuple(names): path for names, path in _memberships()}
    found = []
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        top = Path(left.split()[4])
        if kind == "cgroup2" and () in places:
            own = _place(top, places[()])
            names = frozenset(_read(own / "cgroup.controllers").split())
            found.append(Mount(2, names, own, top))
        for held, path in places.items() if kind == "cgroup" else ():
            if held and set(held) <= set(options.split(",")):
                found.append(Mount(1, frozenset(held), _place(top, path), top))
    return found


def _memberships() -> Iterator[tuple[list[str], str]]:
    """Controllers and path of each group this process is in; no controllers is version 2."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        yield [name for name in names.split(",") if name], path


def _place(top: Path, path: str) -> Path:
    """The group's folder; the top of the mount where a container shows only its own part."""
    own = top / path.lstrip("/")
    return own if own.is_dir() else top


def _make_version_2(mounts: Sequence[Mount], limit: int, process_limit: int) -> list[Path]:
    for mount in mounts:
        if mount.version != 2 or not {"memory", "pids"} <= mount.controllers:
            continue
        parent = mount.own.parent if mount.own.name == _HARNESS else mount.own
        settings = {"memory.max": limit, "pids.max": process_limit}
        optional = {"memory.swap.max": 0, "memory.oom.group": 1}
        if _has_controllers(parent, mount) and (folder := _make(parent, settings, optional)):
            return [folder]
    return []


def _has_controllers(parent: Path, mount: Mount) -> bool:
    """Whether groups below get limits; asks for that where the group is ours to arrange."""
    switch = parent / "cgroup.subtree_control"
    if {"memory", "pids"} <= set(_read(switch).split()):
        return True
    if not (_is_delegated(parent) or parent == mount.top):
        return False
    try:
        # A group with limits below it may hold no process itself: ours move one down.
        leaf = parent / _HARNESS
        leaf.mkdir(exist_ok=True)
        for pid in _read(parent / "cgroup.procs").split():
            with suppress(ProcessLookupError):
                _write(leaf / "cgroup.procs", pid)
        _write(switch, "+memory +pids")
    except OSError:
        return False
    return True


def _is_delegated(folder: Path) -> bool:
    """Whether systemd has handed this group over."""
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError, AttributeError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _make_version_1(mounts: Sequence[Mount], limit: int, process_limit: int) -> list[Path]:
    memory = _version_1_folder(mounts, "memory")
    pids = _version_1_folder(mounts, "pids")
    if memory is None or pids is None:
        return []
    first = _make(memory, {"memory.limit_in_bytes": limit}, {"memory.memsw.limit_in_bytes": limit})
    if first is None:
        return []
    second = _make(pids, {"pids.max": process_limit}, {})
    if second is None:
        first.rmdir()
        return []
    return [first, second]


def _version_1_folder(mounts: Sequence[Mount], controller: str) -> Path | None:
    for mount in mounts:
        if mount.version == 1 and controller in mount.controllers:
            return mount.own
    return None


def _make(parent: Path, needed: dict[str, int], optional: dict[str, int]) -> Path | None:
    """A new group with these settings; None, and nothing left behind, if one is refused."""
    _sweep(parent)
    folder = parent / f"{_PREFIX}-{os.getpid()}-{next(_COUNTER)}"
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        for name, value in needed.items():
            _write(folder / name, str(value))
    except OSError:
        folder.rmdir()
        return None
    for name, value in optional.items():
        with suppress(OSError):
            _write(folder / name, str(value))
    return folder


def _sweep(parent: Path) -> None:
    """Remove the empty groups of supervisors that were killed before they could."""
    for folder in parent.glob(f"{_PREFIX}-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and _is_dead(int(owner)):
            with suppress(OSError):
                folder.rmdir()


def _is_dead(pid: int) -> bool:
    """Whether a process is gone, or dead and only waits to be collected."""
    text = _read(Path(f"/proc/{pid}/stat"))
    return text.rpartition(")")[2].split()[:1] in ([], ["Z"], ["X"])


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Write to a file that the kernel made; never make one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
