import socket

import pytest

from tests.adversarial.escape_arena import EscapeContract, SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestNetlink(SocketContract):
    """Two processes of root may talk over it; it also configures the machine's network."""

    def listen(self, ground):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK)
        listener.bind((0, 0))
        return listener, {"port": listener.getsockname()[0]}

    program = """
with a_try("send"):
    sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK)
    letter = GROUND["letter"].encode()
    header = struct.pack("=IHHII", 16 + len(letter), 16, 0, 1, 0)
    sender.sendto(header + letter, (GROUND["port"], 0))
"""


class TestNetlinkOfRoutes(EscapeContract):
    """Lists the network's devices; only the program can say that it was answered."""

    program = """
with a_try("ask"):
    asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    asker.send(struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0))
    print("devices:", len(asker.recv(65536)))
"""

    def harm(self, ground, attempt):
        return "netlink answered" if "devices:" in attempt.output else ""
