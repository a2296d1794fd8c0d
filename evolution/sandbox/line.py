"""The line between a trainer and its supervisor: packets with descriptors, and files in memory.

A packet is one JSON object, with at most a few descriptors attached. What comes from a box is
bounded before it is read, and everything that was attached is closed unless somebody takes it.
Standard library only.
"""

import errno
import fcntl
import json
import os
import socket
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from evolution.sandbox.streams import parse_message

#: Keeps packets apart; macOS knows no other kind for this.
PACKETS = socket.SOCK_SEQPACKET if sys.platform.startswith("linux") else socket.SOCK_DGRAM
PACKET_BYTES = 65_536
_MOST_DESCRIPTORS = 4
_MOST_WAITING = 8
_TRAINER_BUFFER = 16_384
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
        self.has_flood = False  # one packet brought several descriptors

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
        message = parse_message(data) if is_whole and len(descriptors) <= 1 else None
        if message is None or len(self._waiting) >= _MOST_WAITING:
            for descriptor in descriptors:
                os.close(descriptor)
            self.ignored_count += 1
            self.has_flood |= len(descriptors) > 1
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


def packet_pair() -> tuple[socket.socket, socket.socket]:
    """A line: the harness's end, and the trainer's, on which only a few packets can wait.

    What a genome sends and nobody has read yet counts against everything that its user runs: the
    kernel keeps one number of descriptors under way for each user.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _TRAINER_BUFFER)
    return ours, theirs


def send_packet(
    line: socket.socket, message: dict[str, object], descriptors: Sequence[int] = ()
) -> None:
    """Send without waiting; a receiver that is gone or does not read misses it.

    Raises:
        OSError: The user has too many descriptors under way: no fault of the receiver's.
    """
    try:
        socket.send_fds(line, [json.dumps(message).encode()], list(descriptors))
    except OSError as error:
        if error.errno == errno.ETOOMANYREFS:
            raise


def sealed_file(content: bytes) -> int:
    """A descriptor of a file in memory that nobody can change any more, where the system can."""
    descriptor = _memory_file()
    write_file(descriptor, content)
    if _HAS_MEMFD:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL_SEALS)
    return descriptor


def shared_file(byte_count: int) -> int:
    """A descriptor of a file in memory that neither side can make longer or shorter."""
    descriptor = _memory_file()
    os.ftruncate(descriptor, byte_count)
    if _HAS_MEMFD:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SIZE_SEALS)
    return descriptor


def is_sealed(descriptor: int) -> bool:
    """True for a file in memory that nobody can change any more.

    A system without such files (macOS) has nothing better to offer than a file.
    """
    if not _HAS_MEMFD:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _ALL_SEALS == _ALL_SEALS
    except OSError:
        return False  # no file in memory at all


def write_file(descriptor: int, content: bytes) -> None:
    """Write from the start of a file, all of it."""
    view, offset = memoryview(content), 0
    while offset < len(view):
        offset += os.pwrite(descriptor, view[offset:], offset)


def read_file(descriptor: int, byte_count: int) -> bytes:
    """A copy of the first bytes: what the box does to its file afterwards changes nothing.

    Raises:
        EOFError: There are fewer.
    """
    parts: list[bytes] = []
    offset = 0
    while offset < byte_count:
        part = os.pread(descriptor, byte_count - offset, offset)
        if not part:
            raise EOFError(f"{offset} of {byte_count} bytes")
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _memory_file() -> int:
    if _HAS_MEMFD:
        return os.memfd_create("evoresearch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


if sys.platform.startswith("linux"):
    _SIZE_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    _ALL_SEALS = _SIZE_SEALS | fcntl.F_SEAL_WRITE
else:
    _SIZE_SEALS = _ALL_SEALS = 0
