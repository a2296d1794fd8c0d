import socket

import pytest

from tests.adversarial.escape_arena import SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestTcp(SocketContract):
    family, host = socket.AF_INET, "127.0.0.1"

    def listen(self, ground):
        listener = socket.socket(self.family)
        listener.bind((self.host, 0))
        listener.listen(8)
        return listener, {"host": self.host, "port": listener.getsockname()[1]}

    program = """
with a_try("connect"):
    socket.create_connection((GROUND["host"], GROUND["port"]), 1).sendall(GROUND["letter"].encode())
"""


class TestTcpFastOpen(TestTcp):
    program = """
with a_try("data in the first packet"):
    sender = socket.socket()
    sender.sendto(GROUND["letter"].encode(), 0x20000000, (GROUND["host"], GROUND["port"]))
"""


class TestTcpOverVersionSix(TestTcp):
    family, host = socket.AF_INET6, "::1"


class TestUdp(SocketContract):
    def listen(self, ground):
        listener = socket.socket(type=socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 0))
        return listener, {"port": listener.getsockname()[1]}

    program = """
with a_try("send"):
    sender = socket.socket(type=socket.SOCK_DGRAM)
    sender.sendto(GROUND["letter"].encode(), ("127.0.0.1", GROUND["port"]))
"""
