import socket

import pytest

from tests.adversarial.escape_arena import EscapeContract, SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

#: A ring of eight entries made by hand: submit one operation, give its result.
RING = """
import mmap
parameters = (ctypes.c_uint32 * 30)()
ring = syscall(425, 8, parameters)
if ring < 0:
    lacks(os.strerror(-ring))
sq_off, cq_off = parameters[10:20], parameters[20:30]
size = max(sq_off[6] + 8 * 4, cq_off[5] + 16 * 16) + 4096
memory = mmap.mmap(ring, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0)
entries = mmap.mmap(ring, 8 * 64, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0x10000000)


def word(at):
    return struct.unpack_from("=I", memory, at)[0]


def submit(operation, descriptor, offset, address, length, flags=0):
    tail = word(sq_off[1])
    slot = tail & word(sq_off[2])
    fields = (operation, 0, 0, descriptor, offset, address, length, flags, 7)
    entry = struct.pack("=BBHiQQIIQ", *fields)
    entries[slot * 64 : slot * 64 + 64] = entry.ljust(64, b"\\0")
    struct.pack_into("=I", memory, sq_off[6] + 4 * slot, slot)
    struct.pack_into("=I", memory, sq_off[1], tail + 1)
    syscall(426, ring, 1, 1, 1, None, 0)
    head = word(cq_off[0])
    at = cq_off[5] + 16 * (head & word(cq_off[2]))
    struct.pack_into("=I", memory, cq_off[0], head + 1)
    return struct.unpack_from("=i", memory, at + 8)[0]
"""


class TestRing(EscapeContract):
    """Operations that no filter of system calls sees; only the program can say it has one."""

    needs_x86 = True
    program = (
        RING
        + """
print("a ring:", submit(0, -1, 0, 0, 0))
"""
    )

    def harm(self, ground, attempt):
        return "it has a ring" if "a ring: 0" in attempt.output else ""


class TestTcpThroughARing(SocketContract):
    needs_x86 = True

    def listen(self, ground):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        return listener, {"port": listener.getsockname()[1]}

    program = (
        RING
        + """
sender = submit(45, socket.AF_INET, socket.SOCK_STREAM, 0, 0)
if sender < 0:
    lacks(os.strerror(-sender))
address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(GROUND["port"]), b"\\x7f\\0\\0\\1")
held = ctypes.create_string_buffer(address)
letter = ctypes.create_string_buffer(GROUND["letter"].encode())
print("connected:", submit(16, sender, 16, ctypes.addressof(held), 0))
print("sent:", submit(26, sender, 0, ctypes.addressof(letter), len(GROUND["letter"])))
"""
    )
