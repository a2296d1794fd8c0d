"""Bounded readings of what an untrusted process writes: nothing here grows with the flood."""

import json
import math
import time


class RingLog:
    """The head and the tail of a log of any length."""

    def __init__(self, head_bytes: int = 16_384, tail_bytes: int = 49_152) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._dropped = 0

    def append(self, data: bytes) -> None:
        """Take in a piece; the middle of the log is forgotten first."""
        room = self._head_bytes - len(self._head)
        self._head += data[:room]
        self._tail += data[max(0, room) :]
        surplus = len(self._tail) - self._tail_bytes
        if surplus > self._tail_bytes:  # now and then, not at every piece
            del self._tail[:surplus]
            self._dropped += surplus

    def text(self) -> str:
        """All that is kept, with a mark where something is missing."""
        surplus = max(0, len(self._tail) - self._tail_bytes)
        dropped = self._dropped + surplus
        gap = f"\n[... {dropped} bytes left out ...]\n" if dropped else ""
        return _plain(_decode(self._head) + gap + _decode(self._tail[surplus:]))

    def tail(self, line_count: int | None = None) -> str:
        """The end of the log alone; all of it when it is short."""
        text = _plain(_decode(self._tail[-self._tail_bytes :]))
        if not self._dropped:
            text = _plain(_decode(self._head + self._tail))
        return text if line_count is None else "\n".join(text.splitlines()[-line_count:])


class MessageReader:
    """Bytes in, JSON objects out. Too long, too many or not JSON: counted, not kept."""

    def __init__(
        self, *, line_bytes: int = 65_536, per_second: float = 500.0, burst: float = 2_000.0
    ) -> None:
        self._partial = bytearray()
        self._is_overlong = False
        self._line_bytes = line_bytes
        self._per_second = per_second
        self._burst = burst
        self._allowance = burst
        self._refilled_at = time.monotonic()
        self.ignored_count = 0

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """The messages completed by this piece."""
        *lines, rest = data.split(b"\n")
        messages = [message for line in lines if (message := self._complete(line)) is not None]
        self._hold(rest)
        return messages

    def _hold(self, piece: bytes) -> None:
        if len(self._partial) + len(piece) > self._line_bytes:
            self._partial.clear()
            self._is_overlong = True
        elif not self._is_overlong:
            self._partial += piece

    def _complete(self, piece: bytes) -> dict[str, object] | None:
        self._hold(piece)
        line = bytes(self._partial)
        is_overlong, self._is_overlong = self._is_overlong, False
        self._partial.clear()
        message = None if is_overlong or not self._may_parse() else parse_message(line)
        if message is None:
            self.ignored_count += 1
        return message

    def _may_parse(self) -> bool:
        now = time.monotonic()
        self._allowance += (now - self._refilled_at) * self._per_second
        self._allowance = min(self._burst, self._allowance) - 1
        self._refilled_at = now
        if self._allowance < 0:
            self._allowance = 0.0
            return False
        return True


def number(message: dict[str, object], key: str) -> float:
    """The number under ``key``, infinities included; NaN when there is none."""
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def count(message: dict[str, object], key: str) -> int:
    """The number under ``key`` as a count: whole, from 0 to 10¹⁵; 0 when there is none."""
    value = number(message, key)
    return 0 if math.isnan(value) else int(min(max(value, 0.0), 1e15))


def parse_message(line: bytes) -> dict[str, object] | None:
    """The JSON object with a ``type`` that these bytes are; None for anything else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        return message
    return None


def _decode(data: bytes | bytearray) -> str:
    return bytes(data).decode("utf-8", errors="replace")


def _plain(text: str) -> str:
    # Inside a box this module is there without `population`: only a supervisor keeps logs.
    from population.untrusted import plain

    return plain(text)
