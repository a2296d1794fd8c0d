import os

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestCoreOfOthers(EscapeContract):
    program = """
with a_try("its core"):
    os.sched_setaffinity(GROUND["victim"], {max(os.sched_getaffinity(GROUND["victim"]))})
"""

    def prepare(self, ground):
        self.before = os.sched_getaffinity(ground.victim.pid)
        if len(self.before) < 2:
            pytest.skip("this machine has one core")
        return {}

    def harm(self, ground, attempt):
        moved = os.sched_getaffinity(ground.victim.pid) != self.before
        return "the process outside was moved" if moved else ""


class TestPriorityOfOthers(EscapeContract):
    program = """
with a_try("nice"):
    os.setpriority(os.PRIO_PROCESS, GROUND["victim"], 15)
with a_try("class"):
    os.sched_setscheduler(GROUND["victim"], os.SCHED_IDLE, os.sched_param(0))
"""

    def prepare(self, ground):
        self.before = place(ground.victim.pid)
        return {}

    def harm(self, ground, attempt):
        changed = place(ground.victim.pid) != self.before
        return "the process outside was slowed" if changed else ""


class TestMoreThanItsShare(EscapeContract):
    """Off its core, before all others; only the program can say where it runs."""

    program = """
before = os.sched_getaffinity(0)
with a_try("one core less"):
    os.sched_setaffinity(0, {max(before)})
    print("moved:", os.sched_getaffinity(0) != before)
with a_try("nice"):
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    print("moved:", True)
with a_try("real time"):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("moved:", True)
"""

    def harm(self, ground, attempt):
        return "it has another place" if "moved: True" in attempt.output else ""


def place(pid: int) -> tuple[int, int]:
    return os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid)
