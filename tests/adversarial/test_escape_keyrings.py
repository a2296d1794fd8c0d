import secrets

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestAKeyForTheNextTrial(EscapeContract):
    """Whatever hangs on the ring of the user outlives the process that hung it there."""

    needs_x86 = True

    def prepare(self, ground):
        return {"name": f"left-{secrets.token_hex(8)}"}

    program = """
name = GROUND["name"].encode()
for ring in (-4, -5, -3):
    key = syscall(248, b"user", name, b"weights", 7, ring)
    print(ring, key)
    if key > 0:
        syscall(250, 5, key, 0x3F3F3F3F, 0, 0)
        syscall(250, 15, key, 30, 0, 0)  # it goes by itself, after a while
print("kept:", name.decode() in open("/proc/keys").read())
"""

    def harm(self, ground, attempt):
        return "a key was kept" if "kept: True" in attempt.output else ""
