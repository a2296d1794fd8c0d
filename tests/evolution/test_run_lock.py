import os
import signal
import subprocess
import sys

import pytest

from evolution.run_lock import RunLock, RunLockedError, is_locked

HOLD = """
import sys, time
from pathlib import Path
from evolution.run_lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    path = tmp_path / "night" / "run.lock"
    path.parent.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_engine_is_told_who_holds_the_run(holder):
    path, process = holder
    with pytest.raises(RunLockedError, match=rf"'night' is locked by process {process.pid} on"):
        RunLock(path).__enter__()
    assert is_locked(path)


def test_kill_nine_of_the_owner_frees_the_run(holder):
    path, process = holder
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not is_locked(path)
    with RunLock(path):
        assert is_locked(path)


def test_a_lock_file_of_another_program_is_no_lock(tmp_path):
    path = tmp_path / "run.lock"
    path.write_text("not what we write")
    with RunLock(path):
        pass
    assert not is_locked(path)
    assert not is_locked(tmp_path / "missing")
