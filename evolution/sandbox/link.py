"""The supervisor's line to the executor that started it: commands in, events out.

Its end is news, too: when standard input closes or the parent changes, the executor is dead.
"""

import json
import os
import selectors
import sys
from collections import deque
from collections.abc import Callable
from typing import cast

from evolution.sandbox.spec import Spec
from evolution.sandbox.streams import MessageReader

_MOST_PENDING = 1 << 18  # bytes; points of a curve that nobody fetches are dropped beyond


class ParentGoneError(Exception):
    """Nobody is left to report to."""


class StopRequestedError(Exception):
    """The executor wants this trial to end."""


class Link:
    """Both directions, without ever blocking."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._parent = os.getppid()
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._commands = MessageReader()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0

    def read_spec(self) -> Spec:
        """The first line; blocks until it is there.

        Raises:
            ParentGoneError: There is none.
        """
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self._in, 1)  # not more: what follows is a command
            if not byte:
                raise ParentGoneError
            line += byte
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
        self._selector.register(self._in, selectors.EVENT_READ, self._read_commands)
        return Spec.from_line(bytes(line))

    def send(self, message: dict[str, object], *, may_drop: bool = False) -> None:
        """Queue an event; written as soon as the executor reads."""
        line = json.dumps(message).encode() + b"\n"
        if may_drop and self._pending_bytes + len(line) > _MOST_PENDING:
            return
        if not self._pending:
            self._selector.register(self._out, selectors.EVENT_WRITE, self._write)
        self._pending.append(line)
        self._pending_bytes += len(line)

    def pump(self, seconds: float) -> None:
        """Wait for news of any kind, at most so long, and take it in.

        Raises:
            ParentGoneError: The executor is dead.
            StopRequestedError: It wants an end.
        """
        for key, _ in self._selector.select(max(0.0, seconds)):
            cast(Callable[[], object], key.data)()
        if os.getppid() != self._parent:
            raise ParentGoneError

    def flush(self) -> None:
        """Wait until everything has been taken, or the executor is dead."""
        while self._pending:
            try:
                self.pump(0.5)
            except StopRequestedError:
                continue  # too late: the result stands
            except ParentGoneError:
                return

    def _read_commands(self) -> None:
        data = os.read(self._in, 4096)
        if not data:
            raise ParentGoneError
        if any(command["type"] == "stop" for command in self._commands.feed(data)):
            raise StopRequestedError

    def _write(self) -> None:
        try:
            sent = os.write(self._out, self._pending[0])
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise ParentGoneError from None
        line = self._pending.popleft()
        self._pending_bytes -= sent
        if sent < len(line):
            self._pending.appendleft(line[sent:])
        if not self._pending:
            self._selector.unregister(self._out)
