"""What a container allows is found in the files that the kernel shows of it."""

import os
from pathlib import Path

import pytest

from evolution.cgroups import core_limit, free_memory_mb, usable_cores
from evolution.config import EvolutionConfig
from evolution.executors.site import cpu_slots

MIB = 2**20


def a_machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A root whose ``proc`` and ``sys`` say that this process is in those control groups."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def version_2(root: Path) -> Path:
    """`docker --cpus 2 --memory 4g`, as the container itself sees it."""
    return a_machine(
        root,
        "0::/\n",
        {
            "sys/fs/cgroup/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/memory.max": f"{4096 * MIB}\n",
            "sys/fs/cgroup/memory.current": f"{1024 * MIB}\n",
            "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {512 * MIB}\n",
        },
    )


def version_1(root: Path) -> Path:
    """The same, where the container is told of the path that the host knows it by."""
    return a_machine(
        root,
        "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4096 * MIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{1024 * MIB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {512 * MIB}\n",
        },
    )


@pytest.mark.parametrize("container", [version_1, version_2])
def test_a_container_of_two_cores_and_four_gigabytes_is_no_host(container, tmp_path):
    root = container(tmp_path)
    assert core_limit(root) == 2.0
    assert free_memory_mb(root) == 4096 - 1024 + 512
    own = sorted(os.sched_getaffinity(0))
    assert usable_cores(root) == own[:2]


def test_the_tightest_group_above_counts(tmp_path):
    root = a_machine(
        tmp_path,
        "0::/user/night\n",
        {
            "sys/fs/cgroup/user/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user/night/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user/memory.max": "max\n",
            "sys/fs/cgroup/user/night/memory.max": f"{100 * MIB}\n",
            "sys/fs/cgroup/other/cpu.max": "1000 100000\n",
        },
    )
    assert core_limit(root) == 1.5
    assert len(usable_cores(root)) == 1
    assert free_memory_mb(root) == 100


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {}),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}),
        ("1:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}),
        ("0::/../..\n", {"cpu.max": "1000 100000\n"}),
        ("nonsense", {"sys/fs/cgroup/cpu.max": "a b c\n", "sys/fs/cgroup/memory.max": "\n"}),
    ],
)
def test_without_a_limit_all_cores_of_this_process_are_used(groups, files, tmp_path):
    root = a_machine(tmp_path, groups, files)
    assert (core_limit(root), free_memory_mb(root)) == (None, None)
    assert usable_cores(root) == sorted(os.sched_getaffinity(0))


def test_less_than_a_core_is_one_core(tmp_path):
    root = a_machine(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert len(usable_cores(root)) == 1


def test_the_engine_takes_as_many_workers_as_the_settings_count():
    count = EvolutionConfig.from_mapping({}).worker_count()
    assert count == len(usable_cores()) == len(cpu_slots())
