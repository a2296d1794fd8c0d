"""A submission comes with a hundred descriptors, or with none, a thousand times.

Stopped by: one packet brings one descriptor; what is too much is closed and counted, and no
descriptor stays open in the harness.
"""

from pathlib import Path

import pytest

from tests.adversarial.arena import hand_in

pytestmark = [pytest.mark.security, pytest.mark.slow]

FLOODS = {
    "hundred": """
fcntl_state = state = memory_file(good_state())
for _ in range(50):
    with contextlib.suppress(OSError):
        socket.send_fds(line, [b'{"type": "submit"}'], [state] * 100)
""",
    "none": """
state = memory_file(b"x")
line.setblocking(False)
for _ in range(1000):
    with contextlib.suppress(OSError):
        line.send(b'{"type": "submit"}')
line.setblocking(True)
""",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_it_works_on_a_naive_harness(arena, flood):
    with arena.naive_line(hand_in(FLOODS[flood]), wanted=10) as handed_in:
        assert len(handed_in.packets) == 10
        if flood == "hundred":
            assert sum(len(descriptors) for _, descriptors in handed_in.packets) >= 40


@pytest.mark.parametrize("flood", FLOODS)
def test_it_is_refused_and_leaves_nothing_open(arena, flood):
    before = len(list(Path("/proc/self/fd").iterdir()))
    arena.assert_refused(arena.scored(hand_in(FLOODS[flood])))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
