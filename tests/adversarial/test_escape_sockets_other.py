import socket

import pytest

from tests.adversarial.escape_arena import EscapeContract, SocketContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestVirtualMachineSocket(SocketContract):
    def listen(self, ground):
        listener = socket.socket(socket.AF_VSOCK)
        try:
            listener.bind((1, socket.VMADDR_PORT_ANY))
            listener.listen(8)
        except OSError:
            listener.close()
            raise
        return listener, {"port": listener.getsockname()[1]}

    program = """
with a_try("connect"):
    sender = socket.socket(socket.AF_VSOCK)
    sender.settimeout(1)
    sender.connect((1, GROUND["port"]))
    sender.sendall(GROUND["letter"].encode())
"""


class TestCryptographySocket(EscapeContract):
    """A large and often broken part of the kernel; only the program can say that it opened."""

    program = """
try:
    hasher = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
    hasher.bind(("hash", "sha1"))
    operation, _ = hasher.accept()
    operation.sendall(b"abc")
    print("hashed:", operation.recv(20).hex())
except OSError as error:
    lacks(str(error))
"""

    def harm(self, ground, attempt):
        return "the kernel hashed for it" if "a9993e364706816aba3e" in attempt.output else ""
