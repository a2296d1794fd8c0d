"""The genome sends the harness's own words back on the line of packets: a score, a done, a go.

Stopped by: the harness takes only a snapshot or a submission from a trainer, each with one sealed
file.
"""

import pytest

from tests.adversarial.arena import HONEST, PRELUDE

pytestmark = [pytest.mark.security, pytest.mark.slow]

PACKETS = (
    b'{"type": "score", "val_bpb": 0.1}',
    b'{"type": "done"}',
    b'{"type": "go"}',
    b'{"type": "submit", "val_bpb": 0.1}',
)
GENOME = (
    HONEST.replace("    main()\n", f"    {PRELUDE}".replace("\n", "\n    "))
    + f"""
    line, lines = map(int, os.environ["EVORESEARCH_HARNESS"].split(","))
    os.write(lines, b'{{"type": "start"}}\\n')
    os.read(line, 65536)
    for packet in {PACKETS!r}:
        os.write(line, packet)
    time.sleep(0.5)
"""
)


def test_it_works_on_a_naive_harness(arena):
    with arena.naive_line(GENOME, wanted=len(PACKETS)) as handed_in:
        assert tuple(data for data, _ in handed_in.packets) == PACKETS


def test_there_is_no_score(arena):
    arena.assert_refused(arena.scored(GENOME))
