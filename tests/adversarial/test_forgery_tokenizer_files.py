"""The prepared folder is rewritten during training: byte lengths, tokenizer, manifest.

Stopped by: the box shows a reduced folder, read-only, that nobody reads again; the harness keeps to
files it has hashed, which the arena checks after every scoring.
"""

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
if __name__ == "__main__":
    import numpy as np

    prepare.rng_seed()  # the manifest has been checked by now
    for folder in {CONDITIONS["data"], "FOLDER"}:
        with contextlib.suppress(OSError):
            path = Path(folder, "token_bytes.bin")
            (np.fromfile(path, dtype=np.uint16) * 3).tofile(path)
        with contextlib.suppress(OSError, ValueError):
            path = Path(folder, "manifest.json")
            manifest = json.loads(path.read_text())
            manifest["vocab_size"] = 4
            path.write_text(json.dumps(manifest))
        with contextlib.suppress(OSError):
            Path(folder, "tokenizer.json").write_text("{}")
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME.replace('"FOLDER"', "str(prepare._state().conditions.data)"))


def test_it_is_scored_as_honest(arena):
    """``scored`` also checks the data's hash."""
    arena.assert_scored_as_honest(arena.scored(GENOME.replace("FOLDER", str(arena.data))))
