import ctypes
import os

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestOpeningByHandle(EscapeContract):
    """A capable process opens a file by its number on the disk, past every folder's rights."""

    needs_x86 = True

    def prepare(self, ground):
        handle = handle_of(ground.path("home/.netrc"))
        return {"handle": handle.hex()}

    program = """
handle = bytes.fromhex(GROUND["handle"])
for place in (".", "/", "/tmp", "/usr"):
    with a_try(place):
        found = syscall(304, os.open(place, os.O_RDONLY), handle, os.O_RDONLY)
        print(found)
        if found >= 0:
            print(os.read(found, 1000))
"""


def handle_of(path) -> bytes:
    handle = ctypes.create_string_buffer(8 + 128)
    handle[:4] = (128).to_bytes(4, "little")
    mount = ctypes.c_int()
    failed = ctypes.CDLL(None, use_errno=True).name_to_handle_at(
        -100, os.fsencode(path), handle, ctypes.byref(mount), 0
    )
    if failed:
        pytest.skip(f"no handles here: {os.strerror(ctypes.get_errno())}")
    return handle.raw
