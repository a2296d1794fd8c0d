import pytest

from tests.adversarial.escape_arena import WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestRewritingTheStory(WriteContract):
    program = """
for name in ("events.jsonl", "evolve.toml"):
    path = GROUND["root"] + "/runs/this/" + name
    with a_try("append to " + name):
        open(path, "a").write("forged")
    with a_try("write in place"):
        descriptor = os.open(path, os.O_WRONLY)
        os.pwrite(descriptor, b"forged", 0)
    with a_try("replace"):
        open("forged", "w").write("forged")
        os.replace("forged", path)
    with a_try("remove"):
        os.remove(path)
"""
