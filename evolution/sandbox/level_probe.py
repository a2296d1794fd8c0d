"""Tries, inside a box, what a box must refuse and what it must allow; says what came of it.

Run as ``python -P -s -m evolution.sandbox.level_probe <policy> <targets>`` by ``levels``: both are
JSON. The answer is one JSON object on stdout: for each attempt "" if it was refused or worked as
it should, else what went wrong.
"""

import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from evolution.sandbox.confinement import ConfinementError, Policy, confine_self


def attempts(targets: Mapping[str, str]) -> dict[str, Callable[[], object]]:
    """What a genome must not be able to do, by its name.

    Args:
        targets: ``secret`` (a file), ``outside`` (a file in a foreign folder, not there yet),
            ``pid`` (a foreign process).
    """
    return {
        "read a file outside": lambda: Path(targets["secret"]).read_bytes(),
        "write outside": lambda: Path(targets["outside"]).write_bytes(b"x"),
        "open a socket": lambda: socket.socket().close(),
        "signal another process": lambda: os.kill(int(targets["pid"]), 0),
        "make a process": _fork,
    }


def succeeded(attempt: Callable[[], object]) -> bool:
    """Whether an attempt went through; the system's refusal is False."""
    try:
        attempt()
    except OSError:
        return False
    return True


def work() -> str:
    """What an honest trainer does: numpy, a thread, a file of its own; "" if all of it works."""
    import numpy as np

    try:
        thread = threading.Thread(target=lambda: np.linalg.norm(np.ones((8, 8)) @ np.ones((8, 8))))
        thread.start()
        thread.join()
        with tempfile.NamedTemporaryFile(dir=".") as file:
            file.write(Path("/proc/self/status").read_bytes())
        descriptor = os.memfd_create("state", os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, 4096)
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _main() -> None:
    policy = Policy.from_dict(json.loads(sys.argv[1]))
    targets = json.loads(sys.argv[2])
    try:
        confine_self(policy)
    except ConfinementError as error:
        sys.stdout.write(json.dumps({"confine itself": str(error)}))
        return
    findings = {
        f"can {name}": "it succeeded" if succeeded(attempt) else ""
        for name, attempt in attempts(targets).items()
    }
    findings["cannot work"] = work()
    sys.stdout.write(json.dumps(findings))


if __name__ == "__main__":
    _main()
