"""The validation text is read from disk, and its n-grams become a part of the state.

The genome looks where its conditions point, in every cache it can think of, and in the very folder
that it guessed. An audit cannot tell: such a model is causal and honest in both boxes. Stopped by:
there is no validation text in the box.
"""

import pytest

from tests.adversarial.arena import that_reads

pytestmark = pytest.mark.security

GENOME = that_reads("""
def find():
    places = [CONDITIONS.get("data", "."), "FOLDER", ".", "..", "/tmp"]
    places += [os.environ.get("EVORESEARCH_CACHE", ".")]
    places += [Path.home() / ".cache/evoresearch", "/root/.cache/evoresearch", "/home"]
    for place in map(Path, places):
        for pattern in ("*.bin", "*/*.bin", "*/*/*.bin"):
            with contextlib.suppress(OSError):
                for path in place.glob(pattern):
                    if path.name in ("validation.bin", "slice.bin", "test.bin"):
                        yield np.fromfile(path, dtype=np.uint16)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_finds_nothing(arena):
    genome = GENOME.replace("FOLDER", str(arena.data))
    arena.assert_scored_as_honest(arena.scored(genome))
