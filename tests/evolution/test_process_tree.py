import os
import signal
import subprocess
import sys
import textwrap

import pytest

from evolution.sandbox import process_tree
from evolution.sandbox.environment import supervisor_environment

pytestmark = pytest.mark.skipif(not process_tree.IS_LINUX, reason="reads /proc")

TREE = """
import os, signal, subprocess, sys, time
from evolution.sandbox import process_tree
from evolution.sandbox.process_tree import ProcessTree, become_subreaper

assert become_subreaper()
tree = ProcessTree()


def child(code):
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    process.returncode = 0
    tree.watch(process.pid)
    return process.pid


def until(claim):
    give_up = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def state(pid):
    return process_tree._stat(pid)[0]
"""
PARENT = "import os, time\nif os.fork() == 0: time.sleep(600)\ntime.sleep(600)"


def run_alone(text: str) -> None:
    """Run in a process of its own: a tree reaps every child of its process."""
    subprocess.run(
        [sys.executable, "-P", "-c", TREE + textwrap.dedent(text)],
        check=True,
        env=supervisor_environment("tree/1"),
    )


def test_scanning_all_processes_finds_what_the_kernel_lists():
    run_alone(f"""
        child({PARENT!r})
        until(lambda: len(tree.pids()) == 2)
        listed = sorted(tree.pids())
        process_tree._LISTS_CHILDREN = False
        assert sorted(tree.pids()) == listed
        assert tree.kill() == 0
        assert tree.pids() == []
    """)


def test_exit_codes_and_cpu_time_of_what_ended_are_kept():
    run_alone("""
        worker = child("sum(range(10_000_000)); raise SystemExit(7)")
        until(lambda: tree.reap() is False)
        assert tree.exit_code(worker) == 7
        assert tree.cpu_seconds() > 0.01
        sleeper = child("import time; time.sleep(600)")
        assert tree.reap()
        assert tree.exit_code(sleeper) is None
        assert tree.kill() == 0
        assert tree.exit_code(sleeper) == -9
    """)


def test_a_whole_tree_can_be_frozen_and_thawed():
    run_alone(f"""
        child({PARENT!r})
        until(lambda: len(tree.pids()) == 2)
        tree.signal(signal.SIGSTOP)
        until(lambda: all(state(pid) == "T" for pid in tree.pids()))
        tree.signal(signal.SIGCONT)
        until(lambda: all(state(pid) == "S" for pid in tree.pids()))
        tree.kill()
    """)


def test_a_process_that_forks_on_and_on_is_caught():
    hydra = """
        import os
        for _ in range(200_000):
            if os.fork():
                os._exit(0)
    """
    run_alone(f"""
        child({textwrap.dedent(hydra)!r})
        time.sleep(0.5)
        assert tree.kill() == 0
        assert tree.pids() == []
    """)


def test_the_clock_of_a_process_is_its_own():
    before = process_tree.process_cpu_seconds(os.getpid())
    sum(range(1_000_000))
    assert process_tree.process_cpu_seconds(os.getpid()) > before


def test_what_is_gone_costs_nothing():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    assert process_tree._cpu_seconds(process.pid) == 0
    assert process_tree._resident_bytes(process.pid) == 0
    process_tree._send([process.pid], signal.SIGKILL)
