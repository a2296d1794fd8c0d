import shutil

import pytest

from tests.adversarial.escape_arena import TrialContract, WriteContract, unconfined

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestLinksForWhoeverClearsUp(WriteContract):
    """Links out of the scratch folder, for a harness that follows them when it removes it."""

    test_it_does_no_harm_in_a_box = None

    program = """
os.symlink(GROUND["root"] + "/runs", "runs")
os.symlink(GROUND["root"] + "/home/.netrc", "file")
os.symlink("loop", "loop")
os.mkdir("closed")
os.symlink(GROUND["root"] + "/home", "closed/home")
os.mkfifo("pipe")
os.chmod("closed", 0)
"""

    def test_it_works_where_there_is_no_box(self, ground):
        unconfined(self.text(ground), ground)
        for path in ground.path("work/scratch").iterdir():
            if path.exists() and path.is_dir():  # what a careless hand does
                shutil.rmtree(path.resolve(), ignore_errors=True)
        assert self.harm(ground, None)


class TestNoFolderToStandIn(TrialContract):
    program = """
import shutil
shutil.rmtree(os.getcwd(), ignore_errors=True)
with a_try("its parent"):
    os.rmdir("..")
with a_try("another under its name"):
    os.rename("..", "../../away")
with a_try("a file under its name"):
    open(GROUND["root"] + "/work/scratch", "w").close()
"""

    def harm(self, ground, attempt):
        if attempt.outcome is None:
            return "" if ground.path("work/scratch").is_dir() else "its folder is gone"
        return "the harness stumbled" if attempt.exit_code else ""
