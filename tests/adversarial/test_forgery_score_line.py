"""The genome writes protocol lines itself: a start, and at once a score.

Stopped by: a score line counts only for tasks whose scoring is ``reported``.
"""

import os

import pytest

from tests.adversarial.arena import HONEST, PRELUDE

pytestmark = pytest.mark.security

LINE = b'{"type": "score", "val_bpb": 0.1, "tokens": 1, "batches": 1, "train_seconds": 1.0}'
GENOME = (
    HONEST.replace("    main()\n", f"    {PRELUDE}".replace("\n", "\n    "))
    + f"""
    line, lines = map(int, os.environ["EVORESEARCH_HARNESS"].split(","))
    os.write(lines, b'{{"type": "start"}}\\n')
    os.read(line, 65536)
    os.write(lines, {LINE!r} + b"\\n")
    time.sleep(0.5)
"""
)


def test_it_works_on_a_naive_harness(arena):
    with (
        arena.naive_line(GENOME, wanted=0) as handed_in,
        os.fdopen(os.dup(handed_in.pipe), "rb") as lines,
    ):
        assert any(LINE in line for line in lines)


def test_there_is_no_score(arena):
    arena.assert_refused(arena.scored(GENOME))
