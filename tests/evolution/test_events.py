import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.events import EventLog, EventLogError, parse_event, read_events
from population import Purpose


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def ticking(start=100.0):
    ticks = iter(range(10**6))
    return lambda: start + next(ticks)


def test_events_come_back_in_order(path):
    with EventLog(path, ticking()) as log:
        log.append("began")
        log.append("trial_finished", {"trial": 3, "val_bpb": 1.5})
    events = list(read_events(path))
    assert [(e.seq, e.at, e.kind) for e in events] == [
        (1, 100.0, "began"),
        (2, 101.0, "trial_finished"),
    ]
    assert events[1].payload == {"trial": 3, "val_bpb": 1.5}


def test_numbers_go_on_in_the_next_sitting(path):
    for _ in range(3):
        with EventLog(path, ticking()) as log:
            log.append("sitting")
    assert [event.seq for event in read_events(path)] == [1, 2, 3]


def test_the_same_events_make_the_same_file(path, tmp_path):
    for target in (path, tmp_path / "again.jsonl"):
        with EventLog(target, ticking()) as log:
            log.append("variant", {"name": "g001-001", "parents": ["a", "b"]})
    assert path.read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_the_payload_is_plain_json_whatever_numbers_it_holds(path):
    with EventLog(path, ticking()) as log:
        log.append(
            "odd",
            {
                "nan": math.nan,
                "inf": [math.inf, 1.0],
                "numpy": (np.int64(3), np.float64(0.5)),
                "enum": Purpose.SCREEN,
                "none": None,
                "truth": True,
                "lone": "\ud800",
            },
        )
    text = path.read_text(encoding="utf-8")
    payload = json.loads(text, parse_constant=pytest.fail)["payload"]
    assert (
        payload
        == {
            "nan": None,
            "inf": [None, 1.0],
            "numpy": [3, 0.5],
            "enum": "screen",
            "none": None,
            "truth": True,
            "lone": "\\ud800",
        }
        or payload["lone"] == "\ud800"
    )


def test_an_event_cannot_hold_an_object(path):
    with EventLog(path, ticking()) as log, pytest.raises(TypeError, match="cannot hold a object"):
        log.append("odd", {"what": object()})
    assert list(read_events(path)) == []


@pytest.mark.parametrize("keep", [1, 20, 40])
def test_a_half_written_line_is_ended_and_noted(path, keep):
    with EventLog(path, ticking()) as log:
        log.append("first")
        log.append("second", {"text": "x" * 40})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:keep])
    with EventLog(path, ticking()) as log:
        log.append("third")
    events = list(read_events(path))
    assert [(e.seq, e.kind) for e in events] == [(1, "first"), (2, "log_repaired"), (3, "third")]
    assert events[1].payload == {"unfinished_bytes": keep}
    assert len(path.read_bytes().splitlines()) == 4


def test_the_last_number_is_found_behind_a_lot_of_garbage(path):
    with EventLog(path, ticking()) as log:
        for _ in range(5):
            log.append("fine", {"text": "é" * 30_000})
    with path.open("ab") as file:
        file.write(b"garbage\n" * 20_000)
    with EventLog(path, ticking()) as log:
        assert log.append("next").seq == 6


@given(st.binary(max_size=300))
def test_reading_is_total(line):
    event = parse_event(line)
    assert event is None or isinstance(event.seq, int)


def test_readers_pass_over_what_is_no_event(path):
    path.write_text(
        '[]\n{"seq":1}\n\x00\xff\n{"seq":"1","at":0,"kind":"x","payload":{}}\n'
        '{"seq":7,"at":0.5,"kind":"x","payload":{}}\n' + "[" * 100_000,
        encoding="utf-8",
    )
    assert [event.seq for event in read_events(path)] == [7]


def test_a_log_that_does_not_exist_has_no_events(tmp_path):
    assert list(read_events(tmp_path / "none.jsonl")) == []


def test_a_reader_sees_events_while_the_log_is_open(path):
    with EventLog(path, ticking()) as log:
        log.append("began")
        assert [event.kind for event in read_events(path)] == ["began"]


def test_a_log_that_cannot_be_opened_says_what_to_do(tmp_path):
    with pytest.raises(EventLogError, match=r"cannot be opened.*resume"):
        EventLog(tmp_path, ticking())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_in_three_parts():
    told = pytest.raises(EventLogError, match=r"No space left.*needs.*Free some space")
    with EventLog(Path("/dev/full"), ticking()) as log, told:
        log.append("lost")


CROWDED = """
import resource, signal, sys
from pathlib import Path
from evolution.events import EventLog, EventLogError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
log = EventLog(Path(sys.argv[1]), lambda: 1.0)
log.append("fits")
try:
    log.append("too_long", {"text": "x" * 300})
except EventLogError:
    log.append("fits_again")
"""


def test_a_line_that_fits_only_in_part_is_taken_back(path):
    subprocess.run([sys.executable, "-c", CROWDED, str(path)], check=True)
    assert [(e.seq, e.kind) for e in read_events(path)] == [(1, "fits"), (2, "fits_again")]
    assert path.read_bytes().count(b"\n") == 2


KILLED = """
import sys
from pathlib import Path
from evolution.events import EventLog

log = EventLog(Path(sys.argv[1]), lambda: 1.0)
print("up", flush=True)
while True:
    log.append("tick", {"text": "x" * 1000})
"""


def test_killing_the_writer_loses_no_finished_line(path):
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "up\n"
    while path.stat().st_size < 100_000:
        pass
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with EventLog(path, ticking()) as log:
        log.append("resumed")
    events = list(read_events(path))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].kind == "resumed"


def test_closing_twice_is_harmless(path):
    log = EventLog(path, ticking())
    log.close()
    log.close()
