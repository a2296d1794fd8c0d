import os
import threading

import pytest

from tests.adversarial.escape_arena import WORKSPACE_MB, TrialContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

FLOOD_MB = 600


class DiskContract(TrialContract):
    """What is taken from the disk is measured while it runs; others' writing is far less."""

    def prepare(self, ground):
        self.watch = DiskWatch(ground.root)
        ground.stack.enter_context(self.watch)
        return {"mb": FLOOD_MB}

    def harm(self, ground, attempt):
        taken = self.watch.most_mb
        return f"{taken:.0f} MB of the disk were taken" if taken > 4 * WORKSPACE_MB else ""


class DiskWatch:
    def __init__(self, folder) -> None:
        self.most_mb = 0.0
        self._folder = folder
        self._before = self._free_mb()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            self.most_mb = max(self.most_mb, self._before - self._free_mb())

    def _free_mb(self) -> float:
        found = os.statvfs(self._folder)
        return found.f_bfree * found.f_frsize / 2**20


class TestOneLargeFile(DiskContract):
    program = """
with a_try("write"):
    with open("large", "wb") as file:
        for _ in range(GROUND["mb"]):
            file.write(bytes(1 << 20))
            file.flush()
time.sleep(0.5)
"""


class TestManyFiles(DiskContract):
    program = """
with a_try("write"):
    for number in range(GROUND["mb"] // 4):
        open(f"f{number}", "wb").write(bytes(4 << 20))
time.sleep(0.5)
"""


class TestFilesWithoutAName(DiskContract):
    """Removed but held open: no listing of a folder shows them."""

    program = """
held = []
with a_try("write"):
    for number in range(GROUND["mb"] // 30):
        held.append(open("unseen", "wb", buffering=0))
        os.remove("unseen")
        held[-1].write(bytes(30 << 20))
time.sleep(0.5)
"""


class TestAllocatedSpace(DiskContract):
    program = """
held = []
with a_try("allocate"):
    for number in range(GROUND["mb"] // 30):
        held.append(open(f"f{number}", "wb"))
        os.posix_fallocate(held[-1].fileno(), 0, 30 << 20)
time.sleep(0.5)
"""
