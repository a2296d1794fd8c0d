import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestPtrace(EscapeContract):
    needs_x86 = True
    program = """
word = ctypes.c_long()
for attach in (16, 0x4206):
    result = syscall(101, attach, GROUND["victim"], 0, 0)
    print("attach:", result)
    if result == 0:
        if attach == 0x4206:
            syscall(101, 0x4207, GROUND["victim"], 0, 0)
        os.waitpid(GROUND["victim"], 0x40000000)
        found = b""
        for at in range(0, GROUND["length"], 8):
            syscall(101, 2, GROUND["victim"], GROUND["address"] + at, ctypes.byref(word))
            found += struct.pack("=q", word.value)
        print(found)
        syscall(101, 17, GROUND["victim"], 0, 0)
        break
"""


class TestPtraceOfTheGuardian(EscapeContract):
    """The parent is stopped as a process of ours would be; only the program can say it."""

    needs_x86 = True
    program = """
print("seized" if syscall(101, 0x4206, os.getppid(), 0, 0) == 0 else "refused")
"""

    def harm(self, ground, attempt):
        return "its parent was seized" if "seized" in attempt.output else ""
