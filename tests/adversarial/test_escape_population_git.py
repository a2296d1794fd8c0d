import pytest

from tests.adversarial.escape_arena import WriteContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestChangingThePopulation(WriteContract):
    program = """
repository = GROUND["root"] + "/runs/this/population.git"
with a_try("a branch"):
    open(repository + "/refs/heads/champion", "w").write("0" * 40)
with a_try("a hook"):
    os.makedirs(repository + "/hooks", exist_ok=True)
    open(repository + "/hooks/post-commit", "w").write("#!/bin/sh\\n")
with a_try("the settings"):
    open(repository + "/config", "a").write("[core]\\nfsmonitor = touch /tmp/owned\\n")
"""


class TestChangingThePopulationThroughGit(WriteContract):
    program = """
import subprocess
with a_try("git"):
    print(subprocess.run(["git", "-C", GROUND["root"] + "/runs/this/population.git", "config",
                          "core.fsmonitor", "touch owned"], capture_output=True))
"""
