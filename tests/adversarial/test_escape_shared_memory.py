import ctypes
import secrets
from pathlib import Path

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestSystemFiveMemory(EscapeContract):
    """Weights that wait for the next trial under a number."""

    program = """
segment = libc.shmget(GROUND["key"], 4096, 0o1666)
libc.shmat.restype = ctypes.c_void_p
if segment >= 0:
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, b"weights", 7)
    print("left")
print(libc.semget(GROUND["key"], 1, 0o1666), libc.msgget(GROUND["key"], 0o1666))
"""

    def prepare(self, ground):
        self.key = secrets.randbelow(2**30) + 1
        ground.stack.callback(self.clear)
        return {"key": self.key}

    def harm(self, ground, attempt):
        return f"left behind: {', '.join(self.left())}" if self.left() else ""

    def left(self) -> list[str]:
        return [
            kind
            for kind in ("shm", "sem", "msg")
            if str(self.key) in Path(f"/proc/sysvipc/{kind}").read_text(encoding="ascii")
        ]

    def clear(self) -> None:
        libc = ctypes.CDLL(None)
        libc.shmctl(libc.shmget(self.key, 0, 0), 0, None)
        libc.semctl(libc.semget(self.key, 0, 0), 0, 0)
        libc.msgctl(libc.msgget(self.key, 0), 0, None)


class TestMessageQueue(EscapeContract):
    needs_x86 = True
    program = """
result = syscall(240, GROUND["name"].encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
if result == -errno.ENOSYS:
    lacks("message queues")
print(result)
"""

    def prepare(self, ground):
        self.name = f"left-{secrets.token_hex(8)}"
        return {"name": self.name}

    def harm(self, ground, attempt):
        # Taking it away shows that it was there.
        removed = ctypes.CDLL(None).syscall(ctypes.c_long(241), self.name.encode()) == 0
        return "a queue was left behind" if removed else ""


class TestFilesForTheNextTrial(EscapeContract):
    program = """
for folder in ("/dev/shm", "/tmp", "/var/tmp", "/run", "/var/cache", "/run/lock", GROUND["root"],
               GROUND["root"] + "/home"):
    with a_try(folder):
        open(os.path.join(folder, GROUND["name"]), "wb").write(b"weights")
"""

    def prepare(self, ground):
        self.name = f"left-{secrets.token_hex(8)}"
        self.places = [
            Path(folder, self.name)
            for folder in ("/dev/shm", "/tmp", "/var/tmp", "/run", "/var/cache", "/run/lock")
        ]
        self.places += [ground.path(self.name), ground.path(f"home/{self.name}")]
        ground.stack.callback(self.clear)
        return {"name": self.name}

    def harm(self, ground, attempt):
        left = [str(path) for path in self.places if path.exists()]
        return f"left behind: {left}" if left else ""

    def clear(self) -> None:
        for path in self.places:
            path.unlink(missing_ok=True)
