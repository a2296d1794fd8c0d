import json
import math
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.sandbox.streams import MessageReader, RingLog, count, number
from population import plain

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = scalars | st.lists(scalars, max_size=3)
#: Bytes that are nearly messages: pieces of JSON in any order, among bytes of any kind.
nearly_messages = st.lists(
    st.sampled_from(
        [
            *(b'{"type": "report"', b'"type"', b'"loss"', b": ", b", ", b"{", b"}", b"[", b"]"),
            *(b"\n", b"1e999", b"-" * 9, b"9" * 5000, b"NaN", b"Infinity", b"null", b"true"),
            *(b'"\\ud800"', b"\\u0000", b"\xff\xfe", b"\x00", b'"', b"[" * 3000, b"\xef\xbb\xbf"),
        ]
    )
    | st.binary(max_size=20),
    max_size=40,
).map(b"".join)


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


@given(st.lists(nearly_messages, max_size=6))
def test_reading_is_total_over_what_is_nearly_a_message(pieces):
    reader = MessageReader()
    for piece in pieces:
        for message in reader.feed(piece):
            for name in message:
                assert 0 <= count(message, name) <= 10**15
            json.dumps(message).encode()  # what is passed on can be written again


@given(nearly_messages, st.lists(st.integers(0, 200), max_size=8))
def test_cutting_changes_nothing_that_is_read(data, cuts):
    whole, in_pieces = MessageReader(line_bytes=400), MessageReader(line_bytes=400)
    expected = whole.feed(data)
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    received = [
        message for start, end in pairwise(edges) for message in in_pieces.feed(data[start:end])
    ]
    assert json.dumps(received) == json.dumps(expected)
    assert in_pieces.ignored_count == whole.ignored_count


def peak_bytes(pieces: Iterable[bytes], *readers: MessageReader | RingLog) -> int:
    """The most that is held at once while readers take in the pieces."""
    tracemalloc.start()
    try:
        for piece in pieces:
            for reader in readers:
                if isinstance(reader, MessageReader):
                    reader.feed(piece)
                else:
                    reader.append(piece)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


FLOODS = {
    "one line": b"[" * 65_536,
    "empty lines": b"\n" * 4_096,
    "small messages": b'{"type":"a"}\n' * 500,
    "large messages": b'{"type":"a","b":"' + b"x" * 60_000 + b'"}\n',
    "noise": bytes(range(256)) * 256,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_any_length_holds_no_more_than_a_short_one(name):
    short = peak_bytes([FLOODS[name]] * 5, MessageReader(), RingLog(1_000, 4_000))
    long = peak_bytes([FLOODS[name]] * 60, MessageReader(), RingLog(1_000, 4_000))
    assert long < short + 100_000


@given(st.lists(st.binary(max_size=3000), max_size=20), st.integers(1, 30))
def test_a_log_is_bounded_and_plain_over_any_bytes(pieces, times):
    log = RingLog(head_bytes=500, tail_bytes=1500)
    for piece in pieces * times:
        log.append(piece)
    for text in (log.text(), log.tail(), log.tail(5)):
        assert len(text) < 2 * 2000 + 100
        assert all(character >= " " or character in "\n\t" for character in text)
        text.encode()  # it can be stored and shown


@given(st.binary(max_size=400))
def test_what_is_plain_stays_as_it_is(data):
    text = plain(data.decode("utf-8", errors="replace"))
    assert plain(text) == text
