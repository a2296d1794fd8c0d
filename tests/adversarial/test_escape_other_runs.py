import pytest

from tests.adversarial.escape_arena import EscapeContract, WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestReadingAnotherRun(EscapeContract):
    program = """
for folder, _, names in os.walk(GROUND["root"] + "/runs/other"):
    for name in names:
        with a_try(name):
            print(open(os.path.join(folder, name), "rb").read())
"""


class TestWritingIntoAnotherRun(WriteContract):
    program = """
with a_try("its genome"):
    open(GROUND["root"] + "/runs/other/train.py", "w").write("forged")
with a_try("a new file"):
    open(GROUND["root"] + "/runs/other/planted.py", "w").write("forged")
with a_try("a new folder"):
    os.mkdir(GROUND["root"] + "/runs/planted")
    open(GROUND["root"] + "/runs/planted/evolve.toml", "w").write("forged")
"""
