import threading
from pathlib import Path

import pytest

from tests.adversarial.escape_arena import TrialContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

MOST_MB = 1000  # a trial of the arena may hold 640


class SharedContract(TrialContract):
    """Memory that belongs to no process: the machine's own count shows it."""

    def prepare(self, ground):
        self.before = self.most = shared_mb()
        self.is_over = threading.Event()
        thread = threading.Thread(target=self.watch)
        ground.stack.callback(thread.join)
        ground.stack.callback(self.is_over.set)
        thread.start()
        return {}

    def watch(self) -> None:
        while not self.is_over.wait(0.02):
            self.most = max(self.most, shared_mb())

    def harm(self, ground, attempt):
        grown = self.most - self.before
        return f"{grown:.0f} MB were held" if grown > MOST_MB else ""


def shared_mb() -> float:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) / 1024
    return 0.0


class TestFilesInMemory(SharedContract):
    program = """
held = []
with a_try("write"):
    for _ in range(40):
        held.append(os.memfd_create("flood"))
        for _ in range(40):
            os.write(held[-1], bytes(1 << 20))
time.sleep(1.0)
"""


class TestSharedMappings(SharedContract):
    program = """
import mmap
held = []
with a_try("maps"):
    for _ in range(40):
        held.append(mmap.mmap(-1, 40 << 20))
        for at in range(0, 40 << 20, 4096):
            held[-1][at] = 1
time.sleep(1.0)
"""
