import json
import math

from hypothesis import given
from hypothesis import strategies as st

from evolution.sandbox.streams import MessageReader, RingLog, count, number
from population import plain

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = scalars | st.lists(scalars, max_size=3)


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_a_short_log_is_kept_whole_and_a_long_one_at_both_ends(pieces):
    log = RingLog(head_bytes=50, tail_bytes=50)
    whole = b"".join(pieces).replace(b"\r", b"").decode("latin-1").encode("ascii", "replace")
    for start in range(0, len(whole), 7):
        log.append(whole[start : start + 7])
    expected = plain(whole.decode("ascii"))
    if len(whole) <= 100:
        assert log.text() == expected
        assert log.tail() == expected
    else:
        assert f"{len(whole) - 100} bytes left out" in log.text()
        assert log.text().startswith(plain(whole[:50].decode("ascii")))
        assert expected.endswith(log.tail()[-40:])


def test_the_last_lines_of_a_log_can_be_had_alone():
    log = RingLog()
    log.append(b"one\ntwo\nthree\n")
    assert log.tail(2) == "two\nthree"


@given(st.lists(st.binary(max_size=100), max_size=40))
def test_reading_is_total_over_any_bytes(pieces):
    reader = MessageReader(line_bytes=50)
    messages = [message for piece in pieces for message in reader.feed(piece)]
    assert all(isinstance(message["type"], str) for message in messages)
    assert len(messages) + reader.ignored_count == b"".join(pieces).count(b"\n")


@given(st.lists(json_values, max_size=10), st.integers(1, 20))
def test_messages_arrive_however_they_are_cut(values, size):
    sent = [{"type": "t", "value": value} for value in values]
    data = b"".join(json.dumps(message).encode() + b"\n" for message in sent)
    reader = MessageReader()
    received = [
        message
        for start in range(0, len(data), size)
        for message in reader.feed(data[start : start + size])
    ]
    assert json.dumps(received) == json.dumps(sent)
    assert reader.ignored_count == 0


def test_a_line_that_is_too_long_costs_only_itself():
    reader = MessageReader(line_bytes=100)
    messages = reader.feed(b'{"type": "a"}\n' + b"x" * 1000 + b'\n{"type": "b"}\n')
    assert [message["type"] for message in messages] == ["a", "b"]
    assert reader.ignored_count == 1


def test_beyond_its_rate_a_sender_is_not_heard():
    reader = MessageReader(per_second=0.0, burst=3.0)
    messages = reader.feed(b'{"type": "a"}\n' * 10)
    assert (len(messages), reader.ignored_count) == (3, 7)


@given(json_values)
def test_numbers_are_read_from_anything(value):
    message = {"key": value}
    assert isinstance(number(message, "key"), float)
    assert 0 <= count(message, "key") <= 10**15


def test_numbers_are_what_they_say():
    message = {"a": 1.5, "b": True, "c": 10**400, "d": -3, "e": "7"}
    assert number(message, "a") == 1.5
    assert math.isnan(number(message, "b"))
    assert number(message, "c") == math.inf
    assert math.isnan(number(message, "missing"))
    assert (count(message, "a"), count(message, "d"), count(message, "e")) == (1, 0, 0)
