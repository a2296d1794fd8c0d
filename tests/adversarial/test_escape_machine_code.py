import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

#: Bytes of machine code as a function of no argument.
CODE = """
import mmap


def run(code):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
"""


class TestCallsOfThirtyTwoBits(EscapeContract):
    """Another table of numbers, that a filter for one table does not know. Number 2 is fork."""

    needs_x86 = True
    program = (
        CODE
        + """
signal.signal(signal.SIGSEGV, signal.SIG_DFL)
result = run(b"\\x53\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\x48\\x63\\xc0\\x5b\\xc3")
if result == 0:
    time.sleep(20)
    os._exit(0)
print("forked:", result)
if result == -errno.ENOSYS:
    lacks("calls of 32 bits")
"""
    )

    def harm(self, ground, attempt):
        return "it forked" if attempt.survivors else ""


class TestCallsOfTheThirdTable(EscapeContract):
    """x32: the ordinary call of 64 bits with bit 30 set."""

    needs_x86 = True
    program = """
result = syscall(0x40000000 + 57)
if result == 0:
    time.sleep(20)
    os._exit(0)
if result == -errno.ENOSYS:
    lacks("x32")
print("forked:", result)
"""

    def harm(self, ground, attempt):
        return "it forked" if attempt.survivors else ""


class TestCallsFromMachineCode(EscapeContract):
    """No library stands between: number 57 by the instruction itself."""

    needs_x86 = True
    program = (
        CODE
        + """
result = run(b"\\xb8\\x39\\x00\\x00\\x00\\x0f\\x05\\xc3")
if result == 0:
    time.sleep(20)
    os._exit(0)
print("forked:", result)
"""
    )

    def harm(self, ground, attempt):
        return "it forked" if attempt.survivors else ""
