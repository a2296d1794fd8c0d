from pathlib import Path

import pytest

from tests.adversarial.escape_arena import EscapeContract, WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestMount(EscapeContract):
    program = """
root = GROUND["root"].encode()
print(libc.mount(b"none", root + b"/home", b"tmpfs", 0, None), ctypes.get_errno())
with a_try("a file in it"):
    open(GROUND["root"] + "/home/mark", "w").write("x")
"""

    def prepare(self, ground):
        import subprocess

        def unmount() -> None:
            subprocess.run(["umount", ground.path("home")], check=False, capture_output=True)

        ground.stack.callback(unmount)
        return super().prepare(ground)

    def harm(self, ground, attempt):
        is_mounted = str(ground.path("home")) in Path("/proc/mounts").read_text(encoding="utf-8")
        return "something was mounted outside" if is_mounted else ""


class TestNamespaces(EscapeContract):
    """A user namespace gives all capabilities in it; only the program can say it has one."""

    needs_x86 = True
    program = """
for name, flag in {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000,
                   "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}.items():
    if syscall(272, flag) == 0:
        print("a new namespace:", name)
    child = syscall(56, flag | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        print("a new namespace:", name)
"""

    def harm(self, ground, attempt):
        return "it has a namespace" if "a new namespace" in attempt.output else ""


class TestEnteringTheNamespacesOfOthers(EscapeContract):
    needs_x86 = True
    program = """
for pid in (1, GROUND["victim"], os.getppid()):
    for kind in ("mnt", "net", "pid", "ipc", "uts"):
        with a_try(kind):
            if syscall(308, os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY), 0) == 0:
                print("entered:", kind)
"""

    def harm(self, ground, attempt):
        return "it entered a namespace" if "entered:" in attempt.output else ""


class TestChroot(WriteContract):
    """The classical way out of a folder: a new root below, then up past it."""

    program = """
os.makedirs("cell", exist_ok=True)
with a_try("chroot"):
    here = os.open(".", os.O_RDONLY)
    os.chroot("cell")
    os.fchdir(here)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    open(GROUND["root"] + "/runs/this/events.jsonl", "a").write("forged")
"""


class TestPivotRoot(EscapeContract):
    needs_x86 = True
    program = """
os.makedirs("new/old", exist_ok=True)
if syscall(272, 0x20000) == 0:
    libc.mount(b"none", b"/", None, 0x44000, None)
    libc.mount(b"none", b"new", b"tmpfs", 0, None)
    os.makedirs("new/old")
    print("pivoted:", syscall(155, b"new", b"new/old"))
"""

    def harm(self, ground, attempt):
        return "it has another root" if "pivoted: 0" in attempt.output else ""
