import numpy as np
import pytest

from evolution.scoring.power import Forgery, catch_probability, forge, measured_catches
from tests.evolution.scoring.small_world import BATCH_SIZE, small_rows


def honest(rows):
    rng = np.random.default_rng(2)
    losses = rng.gamma(2.0, 1.5, size=rows.targets.shape).astype(np.float32)
    return losses, np.maximum(0, losses + rng.normal(size=losses.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("share", "nats"), [(1.0, 0.03), (0.1, 0.5), (0.01, 2.0), (0.002, 2.0), (0.01, 0.05)]
)
def test_forgeries_are_caught_as_often_as_the_formula_says(share, nats):
    rows = small_rows(400)
    losses, reference = honest(rows)
    forgery = Forgery(share, nats)
    expected = catch_probability(forgery, 120, losses[rows.counted], reference[rows.counted])
    caught = measured_catches(
        forgery,
        120,
        losses,
        reference,
        rows,
        batch_size=BATCH_SIZE,
        repeat_count=300,
        rng=np.random.default_rng(4),
    )
    error = max(0.01, (expected * (1 - expected) / 300) ** 0.5)
    assert caught / 300 == pytest.approx(expected, abs=4 * error)


def test_what_stays_below_the_tolerance_or_forges_nothing_is_not_caught():
    rows = small_rows()
    losses, reference = honest(rows)
    flat = losses[rows.counted], reference[rows.counted]
    assert catch_probability(Forgery(1.0, 5e-5), 1000, *flat) == 0.0
    assert catch_probability(Forgery(0.0, 1.0), 1000, *flat) == 0.0


def test_a_forgery_lowers_so_many_losses_and_none_below_zero():
    rows = small_rows()
    losses, _ = honest(rows)
    forged = forge(losses, rows, Forgery(0.1, 3.0), np.random.default_rng(0))
    assert (forged < losses).sum() == round(0.1 * rows.counted.sum())
    assert forged.min() >= 0
    assert (forged[~rows.counted] == losses[~rows.counted]).all()
