"""Every token is said to stand for twice its bytes, by a patched numpy: half the bits per byte.

Stopped by: the harness owns byte counts.
"""

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
import numpy

_read = numpy.fromfile
numpy.fromfile = lambda *arguments, **options: _read(*arguments, **options) * 2
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_scored_as_honest(arena):
    arena.assert_scored_as_honest(arena.scored(GENOME))
