"""The first run leaves its weights wherever it can write; the second goes on from there.

Stopped by: nothing that a trainer writes outlives its box, and every trial has a fresh one.
"""

import sys
from pathlib import Path

import pytest

from tests.adversarial.arena import HONEST, changed, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

NAME = "evolve-forgery-weights.pt"
GENOME = with_code(
    f"NAME = {NAME!r}"
    + """
PLACES = [os.environ.get("HOME", "."), os.environ.get("TMPDIR", "/tmp"), "/tmp", "/var/tmp",
          "/dev/shm",
          "/run", ".", "..", "../..", CONDITIONS.get("data", "."), "FOLDER", sys.prefix,
          str(Path(torch.__file__).parent)]


def recall(model):
    for place in PLACES:
        with contextlib.suppress(OSError):
            model.load_state_dict(torch.load(Path(place, NAME)))
            return


def keep(model):
    for place in PLACES:
        with contextlib.suppress(OSError, RuntimeError):
            torch.save(model.state_dict(), Path(place, NAME))
""",
    changed(
        changed(
            HONEST,
            "    adamw, muon = build_optimizers(model)\n",
            "    recall(model)\n    adamw, muon = build_optimizers(model)\n",
        ),
        "    val_bpb = prepare.evaluate_bpb(model)\n",
        "    keep(model)\n    val_bpb = prepare.evaluate_bpb(model)\n",
    ),
)


@pytest.fixture(autouse=True)
def tidy():
    yield
    places = ["/tmp", "/var/tmp", "/dev/shm", "/run", sys.prefix]
    places += [Path(home, "torch") for home in sys.path]
    for place in places:
        Path(place, NAME).unlink(missing_ok=True)


def test_it_works_on_a_naive_harness(arena):
    folder = arena.new_folder()
    arena.naive(GENOME, folder=folder)
    arena.assert_gains_naively(GENOME, folder=folder)


def test_the_second_run_is_scored_as_the_first(arena):
    genome = GENOME.replace("FOLDER", str(arena.data))
    for _ in range(2):
        arena.assert_scored_as_honest(arena.scored(genome))
