"""The line between a trainer and its supervisor: packets with descriptors, and files in memory.

A packet is one JSON object, with at most a few descriptors attached. What comes from a box is
bounded before it is read, and everything that was attached is closed unless somebody takes it.
Standard library only.
"""

import fcntl
import json
import mmap
import os
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

#: Keeps packets apart; macOS knows no other kind for this.
PACKETS = socket.SOCK_SEQPACKET if sys.platform.startswith("linux") else socket.SOCK_DGRAM
PACKET_BYTES = 65_536
_MOST_DESCRIPTORS = 4
_MOST_WAITING = 8
_HAS_MEMFD = hasattr(os, "memfd_create")


class Packet(NamedTuple):
    """A JSON object from a trainer, and the one descriptor that came with it, if one did."""

    message: dict[str, object]
    descriptor: int | None


class PacketReader:
    """Packets from a box, bounded: too long, too many or not JSON is counted, not kept."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._waiting: deque[Packet] = deque()
        self.ignored_count = 0

    def read(self) -> bool:
        """Take in one packet; False if there is none now.

        Raises:
            EOFError: There will be no more.
        """
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._line, PACKET_BYTES, _MOST_DESCRIPTORS
            )
        except BlockingIOError:
            return False
        except OSError as error:
            raise EOFError from error
        if not data and not descriptors:
            raise EOFError
        is_whole = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        message = _parse(data) if is_whole and len(descriptors) <= 1 else None
        if message is None or len(self._waiting) >= _MOST_WAITING:
            for descriptor in descriptors:
                os.close(descriptor)
            self.ignored_count += 1
        else:
            self._waiting.append(Packet(message, descriptors[0] if descriptors else None))
        return True

    def next(self) -> Packet | None:
        """The oldest packet that waits; its descriptor is the caller's to close."""
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Let go of everything that nobody took."""
        while (packet := self.next()) is not None:
            if packet.descriptor is not None:
                os.close(packet.descriptor)


def send_packet(
    line: socket.socket, message: dict[str, object], descriptors: Sequence[int] = ()
) -> None:
    """Send without waiting; a receiver that is gone or does not read misses it."""
    with suppress(OSError):
        socket.send_fds(line, [json.dumps(message).encode()], list(descriptors))


def as_memory_file(data: bytes) -> int:
    """A descriptor of a file that holds ``data`` and, where the system can, never changes."""
    descriptor = _memory_file()
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    if _HAS_MEMFD:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, ALL_SEALS)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """A file in memory of a size that nobody can change, and our view of it."""
    descriptor = _memory_file()
    os.ftruncate(descriptor, size)
    if _HAS_MEMFD:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SIZE_SEALS)
    return descriptor, mmap.mmap(descriptor, size)


def is_sealed(descriptor: int) -> bool:
    """True for a file in memory that nobody can change any more.

    Where the system has no such files, what was handed in is copied by the caller.
    """
    if not _HAS_MEMFD:
        return True
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & ALL_SEALS == ALL_SEALS
    except OSError:
        return False  # no file in memory at all


def _memory_file() -> int:
    if _HAS_MEMFD:
        return os.memfd_create("evoresearch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _parse(data: bytes) -> dict[str, object] | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        return message
    return None


if sys.platform.startswith("linux"):
    _SIZE_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    ALL_SEALS = _SIZE_SEALS | fcntl.F_SEAL_WRITE
else:
    _SIZE_SEALS = ALL_SEALS = 0
