import os
from pathlib import Path

import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestWhoDiesFirst(EscapeContract):
    """The kernel is told to end somebody else when memory runs out."""

    program = """
with a_try("theirs"):
    open(f"/proc/{GROUND['victim']}/oom_score_adj", "w").write("777")
"""

    def harm(self, ground, attempt):
        value = Path(f"/proc/{ground.victim.pid}/oom_score_adj").read_text(encoding="ascii")
        return "the victim was offered" if value.strip() == "777" else ""


class TestSettingsOfTheKernel(EscapeContract):
    """Opened for writing and left as they are; only the program can say so."""

    program = """
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
             "/proc/sys/kernel/hostname", "/sys/kernel/uevent_helper", "/proc/self/loginuid",
             "/sys/power/state", "/proc/self/uid_map", "/proc/self/setgroups"):
    with a_try(path):
        os.close(os.open(path, os.O_WRONLY))
        print("writable:", path)
"""

    def harm(self, ground, attempt):
        # A process may open its own maps; the kernel then takes nothing that has been set.
        found = [
            line
            for line in attempt.output.splitlines()
            if line.startswith("writable:") and "/self/" not in line
        ]
        return "; ".join(found)


class TestLeavingTheControlGroup(EscapeContract):
    program = """
import glob
places = ["/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*")]
for place in places:
    with a_try(place):
        os.mkdir(place + "/" + GROUND["name"])
    with a_try(place):
        open(place + "/cgroup.procs", "w").write(str(os.getpid()))
        print("moved:", place)
"""

    def prepare(self, ground):
        self.name = f"escape-{os.getpid()}"
        ground.stack.callback(self.clear)
        return {"name": self.name}

    def harm(self, ground, attempt):
        return "it left, or made a group" if "moved:" in attempt.output or self.made() else ""

    def made(self) -> list[Path]:
        return [path for path in Path("/sys/fs/cgroup").glob(f"*/{self.name}") if path.is_dir()]

    def clear(self) -> None:
        for path in self.made():
            path.rmdir()
