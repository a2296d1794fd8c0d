"""One trainer process seen from its supervisor: its line, its messages, its clock."""

import base64
import json
import os
import selectors
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evolution.sandbox.confinement import Policy
from evolution.sandbox.environment import CONDITIONS, HARNESS
from evolution.sandbox.line import Packet, PacketReader, packet_pair, send_packet
from evolution.sandbox.process_tree import ProcessTree, process_cpu_seconds
from evolution.sandbox.streams import MessageReader, RingLog
from evolution.sandbox.warden import Warden

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one trainer.

    Attributes:
        name: What it is for: the folder's name.
        folder: Its working directory; made anew.
        files: What it finds there.
        script: What is run in a process that the warden forks; "" for ``command``.
        command: Program and arguments, where it is one of its own.
        environment: All it may know, but for the two variables of the protocol.
        conditions: What ``prepare.py`` reads.
        cpu: The core it is pinned to; None leaves it free.
        policy: Its walls.
    """

    name: str
    folder: Path
    files: Mapping[str, bytes]
    script: str
    command: Sequence[str]
    environment: Mapping[str, str]
    conditions: Mapping[str, object]
    cpu: int | None
    policy: Policy

    def request(self) -> dict[str, object]:
        """What the warden is asked for."""
        return {
            "folder": str(self.folder),
            "files": {name: base64.b64encode(text).decode() for name, text in self.files.items()},
            "script": self.script,
            "command": None if self.script else list(self.command),
            "environment": {**self.environment, CONDITIONS: json.dumps(self.conditions)},
            "harness": HARNESS,
            "cpu": self.cpu,
            "policy": self.policy.to_dict(),
        }


class Trainer:
    """A running trainer. Reading it never blocks, and keeps a bounded part of what it says.

    Raises:
        OSError: There is no warden to ask, or no descriptor is left.
    """

    def __init__(
        self,
        launch: Launch,
        warden: Warden,
        tree: ProcessTree,
        selector: selectors.BaseSelector,
        listener: Callable[[bytes], None] | None = None,
    ) -> None:
        self.name = launch.name
        self.messages: deque[dict[str, object]] = deque()
        self.log = RingLog()
        self._reader = MessageReader()
        self._cpu_seconds = 0.0
        self._warden = warden
        self._tree = tree
        self._selector = selector
        self._listener = listener
        self._line, packets = packet_pair()
        self._packets = PacketReader(self._line)
        self._news, news_write = os.pipe()
        self._output, output_write = os.pipe()
        try:
            ends = (packets.fileno(), news_write, output_write)
            self._number = warden.request(launch.request(), ends)
        finally:
            packets.close()
            os.close(news_write)
            os.close(output_write)
        self._open = set[int]()
        for descriptor, read in (
            (self._news, self._read_news),
            (self._output, self._read_output),
            (self._line.fileno(), self._read_packet),
        ):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ, read)
            self._open.add(descriptor)

    @property
    def pid(self) -> int | None:
        """Its process; None until the warden has made it."""
        return self._warden.pid_of(self._number)

    @property
    def exit_code(self) -> int | None:
        """None while it lives; then its code, or minus the signal."""
        return self._warden.exit_of(self._number)

    @property
    def wall_failure(self) -> str | None:
        """Why its walls could not be put up, so that it never ran; None if they were."""
        return self._warden.failure_of(self._number)

    @property
    def ignored_count(self) -> int:
        """Lines and packets that were no message."""
        return self._reader.ignored_count + self._packets.ignored_count

    @property
    def floods_line(self) -> bool:
        """True once one of its packets brought more descriptors than can be handed in."""
        return self._packets.has_flood

    def go(self, descriptors: Sequence[int] = ()) -> None:
        """Release it, and hand over what it waits for."""
        self.tell({"type": "go"}, descriptors)

    def tell(self, message: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        """Send it a packet; one that does not read misses it."""
        send_packet(self._line, message, descriptors)

    def next_packet(self) -> Packet | None:
        """What it has handed in and nobody has taken; the descriptor is the caller's to close."""
        return self._packets.next()

    def cpu_seconds(self) -> float:
        """CPU time of this one process; the last that was seen, once it is gone."""
        pid = self.pid
        if pid is not None:
            with suppress(OSError):
                self._cpu_seconds = process_cpu_seconds(pid)
        return self._cpu_seconds

    def drain(self) -> None:
        """Take in what it wrote before it ended, as far as the pipes hold it."""
        for _ in range(64):
            heard = [self._read_news(), self._read_output(), self._read_packet()]
            if not any(heard):
                return

    def close(self) -> None:
        """Let go of the line; the process is the tree's to kill."""
        for descriptor in tuple(self._open):
            self._shut(descriptor)
        self._packets.close()

    def _read_packet(self) -> bool:
        if self._line.fileno() not in self._open:
            return False
        try:
            return self._packets.read()
        except EOFError:
            self._shut(self._line.fileno())
            return False

    def _read_news(self) -> bool:
        data = self._read(self._news)
        self.messages.extend(self._reader.feed(data))
        return bool(data)

    def _read_output(self) -> bool:
        data = self._read(self._output)
        self.log.append(data)
        if self._listener is not None:
            self._listener(data)
        return bool(data)

    def _read(self, descriptor: int) -> bytes:
        if descriptor not in self._open:
            return b""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            self._shut(descriptor)
        return data

    def _shut(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        with suppress(KeyError):
            self._selector.unregister(descriptor)
        if descriptor == self._line.fileno():
            self._line.close()
        else:
            os.close(descriptor)


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path inside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def bring_data(folder: Path, data: Mapping[str, str], *, is_linked: bool) -> None:
    """Lay a script's files and folders of data into the folder it will run in."""
    for name, source in data.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_linked:
            target.symlink_to(source)
        elif Path(source).is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
