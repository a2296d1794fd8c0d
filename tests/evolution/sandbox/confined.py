"""Runs a piece of a program in a process that is confined first, and says what came of it."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from evolution.sandbox.bubblewrap import box_command
from evolution.sandbox.confinement import Policy, system_listable, system_readable
from evolution.sandbox.levels import works
from evolution.sandbox.visible import PACKAGE_ROOT

LEVELS = ("namespace", "landlock", "basic")
_FRAME = """
import ctypes, errno, json, os, signal, socket, sys, tempfile, threading
from pathlib import Path
argument = json.loads(sys.argv[2])
def syscall(name, *arguments):
    from evolution.sandbox.syscalls import call
    return call(name, *arguments)
def confine():
    from evolution.sandbox.confinement import Policy, confine_self
    if sys.argv[1]:
        import evolution.sandbox.syscalls
        confine_self(Policy.from_dict(json.loads(sys.argv[1])))
def attempt():
{body}
{before}
confine()
try:
    answer = attempt()
except OSError as error:
    answer = errno.errorcode.get(error.errno, str(error))
sys.stdout.write(json.dumps(answer))
"""


def need(level: str) -> None:
    """Skip the test, with the machine's reason, where a level does not work."""
    if reason := works(level):
        pytest.skip(f"{level} does not work here: {reason}")


def policy(level: str, workspace: Path, **more: object) -> Policy:
    fields: dict[str, object] = {
        "level": level,
        "readable": system_readable(),
        "writable": (str(workspace),),
        "listable": system_listable(),
    }
    return Policy(**{**fields, **more})  # type: ignore[arg-type]


def run(
    body: str,
    workspace: Path,
    *,
    rules: Policy | None,
    argument: object = None,
    before: str = "",
    pass_fds: Iterable[int] = (),
    workspace_bytes: int | None = 1 << 24,
) -> object:
    """What the lines of ``body`` return; the name of the error where the system refuses.

    Args:
        body: Lines of a function.
        workspace: Its folder.
        rules: None runs it without any wall, which shows that it can do what it tries.
        argument: What it finds as ``argument``.
        before: Lines that run before the confinement.
        pass_fds: Descriptors that it inherits.
        workspace_bytes: As ``box_command`` takes it.
    """
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    program = _FRAME.format(body=indented, before=before)
    written = json.dumps(rules.to_dict()) if rules else ""
    command = [sys.executable, "-P", "-s", "-B", "-c", program, written, json.dumps(argument)]
    answer = subprocess.run(
        box_command(
            rules.level if rules else "none",
            command,
            readable=system_readable(),
            workspace=str(workspace),
            workspace_bytes=workspace_bytes,
        ),
        cwd=workspace,
        env={"PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        pass_fds=tuple(pass_fds),
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)
