"""The formula of memory against what a training really holds."""

import sys

import pytest

from benchmarks.memory import measure

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's"),
]


@pytest.mark.parametrize("size", [(2, 128, 64, 64, 2048), (4, 384, 16, 128, 2048)])
def test_the_formula_is_within_a_sixth_of_the_measured_peak(size):
    row = measure(size)
    assert row.parameters > 0
    assert 5 / 6 < row.ratio < 7 / 6, row
