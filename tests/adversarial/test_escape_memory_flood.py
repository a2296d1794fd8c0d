import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

LIMIT_MB = 640  # what a box of the arena allows; the allocator alone takes 256 at a time


class MemoryContract(EscapeContract):
    is_watched = True

    def harm(self, ground, attempt):
        peak = attempt.memory_peak_mb
        return f"it held {peak:.0f} MB" if peak > LIMIT_MB + 150 else ""


class TestAnonymousMemory(MemoryContract):
    program = """
held = []
with a_try("bytes"):
    for _ in range(120):
        held.append(bytearray(b"x") * (10 << 20))
time.sleep(0.3)
"""


class TestPrivateMappings(MemoryContract):
    program = """
import mmap
held = []
with a_try("maps"):
    for _ in range(120):
        held.append(mmap.mmap(-1, 10 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        for at in range(0, 10 << 20, 4096):
            held[-1][at] = 1
time.sleep(0.3)
"""


class TestTheHeap(MemoryContract):
    needs_x86 = True
    program = """
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk.argtypes = [ctypes.c_long]
with a_try("break"):
    start = libc.sbrk(1200 << 20)
    if start != ctypes.c_void_p(-1).value:
        ctypes.memset(start, 1, 1200 << 20)
time.sleep(0.3)
"""
