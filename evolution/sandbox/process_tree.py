"""The processes below a supervisor: count, freeze, kill and reap them, to the last one.

A child subreaper inherits every orphan among its descendants. "No child left" therefore means "no
descendant left", with ``setsid`` and double forks included. Where there is no subreaper (macOS)
only the sessions of the trainers are known. Standard library only.
"""

import ctypes
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

IS_LINUX = sys.platform.startswith("linux")
_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_SET_DUMPABLE = 4
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
# Looked up before any fork: a child between fork and exec should not search for libraries.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if IS_LINUX else None


def become_subreaper() -> bool:
    """Adopt every orphan among our descendants; False where the system cannot."""
    return _PRCTL is not None and _PRCTL(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def set_dumpable(is_allowed: bool) -> None:
    """Whether another process of this user may look into this one, or change its memory."""
    if _PRCTL is not None:
        _PRCTL(_SET_DUMPABLE, int(is_allowed), 0, 0, 0)


def harden_child(parent: int, cpu: int | None) -> None:
    """Between fork and exec: die with the parent, go first when memory ends, stay on one core."""
    if _PRCTL is not None:
        _PRCTL(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)
        with suppress(OSError):  # not everywhere allowed, and not worth a trial
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})


def let_others_first(pid: int, niceness: int) -> None:
    """Make the session of a process nice as a whole.

    Where the kernel groups processes by session (``sched_autogroup``, the default of most systems),
    a process's own niceness counts inside its session alone.
    """
    with suppress(OSError):  # no such groups, or the process is gone
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")


def process_cpu_seconds(pid: int) -> float:
    """CPU time of one process to the nanosecond; wall time where its clock cannot be read.

    Raises:
        OSError: The process is gone.
    """
    if IS_LINUX:
        return time.clock_gettime((~pid << 3) | 2)
    return time.monotonic()


def ancestors(pid: int, root: int) -> list[int]:
    """A process and its parents up to, without, ``root``."""
    found: list[int] = []
    while pid > 1 and pid != root and pid not in found:
        found.append(pid)
        fields = _stat(pid) if IS_LINUX else []
        pid = int(fields[1]) if fields else 0
    return found


class ProcessTree:
    """Everything below this process. One per supervisor: it reaps every child there is."""

    def __init__(self) -> None:
        self._exit_codes: dict[int, int | None] = {}

    def watch(self, pid: int) -> None:
        """Remember how this child ends, and that its session is ours to kill."""
        self._exit_codes[pid] = None

    def exit_code(self, pid: int) -> int | None:
        """How a watched child ended: its code, or minus the signal; None while it lives."""
        return self._exit_codes[pid]

    def reap(self) -> bool:
        """Collect whatever has ended; False once no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid in self._exit_codes:
                self._exit_codes[pid] = os.waitstatus_to_exitcode(status)

    def pids(self) -> list[int]:
        """Every living descendant; the dead that nobody has collected included."""
        return _descendants(os.getpid()) if IS_LINUX else self._watched()

    def cpu_seconds(self) -> float:
        """CPU time of all descendants, living or collected, from the start."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + sum(map(_cpu_seconds, self.pids()))

    def memory_mb(self, spare: Collection[int] = ()) -> float:
        """Resident memory of all descendants but some; pages they share count for each."""
        return sum(map(_resident_bytes, set(self.pids()).difference(spare))) / 2**20

    def nameless_bytes(self, spare: Collection[int] = ()) -> dict[int, int]:
        """What all descendants but some hold in open files that no folder lists, by device.

        Files in memory that nobody maps are in no process's resident memory, and a removed file
        that is still open is in no folder. Each file counts once.
        """
        held: dict[tuple[int, int], int] = {}
        for pid in set(self.pids()).difference(spare):
            held.update(_nameless_files(pid))
        by_device: dict[int, int] = {}
        for (device, _), size in held.items():
            by_device[device] = by_device.get(device, 0) + size
        return by_device

    def thread_count(self, spare: Collection[int] = ()) -> int:
        """Threads of all descendants but some."""
        return sum(map(_thread_count, set(self.pids()).difference(spare)))

    def send(self, pid: int, number: int) -> None:
        """Send a signal to one process that may be gone."""
        _send([pid], number)

    def signal(self, number: int, spare: Collection[int] = ()) -> set[int]:
        """Send a signal to every descendant but those spared; again for those born meanwhile.

        Returns:
            The processes it was sent to.
        """
        seen: set[int] = set(spare)
        for _ in range(5):
            fresh = set(self.pids()) - seen
            if not fresh:
                break
            _send(fresh, number)
            seen |= fresh
        return seen - set(spare)

    def kill(self, patience_seconds: float = 10.0, spare: Collection[int] = ()) -> int:
        """Kill and collect all descendants but some; how many were left when patience ended."""
        deadline = time.monotonic() + patience_seconds
        pause = 0.0005
        while True:
            if IS_LINUX:
                _send(set(self.pids()).difference(spare), signal.SIGKILL)
            else:
                _send_groups(set(self._exit_codes).difference(spare), signal.SIGKILL)
            if not self.reap() or not set(self.pids()).difference(spare):
                return 0
            if time.monotonic() > deadline:
                return len(set(self.pids()).difference(spare))
            time.sleep(pause)
            pause = min(pause * 2, 0.02)

    def _watched(self) -> list[int]:
        living = (pid for pid, code in self._exit_codes.items() if code is None)
        return [pid for pid in living if _is_there(pid)]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _send_groups(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _descendants(root: int) -> list[int]:
    scanned = None if _LISTS_CHILDREN else _scanned_children()
    found: list[int] = []
    unvisited = [root]
    while unvisited:
        parent = unvisited.pop()
        born = _listed_children(parent) if scanned is None else scanned.get(parent, [])
        found += born
        unvisited += born
    return found


def _listed_children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    except OSError:
        pass  # it ended while we read; what it left is ours by now
    return found


def _scanned_children() -> dict[int, list[int]]:
    """Children of every process, in one pass, where the kernel keeps no lists of them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and of the children it has collected itself."""
    return sum(map(int, _stat(pid)[11:15])) / _TICK


def _nameless_files(pid: int) -> dict[tuple[int, int], int]:
    """Bytes of each open file without a name, by device and number."""
    found: dict[tuple[int, int], int] = {}
    try:
        descriptors = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return found  # gone, or not ours to look into
    for descriptor in descriptors:
        with suppress(OSError):
            facts = descriptor.stat()
            if facts.st_nlink == 0 and stat.S_ISREG(facts.st_mode):
                found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    for key, size in _nameless_mappings(pid):
        found.setdefault(key, size)
    return found


def _nameless_mappings(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Files that are mapped though they are in no folder any more, open or not.

    The whole file counts where this process may ask for it, else what is mapped of it.
    """
    try:
        lines = Path(f"/proc/{pid}/maps").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if not line.endswith("(deleted)") or "/dev/zero" in line:
            continue
        addresses, _, _, device, number = line.split()[:5]
        try:
            size = Path(f"/proc/{pid}/map_files/{addresses}").stat().st_blocks * 512
        except OSError:
            first, last = (int(address, 16) for address in addresses.split("-"))
            size = last - first
        major, minor = (int(part, 16) for part in device.split(":"))
        yield (os.makedev(major, minor), int(number)), size


def _thread_count(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[17]) if fields else 0


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0
