"""The validation text is looked for through other processes: their folders, descriptors and roots.

Stopped by: other processes are not to be seen, or not to be opened, from the box.
"""

import pytest

from tests.adversarial.arena import that_reads

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = that_reads("""
def find():
    for process in Path("/proc").glob("[0-9]*"):
        for link in ("cwd", "root/tmp", "fd"):
            with contextlib.suppress(OSError):
                for path in Path(process, link).iterdir():
                    with contextlib.suppress(OSError):
                        held = os.readlink(path) if link == "fd" else path.name
                        size = os.stat(path).st_size
                        if held.endswith("validation.bin") and 1000 < size < 1 << 20:
                            yield np.fromfile(path, dtype=np.uint16)
""")


def test_it_works_on_a_naive_harness(arena):
    """The test itself holds the file open, as a harness does while it scores."""
    with (arena.data / "validation.bin").open("rb"):
        arena.assert_gains_naively(GENOME)


def test_it_finds_nothing(arena):
    with (arena.data / "validation.bin").open("rb"):
        arena.assert_scored_as_honest(arena.scored(GENOME))
