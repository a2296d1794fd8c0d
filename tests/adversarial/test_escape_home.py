import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestKeysInTheHome(EscapeContract):
    program = """
root = GROUND["root"]
parents = f"/proc/{os.getppid()}/cwd/../../home"
for base in (root, "/proc/self/root" + root, "/proc/1/root" + root, parents):
    for name in ("home/.ssh/id_ed25519", "home/.netrc", ".netrc"):
        with a_try(base + name):
            print(open(os.path.join(base, name)).read())
"""


class TestWalkingUpFromTheScratchFolder(EscapeContract):
    program = """
for way in (".", "/proc/self/cwd"):
    for steps in range(1, 12):
        for folder, _, names in os.walk(os.path.join(way, *[".."] * steps, "home")):
            for name in names:
                with a_try(name):
                    print(open(os.path.join(folder, name)).read())
"""
