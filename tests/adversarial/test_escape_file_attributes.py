import os

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class AttributeContract(EscapeContract):
    """What no rule for writing covers: mode, owner, times and attributes of a file outside."""

    def prepare(self, ground):
        self.before = state(ground)
        return {}

    def harm(self, ground, attempt):
        return "" if state(ground) == self.before else "a file outside was changed"


def state(ground) -> tuple[object, ...]:
    found = ground.path("runs/this/events.jsonl").stat()
    extended = os.listxattr(ground.path("runs/this/events.jsonl"))
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_size, extended


TARGET = 'target = GROUND["root"] + "/runs/this/events.jsonl"\n'


class TestMode(AttributeContract):
    needs_x86 = True
    program = (
        TARGET
        + """
with a_try("chmod"):
    os.chmod(target, 0o777)
with a_try("fchmod"):
    os.fchmod(os.open(target, os.O_RDONLY), 0o777)
with a_try("chmod through proc"):
    os.chmod(f"/proc/self/fd/{os.open(target, 0o10000000)}", 0o777)
print(syscall(90, target.encode(), 0o777), syscall(268, -100, target.encode(), 0o777),
      syscall(452, -100, target.encode(), 0o777, 0))
"""
    )


class TestOwner(AttributeContract):
    program = (
        TARGET
        + """
with a_try("chown"):
    os.chown(target, 65534, 65534)
with a_try("lchown"):
    os.lchown(target, 65534, 65534)
with a_try("fchown"):
    os.fchown(os.open(target, os.O_RDONLY), 65534, 65534)
"""
    )


class TestTimes(AttributeContract):
    program = (
        TARGET
        + """
with a_try("utime"):
    os.utime(target, (1, 1))
with a_try("futimes"):
    os.utime(os.open(target, os.O_RDONLY), (1, 1))
"""
    )


class TestLength(AttributeContract):
    needs_x86 = True
    program = (
        TARGET
        + """
with a_try("truncate"):
    os.truncate(target, 0)
print(syscall(76, target.encode(), 0))
with a_try("open and truncate"):
    os.open(target, os.O_WRONLY | os.O_TRUNC)
with a_try("read, and truncate"):
    os.open(target, os.O_RDONLY | os.O_TRUNC)
"""
    )


class TestExtendedAttributes(AttributeContract):
    program = (
        TARGET
        + """
for name in ("user.mark", "trusted.mark", "security.mark"):
    with a_try(name):
        os.setxattr(target, name, b"forged")
"""
    )
