"""Every function of the ruler that measures is found by the collector and given other code.

Stopped by: what measures is not in the genome's process.
"""

import pytest

from tests.adversarial.arena import with_code

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = with_code("""
import gc, types


def cheap(*arguments, **options):
    return 0.1


for found in gc.get_objects():
    if isinstance(found, types.FunctionType) and found.__name__ == "_bits_per_byte":
        found.__code__ = cheap.__code__
""")


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_gains_nothing(arena):
    arena.assert_gains_nothing(arena.scored(GENOME))
