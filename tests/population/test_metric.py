"""What a score is called, and which way it is better."""

import pytest

from population import Direction, Metric


@pytest.mark.parametrize("direction", list(Direction))
def test_what_is_kept_is_lower_for_what_is_better(direction):
    metric = Metric("accuracy", direction, "")
    better, worse = (0.9, 0.8) if direction is Direction.MAXIMIZE else (0.8, 0.9)
    assert metric.kept(better) < metric.kept(worse)
    assert metric.shown(metric.kept(0.8)) == 0.8
