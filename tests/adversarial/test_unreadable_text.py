"""A prepared folder that lost its text to score is our fault, told in words; no genome pays."""

import pytest

from population import FailureClass
from tests.adversarial.arena import HONEST, Arena


@pytest.mark.parametrize("left", [None, b"\1\0"], ids=["missing", "too short"])
def test_a_text_that_cannot_be_scored_is_a_fault_of_the_harness(tmp_path, tiny_data, left):
    arena = Arena(tmp_path, tiny_data)
    (arena.data / "validation.bin").unlink()
    if left is not None:
        (arena.data / "validation.bin").write_bytes(left)
    outcome = arena.tried(HONEST)
    assert outcome.val_bpb is None
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureClass.HARNESS
    assert "the trial could not be scored: The text to score" in outcome.failure.message
