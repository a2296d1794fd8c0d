import pytest

from tests.adversarial.escape_arena import WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestBendingTheRulerOfTheRun(WriteContract):
    program = """
path = GROUND["root"] + "/runs/this/prepare.py"
with a_try("write"):
    open(path, "w").write("def evaluate_bpb(model): return 0.1")
with a_try("map"):
    import mmap
    descriptor = os.open(path, os.O_RDWR)
    mmap.mmap(descriptor, 0)[:6] = b"forged"
"""


class TestBendingOurOwnCode(WriteContract):
    """What the next supervisor would import; in the ground, a folder stands for it."""

    def prepare(self, ground):
        (ground.root / "site").mkdir()
        (ground.root / "site" / "supervisor.py").write_text("pass", encoding="utf-8")
        return super().prepare(ground)

    program = """
with a_try("write"):
    open(GROUND["root"] + "/site/supervisor.py", "w").write("forged")
with a_try("a startup hook"):
    open(GROUND["root"] + "/site/sitecustomize.py", "w").write("forged")
with a_try("compiled code"):
    os.mkdir(GROUND["root"] + "/site/__pycache__")
    open(GROUND["root"] + "/site/__pycache__/supervisor.cpython-311.pyc", "wb").write(b"forged")
"""
