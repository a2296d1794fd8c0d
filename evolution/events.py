"""EventLog: what happened, in order; append only. The store is the truth, this is the story.

One writer, any number of readers. A line is one JSON object, written whole or not at all as far as
the system allows; a line that a killed writer left half-written is ended and noted at the next
opening, and readers pass over it.
"""

import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from population.errors import EvolveError

#: The latest whole line is looked for in blocks of so many bytes from the end.
BLOCK = 65_536


class EventLogError(EvolveError):
    """The event log cannot be opened or written."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        seq: 1, 2, … over all sittings of a run.
        at: Seconds since the epoch.
        kind: What, e.g. ``trial_finished``.
        payload: The particulars.
    """

    seq: int
    at: float
    kind: str
    payload: Mapping[str, Any]


class EventLog:
    """The open log of a run.

    Args:
        path: The file; made if it does not exist.
        clock: Seconds since the epoch.

    Raises:
        EventLogError: The file cannot be opened, or the disk is full.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock = path, clock
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)
            size = os.fstat(self._file).st_size
            last, fragment = _ending(path, size)
        except OSError as error:
            raise EventLogError(
                f"The event log {path} cannot be opened: {error.strerror}. "
                "It must be a file that this user may write. "
                "Free the name or mend its permissions, then resume the run."
            ) from error
        self._seq = last.seq if last is not None else 0
        if fragment:
            self._write(b"\n")
            self.append("log_repaired", {"unfinished_bytes": fragment})

    def append(self, kind: str, payload: Mapping[str, Any] | None = None) -> Event:
        """Write one event. Numbers that are not finite become null.

        Raises:
            EventLogError: The disk is full or the file is gone; nothing of the event was kept.
        """
        event = Event(self._seq + 1, self._clock(), kind, _plain(payload or {}))
        fields = {
            "seq": event.seq,
            "at": event.at,
            "kind": event.kind,
            "payload": event.payload,
        }
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._write(text.encode("utf-8", "backslashreplace") + b"\n")
        self._seq = event.seq
        return event

    def _write(self, line: bytes) -> None:
        """One write for the whole line; if only a part fits, that part is taken back."""
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if os.fstat(self._file).st_size > size:
                os.ftruncate(self._file, size)
            raise EventLogError(
                f"The event log {self._path} could not take {len(line)} bytes: {error.strerror}. "
                "It needs a little room on its disk. Free some space, then resume the run."
            ) from error

    def close(self) -> None:
        """Give the file back. Closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_events(path: Path) -> Iterator[Event]:
    """The events of a log, in order. Total: what is not an event is passed over."""
    try:
        with path.open("rb") as lines:
            for line in lines:
                event = parse_event(line)
                if event is not None:
                    yield event
    except FileNotFoundError:
        return


def parse_event(line: bytes) -> Event | None:
    """One line of a log; None if it is not a whole event."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match fields:
        case {"seq": int(seq), "at": int(at) | float(at), "kind": str(kind), "payload": dict(told)}:
            return Event(seq, at, kind, told)
    return None


def _ending(path: Path, size: int) -> tuple[Event | None, int]:
    """The last whole event, and how many bytes follow the last line break."""
    if not size:
        return None, 0
    tail, start = b"", size
    with path.open("rb") as log:
        while start:
            start = max(0, start - BLOCK)
            log.seek(start)
            tail = log.read(min(BLOCK, size - start)) + tail
            lines = tail.split(b"\n")
            # The first line may have begun before the block, unless that is the file's start.
            for line in reversed(lines[(1 if start else 0) : -1]):
                event = parse_event(line)
                if event is not None:
                    return event, len(lines[-1])
    return None, len(tail.split(b"\n")[-1])


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON has no type of its own
    """The value in JSON's own types."""
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case Integral():
            return int(value)
        case Real():
            return float(value) if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_plain(item) for item in value]
    raise TypeError(f"An event cannot hold a {type(value).__name__}: {value!r}.")
