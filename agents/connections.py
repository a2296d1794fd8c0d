"""Open connections of an HTTP client, which another thread can cut.

Closing a client leaves a thread that waits for an answer where it is until its time is out; only
shutting down the socket wakes it.
"""

import contextlib
import socket
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import httpx2

_OPENED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


class Connections:
    """Knows the connections of every client whose requests go through ``follow``."""

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()

    def follow(self, request: httpx2.Request) -> None:
        """An event hook of a client: to be called with each request."""
        request.extensions["trace"] = self._trace

    def cut(self) -> None:
        """End all connections; who waits for one hears that it was closed."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            found = stream.get_extra_info("socket")
            if isinstance(found, socket.socket):
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)

    def _trace(self, event: str, facts: Mapping[str, Any]) -> None:
        if event.endswith(_OPENED):
            with self._lock:
                self._streams.add(facts["return_value"])
