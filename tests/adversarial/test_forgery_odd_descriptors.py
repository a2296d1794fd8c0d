"""What is submitted is no file in memory: a pipe, a folder, a socket, a device, a plain file.

Reading it would wait for ever, never end, or fail. Stopped by: only a sealed file in memory is
accepted, and nothing is read before that is known.
"""

import os
import stat

import pytest

from tests.adversarial.arena import hand_in

pytestmark = [pytest.mark.security, pytest.mark.slow]

ODD = {
    "pipe": ("state, _kept = os.pipe()", stat.S_ISFIFO),
    "folder": ("state = os.open('.', os.O_RDONLY)", stat.S_ISDIR),
    "socket": ("state = reads", stat.S_ISSOCK),
    "device": ("state = os.open('/dev/zero', os.O_RDONLY)", stat.S_ISCHR),
    "path": ("state = os.open('train.py', os.O_PATH)", stat.S_ISREG),
    "plain file": (
        "Path('state.pt').write_bytes(good_state()); state = os.open('state.pt', os.O_RDONLY)",
        stat.S_ISREG,
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_it_works_on_a_naive_harness(arena, kind):
    make, is_such = ODD[kind]
    with arena.naive_line(hand_in(make)) as handed_in:
        ((_, (state,)),) = handed_in.packets
        assert is_such(os.fstat(state).st_mode)  # taken, whatever it is


@pytest.mark.parametrize("kind", ODD)
def test_it_is_refused(arena, kind):
    arena.assert_refused(arena.scored(hand_in(ODD[kind][0])))
