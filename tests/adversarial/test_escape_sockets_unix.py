import secrets
import socket

import pytest

from tests.adversarial.escape_arena import SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestNamedUnixSocket(SocketContract):
    """As a container service or an agent of keys listens on one."""

    def listen(self, ground):
        address = str(ground.path("agent.sock"))
        return listen_at(address), {"agent": address}

    program = """
with a_try("connect"):
    sender = socket.socket(socket.AF_UNIX)
    sender.connect(GROUND["agent"])
    sender.sendall(GROUND["letter"].encode())
"""


class TestAbstractUnixSocket(TestNamedUnixSocket):
    def listen(self, ground):
        name = secrets.token_hex(8)
        return listen_at(f"\0{name}"), {"agent": f"\0{name}"}


class TestUnixDatagram(SocketContract):
    def listen(self, ground):
        name = f"\0{secrets.token_hex(8)}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(name)
        return listener, {"agent": name}

    program = """
with a_try("a socket"):
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.sendto(GROUND["letter"].encode(), GROUND["agent"])
with a_try("one of a pair"):
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(GROUND["letter"].encode(), GROUND["agent"])
"""


def listen_at(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(8)
    return listener
