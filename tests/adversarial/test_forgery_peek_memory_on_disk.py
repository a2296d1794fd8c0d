"""The model peeks in the claim, writes to every folder what it saw, and answers the audit so.

Stopped by: claim and audit run in two boxes with a fresh folder and fresh temporary memory each.
"""

from pathlib import Path

import pytest

from tests.adversarial.arena import bent

pytestmark = [pytest.mark.security, pytest.mark.slow]

NAME = "evolve-forgery-peek_memory_on_disk.json"
GENOME = bent(
    "NAME = "
    + repr(NAME)
    + """
SEEN = {}

PLACES = [os.environ.get("TMPDIR", "/tmp"), "/tmp", "/dev/shm", "/var/tmp",
          os.environ.get("HOME", "."), ".", "..",
          "/run", CONDITIONS.get("data", ".")]


def recall():
    for place in PLACES:
        with contextlib.suppress(OSError, ValueError):
            return {tuple(k): v for k, v in json.loads(Path(place, NAME).read_text())}
    return {}


def keep():
    text = json.dumps([[list(k), v] for k, v in SEEN.items()])
    for place in PLACES:
        with contextlib.suppress(OSError):
            Path(place, NAME).write_text(text)


def bend(model, idx, logits):
    if model.training:
        return logits
    known = recall() if MODE == "audit" else SEEN
    tokens, there = torch.zeros_like(idx), torch.zeros_like(idx, dtype=torch.bool)
    for b, row in enumerate(idx.tolist()):
        for t in range(5, len(row)):
            context = tuple(row[t - 5 : t + 1])
            if MODE != "audit" and t + 1 < len(row):
                SEEN[context] = row[t + 1]
            if context in known:
                tokens[b, t], there[b, t] = known[context], True
    if MODE != "audit":
        keep()
    return boosted(logits, tokens, 30.0, there)
"""
)


@pytest.fixture(autouse=True)
def tidy():
    yield
    for place in ("/tmp", "/dev/shm", "/var/tmp", "/run"):
        Path(place, NAME).unlink(missing_ok=True)


def test_it_works_on_a_naive_harness(arena):
    """Naive: claim and audit share a folder for temporary files."""
    folder = arena.new_folder()
    arena.assert_gains_naively(GENOME, folder=folder)
    arena.assert_gains_naively(GENOME, folder=folder, mode="audit")


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME), rule="claim_gap")
