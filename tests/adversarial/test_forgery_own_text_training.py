"""The genome trains before the clock starts, on English that every Python brings: its manual.

Stopped by: training before the clock is off the harness's books, so that time and CPU time before
the first batch are limited to what start-up needs.
"""

import pytest

from tests.adversarial.arena import HONEST, changed, with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code(
    """
def early(model, adamw, muon):
    import numpy as np
    import pydoc_data.topics

    encoding = prepare.load_tokenizer(CONDITIONS["data"])
    words = " ".join(pydoc_data.topics.topics.values())[:300_000]
    text = np.array(encoding.encode_ordinary(words), dtype=np.int64)
    for step in range(150):
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
    arena.assert_gains_naively(GENOME, gain=0.02)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
