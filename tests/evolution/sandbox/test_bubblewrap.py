"""What a box of bubblewrap shows, how large it is, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evolution.sandbox import bubblewrap
from evolution.sandbox.bubblewrap import box_command
from evolution.sandbox.confinement import system_readable
from evolution.sandbox.visible import PACKAGE_ROOT
from tests.evolution.sandbox.confined import need


def inside(program: str, workspace: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run a program in a box, without Landlock and seccomp: the mounts have to hold alone."""
    command = box_command(
        "namespace",
        [sys.executable, "-P", "-s", "-c", f"import os, json, sys\n{program}"],
        readable=system_readable(),
        workspace=str(workspace),
        **{"workspace_bytes": 1 << 20, **options},  # type: ignore[arg-type]
    )
    return subprocess.run(
        command, env={}, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )


def answer(program: str, workspace: Path, **options: object) -> object:
    done = inside(program, workspace, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _bubblewrap_works():
    need("namespace")


def test_the_box_holds_what_was_named_and_its_own_processes(tmp_path):
    program = (
        f"package = {str(PACKAGE_ROOT / 'evolution')!r}"
        + """
print(json.dumps({
    "processes": [int(n) for n in os.listdir("/proc") if n.isdigit()],
    "network": sorted(os.listdir("/sys/class/net")) if os.path.exists("/sys/class/net") else [],
    "dev": sorted(os.listdir("/dev")),
    "folder": os.getcwd(),
    "package": sorted(os.listdir(package)),
    "home": os.path.exists(os.path.expanduser("~/.ssh")) or os.path.exists("/home"),
    "run": os.path.exists("/run"),
    "environment": [n for n in os.environ if n not in ("PWD", "LC_CTYPE")],
}))"""
    )
    seen = answer(program, tmp_path)
    assert isinstance(seen, dict)
    assert max(seen["processes"]) < 10
    assert seen["network"] == []
    assert "mem" not in seen["dev"]
    assert not any(name.startswith(("sd", "vd", "loop", "nvme")) for name in seen["dev"])
    assert seen["folder"] == str(tmp_path)
    assert seen["package"] == ["__init__.py", "sandbox"]
    assert (seen["home"], seen["run"], seen["environment"]) == (False, False, [])


def test_nothing_but_the_folders_in_memory_can_be_written(tmp_path):
    program = """
refused = {}
switch = "/proc/sys/kernel/core_pattern"
for path in ("/x", "/usr/x", "/dev/x", "/etc/x", switch, sys.prefix + "/x"):
    try: open(path, "w").close(); refused[path] = False
    except OSError: refused[path] = True
for path in ("/tmp/x", "/dev/shm/x", "x"):
    open(path, "w").write("x")
print(json.dumps([path for path in refused if not refused[path]]))"""
    assert answer(program, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_workspace_is_as_large_as_was_said(tmp_path):
    program = """
try:
    with open("big", "wb") as file: file.write(bytes(3 << 20))
    print(json.dumps("written"))
except OSError as error: print(json.dumps(error.errno))"""
    assert answer(program, tmp_path) == 28
    assert answer(program, tmp_path, workspace_bytes=4 << 20) == "written"


def test_without_a_size_the_folder_itself_is_shown(tmp_path):
    (tmp_path / "data").write_text("mine")
    program = "print(json.dumps(open('data').read())); open('new', 'w').write('kept')"
    assert answer(program, tmp_path, workspace_bytes=None) == "mine"
    assert (tmp_path / "new").read_text() == "kept"


def test_nobody_in_the_box_holds_a_capability(tmp_path):
    program = """
lines = [l for l in open("/proc/self/status") if l.startswith(("CapEff", "CapPrm", "CapBnd"))]
print(json.dumps([int(l.split()[1], 16) for l in lines]))"""
    assert answer(program, tmp_path) == [0, 0, 0]


def test_a_descriptor_reaches_the_command(tmp_path):
    reader, writer = os.pipe()
    command = box_command(
        "namespace",
        [sys.executable, "-c", f"import os; os.write({writer}, b'through')"],
        readable=system_readable(),
        workspace=str(tmp_path),
        workspace_bytes=1 << 20,
    )
    subprocess.run(command, pass_fds=(writer,), check=True, timeout=60)
    os.close(writer)
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_the_box_ends_with_whoever_started_it(tmp_path):
    reader, writer = os.pipe()
    command = box_command(
        "namespace",
        [
            sys.executable,
            "-c",
            "import os, time; os.setsid(); print(1, flush=True); time.sleep(99)",
        ],
        readable=system_readable(),
        workspace=str(tmp_path),
        workspace_bytes=1 << 20,
    )
    start = f"import subprocess; subprocess.run({command!r}, pass_fds=({writer},))"
    parent = subprocess.Popen(
        [sys.executable, "-c", start], stdout=subprocess.PIPE, pass_fds=(writer,)
    )
    os.close(writer)
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=30)
    assert os.read(reader, 1) == b""  # end of file: nobody in the box holds the pipe any more
    os.close(reader)


def test_another_level_leaves_the_command_as_it_is():
    command = ["python", "train.py"]
    assert (
        box_command("landlock", command, readable=(), workspace="/x", workspace_bytes=1) == command
    )


def test_a_missing_or_old_bubblewrap_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in bubblewrap.why_missing()
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho --unshare-user --remount-ro --die-with-parent --cap-drop\n")
    old.chmod(0o755)
    assert bubblewrap.why_missing() == "bubblewrap is too old: it does not know --size"


def test_a_container_that_refuses_proc_shows_the_outer_one(monkeypatch, tmp_path):
    real = shutil.which("bwrap")
    fake = tmp_path / "bwrap"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *"--proc /proc"*) exit 1;; esac\nexec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    bubblewrap._proc_mount.cache_clear()
    try:
        assert bubblewrap._proc_mount() == ("--ro-bind", "/proc", "/proc")
    finally:
        bubblewrap._proc_mount.cache_clear()
