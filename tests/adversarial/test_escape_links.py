import pytest

from tests.adversarial.escape_arena import EscapeContract, WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestHardLink(WriteContract):
    program = """
with a_try("link"):
    os.link(GROUND["root"] + "/runs/this/events.jsonl", "mine")
    open("mine", "a").write("forged")
"""


class TestSymbolicLink(WriteContract):
    program = """
os.symlink(GROUND["root"] + "/runs/this", "mine")
with a_try("through it"):
    open("mine/events.jsonl", "a").write("forged")
with a_try("up from it"):
    open("mine/../other/events.jsonl", "a").write("forged")
"""


class TestReadingThroughALink(EscapeContract):
    program = """
os.symlink(GROUND["root"], "mine")
with a_try("read"):
    print(open("mine/home/.netrc").read())
with a_try("a link to a link"):
    os.link("mine/home/.netrc", "hard")
    print(open("hard").read())
"""


class TestRename(WriteContract):
    program = """
with a_try("out of its place"):
    os.rename(GROUND["root"] + "/runs/this/events.jsonl", "mine")
with a_try("into a place"):
    open("forged", "w").write("forged")
    os.rename("forged", GROUND["root"] + "/runs/this/planted")
with a_try("exchange"):
    open("forged", "w").write("forged")
    libc.renameat2(-100, b"forged", -100, (GROUND["root"] + "/runs/this/evolve.toml").encode(), 2)
with a_try("a folder"):
    os.rename(GROUND["root"] + "/runs/other", "other")
"""


class TestRemoval(WriteContract):
    program = """
import shutil
with a_try("remove"):
    shutil.rmtree(GROUND["root"] + "/runs")
with a_try("one file"):
    os.remove(GROUND["root"] + "/runs/this/run.db")
"""
