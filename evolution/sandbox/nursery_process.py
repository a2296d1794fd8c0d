"""The process behind ``nursery.py``: loads modules once, then forks a trainer for each request.

Run as ``python -P nursery_process.py <descriptor> <module>…`` by a supervisor. It has a trainer's
environment and no package of ours on its path. Standard library only.
"""

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

_REQUEST_BYTES = 1 << 20
_PAUSE_SECONDS = 0.0005
_OUTPUT = 2
_SET_DUMPABLE = 4


def _serve(channel: socket.socket) -> tuple[dict[str, object], list[int]]:
    """Fork for each request; comes back in the child alone, with what it is to become."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, _OUTPUT + 1)
        if not request:
            os._exit(0)
        middle = os.fork()
        if middle == 0:
            child = os.fork()
            if child == 0:
                channel.close()
                return json.loads(request), list(descriptors)
            channel.send(str(child).encode())
            os._exit(0)  # the child is the supervisor's now, who adopts every orphan
        if os.waitpid(middle, 0)[1] != 0:
            channel.send(b"0")
        for descriptor in descriptors:
            os.close(descriptor)


def _become(trainer: Mapping[str, object], descriptors: Sequence[int]) -> ModuleType:
    """Be the trainer: its session, core, folder, pipes and environment; the module to run in."""
    parent = int(str(trainer["parent"]))
    while os.getppid() != parent:
        if os.getppid() == 1:  # the supervisor is gone
            os._exit(1)
        time.sleep(_PAUSE_SECONDS)
    os.setsid()
    _let_be_read(True)
    _sibling("process_tree").harden_child(parent, trainer["cpu"])
    for target in (1, 2):
        os.dup2(descriptors[_OUTPUT], target)
    os.close(descriptors[_OUTPUT])
    for descriptor in descriptors[:_OUTPUT]:
        os.set_inheritable(descriptor, True)
    environment = trainer["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.environ[str(trainer["harness"])] = f"{descriptors[0]},{descriptors[1]}"
    folder, script = str(trainer["folder"]), str(trainer["script"])
    os.chdir(folder)
    sys.argv[:] = [script]
    sys.path.insert(0, folder)
    module = ModuleType("__main__")
    module.__file__ = str(Path(folder, script))
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    return module


def _let_be_read(is_allowed: bool) -> None:
    """Whether another process of this user may look into this one, or change its memory."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, int(is_allowed), 0, 0, 0)


def _sibling(name: str) -> ModuleType:
    """A file beside this one, which is on no path here."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_nursery_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _main() -> None:
    _let_be_read(False)  # what a genome's calibration does must not reach its training
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        with suppress(ImportError):  # the genome that needs it will say so
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that no collection in a trainer copies these pages
    module = _become(*_serve(channel))
    path = module.__file__
    assert path is not None
    exec(compile(Path(path).read_bytes(), path, "exec"), module.__dict__)


if __name__ == "__main__":
    _main()
