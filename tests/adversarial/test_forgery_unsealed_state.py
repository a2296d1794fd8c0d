"""The submitted state is a file in memory that the genome can still change.

Either it is never sealed, or it is sealed later, after the harness has looked at it; meanwhile the
genome writes other bytes. Stopped by: only a file with all four seals is accepted, and the seals
are looked at before anything else.
"""

import os
import time

import pytest

from tests.adversarial.arena import hand_in

pytestmark = pytest.mark.security

SEALS = {
    "never": "0",
    "later": "0",
    "not against writing": "1 | 2 | 4",
}
CHANGING = """
end = time.monotonic() + 2
while time.monotonic() < end:
    os.pwrite(state, os.urandom(64), 0)
"""


def genome(seals):
    then = CHANGING + ("fcntl.fcntl(state, 1033, ALL_SEALS)" if seals == "later" else "")
    return hand_in(
        f"state = memory_file(good_state())\nfcntl.fcntl(state, 1033, {SEALS[seals]})", then
    )


@pytest.mark.parametrize("seals", SEALS)
def test_it_works_on_a_naive_harness(arena, seals):
    with arena.naive_line(genome(seals)) as handed_in:
        ((_, (state,)),) = handed_in.packets
        checked, give_up = os.pread(state, 64, 0), time.monotonic() + 10
        while (used := os.pread(state, 64, 0)) == checked and time.monotonic() < give_up:
            pass
        assert used != checked


@pytest.mark.parametrize("seals", SEALS)
def test_it_is_refused(arena, seals):
    arena.assert_refused(arena.scored(genome(seals)))
