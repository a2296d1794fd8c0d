import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestProcessVmReadv(EscapeContract):
    needs_x86 = True
    program = """
length = GROUND["length"]
mine = ctypes.create_string_buffer(length)
here = struct.pack("=QQ", ctypes.addressof(mine), length)
there = struct.pack("=QQ", GROUND["address"], length)
print(syscall(310, GROUND["victim"], here, 1, there, 1, 0), mine.raw)
"""


class TestProcMem(EscapeContract):
    program = """
pid = GROUND["victim"]
for path in (f"/proc/{pid}/mem", f"/proc/{pid}/task/{pid}/mem"):
    with a_try(path):
        with open(path, "rb", buffering=0) as memory:
            memory.seek(GROUND["address"])
            print(memory.read(GROUND["length"]))
"""


class TestWritingProcMem(EscapeContract):
    program = """
with a_try("write"):
    with open(f"/proc/{GROUND['victim']}/mem", "r+b", buffering=0) as memory:
        memory.seek(GROUND["address"])
        memory.write(b"forged")
"""

    def harm(self, ground, attempt):
        address, _ = ground.held_at
        with open(f"/proc/{ground.victim.pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
            memory.seek(address)
            return "its memory was changed" if memory.read(6) == b"forged" else ""


class TestOpenFilesOfOthers(EscapeContract):
    needs_x86 = True
    program = """
with a_try("through proc"):
    print(open(f"/proc/{GROUND['victim']}/fd/{GROUND['descriptor']}").read())
with a_try("pidfd_getfd"):
    process = syscall(434, GROUND["victim"], 0)
    stolen = syscall(438, process, GROUND["descriptor"], 0)
    print(process, stolen, os.pread(stolen, 100, 0))
"""


class TestKcmp(EscapeContract):
    """Compares what two processes hold: it tells addresses of the kernel apart."""

    needs_x86 = True
    program = """
print("compared:", syscall(312, os.getpid(), GROUND["victim"], 1, 0, 0) >= 0)
"""

    def harm(self, ground, attempt):
        return "the kernel compared for it" if "compared: True" in attempt.output else ""
