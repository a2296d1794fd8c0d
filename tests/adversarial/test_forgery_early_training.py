"""The genome trains on the training tokens before the clock starts: it opens the file itself.

Stopped by: there is no training text in the box until the harness has started its clock.
"""

import pytest

from tests.adversarial.arena import HONEST, changed, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code(
    """
def early(model, adamw, muon):
    import numpy as np

    for folder in (CONDITIONS["data"], "FOLDER"):
        with contextlib.suppress(OSError):
            text = np.fromfile(Path(folder, "train.bin"), dtype=np.uint16).astype(np.int64)
            for step in range(60):
                starts = np.random.default_rng(step).integers(len(text) - 65, size=(16, 1))
                rows = torch.from_numpy(text[starts + np.arange(65)])
                set_rates(adamw, muon, 0.5)
                train_step(model, (adamw, muon), iter([(rows[:, :-1], rows[:, 1:])]))
""",
    changed(
        HONEST,
        "    batches = prepare.make_dataloader(",
        "    early(model, adamw, muon)\n    batches = prepare.make_dataloader(",
    ),
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_scored_as_honest(arena):
    genome = GENOME.replace("FOLDER", str(arena.data))
    arena.assert_scored_as_honest(arena.scored(genome))
