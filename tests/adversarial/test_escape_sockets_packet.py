import socket

import pytest

from tests.adversarial.escape_arena import EscapeContract, SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestRawAddresses(SocketContract):
    def listen(self, ground):
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, 253), {}

    program = """
with a_try("send"):
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    sender.sendto(GROUND["letter"].encode(), ("127.0.0.1", 0))
"""


class TestPackets(SocketContract):
    def listen(self, ground):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        listener.bind(("lo", 0x88B5))
        return listener, {}

    program = """
with a_try("send"):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    sender.bind(("lo", 0x88B5))
    sender.send(bytes(12) + struct.pack("!H", 0x88B5) + GROUND["letter"].encode().ljust(64))
"""


class TestEveryOtherFamily(EscapeContract):
    """Only the program can say that the kernel gave it a socket."""

    program = """
for family in range(1, 46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        with contextlib.suppress(OSError):
            print("a socket of family", socket.socket(family, kind, 0).family)
with a_try("a pair"):
    print("a socket of family", socket.socketpair()[0].family)
"""

    def harm(self, ground, attempt):
        return "the kernel gave it a socket" if "a socket of family" in attempt.output else ""
