"""Groups of processes: real ones where this machine lends them, and version 2 against files."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolution.sandbox import cgroup
from evolution.sandbox.cgroup import MemoryGroup, Mount

_LIMIT = 96 << 20


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    found = MemoryGroup.open(_LIMIT, 12)
    if found is None:
        pytest.skip("no control group is delegated to this process")
    yield found
    found.close()


def start(program: str) -> "subprocess.Popen[str]":
    """A program that waits for a line, so that it can be put into a group first."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import os, sys, time\nsys.stdin.readline()\n{program}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_in(group: MemoryGroup | None, program: str) -> "tuple[int, str]":
    process = start(program)
    if group is not None:
        group.add(process.pid)
    output, _ = process.communicate("\n", timeout=60)
    return process.returncode, output


HUNGRY = "held = bytearray(200 << 20); print('had it')"
FILE_IN_MEMORY = (
    "fd = os.memfd_create('x')\nfor _ in range(200): os.write(fd, bytes(1 << 20))\nprint('had it')"
)


@pytest.mark.parametrize("program", [HUNGRY, FILE_IN_MEMORY])
def test_more_memory_than_allowed_ends_the_process(group, program):
    assert run_in(None, program) == (0, "had it\n")
    assert run_in(group, program) == (-9, "")
    assert group.oom_kill_count() == 1
    assert group.peak_bytes() == pytest.approx(_LIMIT, rel=0.02)


def test_processes_are_counted_and_all_killed(group):
    bomb = "count = 0\nwhile True:\n  if os.fork() == 0: os.setsid(); time.sleep(99)\n  count += 1"
    process = start(bomb)
    group.add(process.pid)
    with process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(timeout=60)  # by the error of the fork that was one too many
        assert len(group.pids()) == 11
        assert group.kill() == 0
    assert all(cgroup._is_dead(pid) for pid in group.pids())


def test_a_closed_group_leaves_nothing_behind():
    group = MemoryGroup.open(_LIMIT, 12)
    if group is None:
        pytest.skip("no control group is delegated to this process")
    process = start("time.sleep(99)")
    group.add(process.pid)
    with process:
        group.kill()
        process.wait(timeout=60)
    group.close()
    assert not any(folder.exists() for folder in group._folders)


def delegated(folder: Path, controllers: str) -> list[Mount]:
    """Files as the kernel shows them in a group that is ours."""
    folder.mkdir(exist_ok=True)
    (folder / "cgroup.subtree_control").write_text(controllers)
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")
    return [Mount(2, frozenset({"memory", "pids"}), folder, folder.parent)]


def test_a_group_that_lends_no_limits_is_not_used(tmp_path):
    assert MemoryGroup.open(_LIMIT, 12, delegated(tmp_path / "own", "")) is None
    assert MemoryGroup.open(_LIMIT, 12, []) is None


def test_a_refused_setting_leaves_no_group_behind(tmp_path):
    # A plain folder has no file memory.max, and neither has a group whose controller is off.
    own = tmp_path / "own"
    assert MemoryGroup.open(_LIMIT, 12, delegated(own, "memory pids")) is None
    assert sorted(path.name for path in own.iterdir()) == ["cgroup.procs", "cgroup.subtree_control"]


def test_version_2_gets_its_limits(tmp_path, monkeypatch):
    written: dict[str, str] = {}

    def keep(path: Path, text: str) -> None:
        if path.name == "memory.oom.group":
            raise OSError(errno.ENOENT, "an older kernel")
        written[path.name] = text

    monkeypatch.setattr(cgroup, "_write", keep)
    group = MemoryGroup.open(_LIMIT, 12, delegated(tmp_path / "own", "cpu memory pids"))
    assert group is not None
    assert written == {"memory.max": str(_LIMIT), "pids.max": "12", "memory.swap.max": "0"}
    (group._folders[0] / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kill_count() == 2
