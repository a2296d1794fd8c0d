"""The process behind ``warden.py``: loads modules once, then forks a trainer for each request.

Run as ``python -m evolution.sandbox.warden_process <descriptor> <module>…`` inside a box. It never
runs genome code itself: a child shuts itself in first. Of this package the box shows no more than
``evolution/sandbox``. Standard library only.
"""

import base64
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from evolution.sandbox.confinement import Policy, confine_self
from evolution.sandbox.process_tree import harden_child, set_dumpable
from evolution.sandbox.usage import remove_folder

_DESCRIPTORS = 4  # the request itself, then packets, news and output
_CHANNEL, _HIGH, _FIRST_FREE = 100, 101, 5


class _Children:
    """Who was forked for which request; tells the supervisor when one ends."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._numbers: dict[int, int] = {}
        self._folders: dict[int, str] = {}

    def add(self, pid: int, request: Mapping[str, Any]) -> None:
        self._numbers[pid] = request["number"]
        self._folders[pid] = request["folder"]

    def collect(self) -> None:
        """Collect all that have ended; nothing of theirs stays in the box."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is not None:
                remove_folder(Path(self._folders.pop(pid)))
                _tell(self._channel, ended=number, status=status)


def _tell(channel: socket.socket, **message: object) -> None:
    channel.send(json.dumps(message).encode())


def _serve(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request; comes back in the child alone, with what it is to become."""
    children = _Children(channel)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                children.collect()
            if channel.fileno() not in ready:
                continue
            data, descriptors, _, _ = socket.recv_fds(channel, 64, _DESCRIPTORS)
            if not data:
                os._exit(0)
            with os.fdopen(descriptors[0], "rb") as wish:
                request = json.loads(wish.read())
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return request, descriptors[1:]
            children.add(pid, request)
            for descriptor in descriptors[1:]:
                os.close(descriptor)


def _become(request: Mapping[str, Any], line: Sequence[int], warden: int) -> None:
    """Be the trainer: its session, core, folder, line, environment and walls."""
    os.setsid()
    set_dumpable(True)
    harden_child(warden, request["cpu"])
    packets, news = _take_descriptors(line)
    folder = Path(request["folder"])
    _write_files(folder, request["files"])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ[request["harness"]] = f"{packets},{news}"
    confine_self(Policy.from_dict(request["policy"]))
    command = request["command"]
    if command is not None:
        os.execvpe(command[0], command, os.environ)  # closes the channel


def _take_descriptors(line: Sequence[int]) -> tuple[int, int]:
    """Keep the line, the channel and nothing else; output goes to both standard streams."""
    high = [os.dup2(descriptor, _HIGH + i) for i, descriptor in enumerate(line)]
    for target in (1, 2):
        os.dup2(high[2], target)
    packets, news = os.dup2(high[0], 3), os.dup2(high[1], 4)
    os.closerange(_FIRST_FREE, _CHANNEL)
    os.closerange(_HIGH, 4096)
    return packets, news


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))


def _run(request: Mapping[str, Any]) -> None:
    """Run the script in this very process."""
    folder, script = request["folder"], request["script"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "evolution"]:
        del sys.modules[name]
    sys.argv[:] = [script]
    sys.path.insert(0, folder)
    module = ModuleType("__main__")
    module.__file__ = str(Path(folder, script))
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    exec(compile(Path(module.__file__).read_bytes(), module.__file__, "exec"), module.__dict__)


def _main() -> None:
    set_dumpable(False)  # no trainer may look into the process that all are forked from
    package_root = os.environ.pop("PYTHONPATH", "")
    os.dup2(int(sys.argv[1]), _CHANNEL, inheritable=False)
    os.close(int(sys.argv[1]))
    channel, warden = socket.socket(fileno=_CHANNEL), os.getpid()
    for name in sys.argv[2:]:
        with suppress(ImportError):  # the genome that needs it will say so
            importlib.import_module(name)
    sys.path[:] = [entry for entry in sys.path if entry != package_root]
    gc.collect()
    gc.freeze()  # so that no collection in a trainer copies these pages
    _tell(channel, ready=warden)
    request, line = _serve(channel)
    number = request["number"]
    try:
        _tell(channel, born=number, pid=os.getpid())
        _become(request, line, warden)
    except Exception as error:  # noqa: BLE001 - whatever it is, no genome runs unconfined
        _tell(channel, failed=number, reason=f"{type(error).__name__}: {error}"[:500])
        os._exit(1)
    channel.close()
    _run(request)


if __name__ == "__main__":
    _main()
