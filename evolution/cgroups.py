"""Cores and memory that this process may use: affinity, and what a container allows.

A container's limits are those of Linux control groups (kernel documentation, admin-guide,
`cgroup-v2.rst` and `cgroup-v1/`). A limit of a group holds for all groups below it, so that the
smallest one from the process's own group up to the root counts.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> list[int]:
    """Cores this process may use, in order; a container or `taskset` may allow fewer.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    else:
        cores = list(range(os.cpu_count() or 1))
    limit = core_limit(root)
    return cores if limit is None else cores[: max(1, int(limit))]


def core_limit(root: Path = _ROOT) -> float | None:
    """CPU-seconds a second that the control groups allow; None without a limit."""
    found = []
    for folder in _groups(root, "cpu"):
        quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
        if not quota:
            quota, period = (
                "".join(_words(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period")
            )
        if quota.isdecimal() and period.isdecimal() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)


def free_memory_mb(root: Path = _ROOT) -> float | None:
    """MiB that the control groups leave free; None without a limit.

    Files that the kernel only keeps in case they are read again are free.
    """
    found = []
    for folder in _groups(root, "memory"):
        for limit, used, kept in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most = _number(folder / limit)
            if most is not None:
                taken = (_number(folder / used) or 0) - _kept(folder / "memory.stat", kept)
                found.append(max(0.0, (most - max(0, taken)) / 2**20))
    return min(found, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the groups this process is in, by a controller: of version 2, or of 1."""
    base = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = base / controller if controllers else base
        own = top / path.strip("/") if ".." not in path else top
        # In a container the path may be the host's: what is there is its own group, at the top.
        yield from (own, *(folder for folder in own.parents if folder.is_relative_to(top)))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # there is no such limit
        return []


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].isdecimal() else None


def _kept(file: Path, name: str) -> int:
    for line in _lines(file):
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return 0
