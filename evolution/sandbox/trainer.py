"""One trainer process seen from its supervisor: its folder, its pipes, its messages, its clock."""

import json
import os
import selectors
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evolution.sandbox.environment import CONDITIONS, HARNESS
from evolution.sandbox.process_tree import ProcessTree, harden_child, process_cpu_seconds
from evolution.sandbox.streams import MessageReader, RingLog

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one trainer.

    Attributes:
        name: What it is for: the folder's name.
        folder: Its working directory; made anew.
        files: What it finds there.
        command: Program and arguments.
        environment: All it may know, but for the two variables of the protocol.
        conditions: What ``prepare.py`` reads.
        cpu: The core it is pinned to; None leaves it free.
        data: Files and folders that lie beside the files: name and source.
        is_data_linked: True to link them instead of copying.
    """

    name: str
    folder: Path
    files: Mapping[str, bytes]
    command: Sequence[str]
    environment: Mapping[str, str]
    conditions: Mapping[str, object]
    cpu: int | None
    data: Mapping[str, str] = field(default_factory=dict)
    is_data_linked: bool = False

    def environment_with_conditions(self) -> dict[str, str]:
        """What it is told, but for the numbers of its pipes."""
        return {**self.environment, CONDITIONS: json.dumps(self.conditions)}


#: Makes the process: from the launch and its ends of the pipes (go, news, output) to its id.
Start = Callable[[Launch, tuple[int, int, int]], int]


def start_process(launch: Launch, descriptors: tuple[int, int, int]) -> int:
    """Start a trainer as a program of its own; its process id.

    Raises:
        OSError, subprocess.SubprocessError: It cannot be started.
    """
    go, news, output = descriptors
    parent = os.getpid()
    process = subprocess.Popen(
        launch.command,
        cwd=launch.folder,
        env={**launch.environment_with_conditions(), HARNESS: f"{go},{news}"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(go, news),
        start_new_session=True,
        preexec_fn=lambda: harden_child(parent, launch.cpu),  # noqa: PLW1509 - one thread
    )
    process.returncode = 0  # the tree reaps every child; this keeps the destructor from waiting
    return process.pid


class Trainer:
    """A running trainer. Reading it never blocks, and keeps a bounded part of what it says."""

    def __init__(
        self,
        launch: Launch,
        tree: ProcessTree,
        selector: selectors.BaseSelector,
        start: Start = start_process,
        listener: Callable[[bytes], None] | None = None,
    ) -> None:
        self.name = launch.name
        self.messages: deque[dict[str, object]] = deque()
        self.log = RingLog()
        self._reader = MessageReader()
        self._cpu_seconds = 0.0
        self._tree = tree
        self._selector = selector
        self._listener = listener
        _write_files(launch.folder, launch.files)
        _bring_data(launch)
        go_read, self._go = os.pipe()
        self._news, news_write = os.pipe()
        self._output, output_write = os.pipe()
        self.pid = start(launch, (go_read, news_write, output_write))
        tree.watch(self.pid)
        for descriptor in (go_read, news_write, output_write):
            os.close(descriptor)
        self._open = {self._go}
        for descriptor, read in ((self._news, self._read_news), (self._output, self._read_output)):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ, read)
            self._open.add(descriptor)
        os.set_blocking(self._go, False)

    @property
    def exit_code(self) -> int | None:
        """None while it lives; then its code, or minus the signal."""
        return self._tree.exit_code(self.pid)

    @property
    def ignored_count(self) -> int:
        """Lines on the pipe that were no message."""
        return self._reader.ignored_count

    def go(self) -> None:
        """Hand over what it waits for."""
        with suppress(OSError):  # gone, or its pipe is full because it does not read
            os.write(self._go, b'{"type":"go"}\n')

    def cpu_seconds(self) -> float:
        """CPU time of this one process; the last that was seen, once it is gone."""
        with suppress(OSError):
            self._cpu_seconds = process_cpu_seconds(self.pid)
        return self._cpu_seconds

    def drain(self) -> None:
        """Take in what it wrote before it ended, as far as the pipes hold it."""
        for _ in range(64):
            before = len(self.messages)
            if not (self._read_news() or self._read_output()) and len(self.messages) == before:
                return

    def close(self) -> None:
        """Let go of the pipes; the process is the tree's to kill."""
        for descriptor in tuple(self._open):
            self._shut(descriptor)

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
        os.close(descriptor)


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path inside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def remove_folder(folder: Path) -> None:
    """Remove a folder, also where a genome took away the right to."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    remove_folder(folder)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _bring_data(launch: Launch) -> None:
    for name, source in launch.data.items():
        target = launch.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if launch.is_data_linked:
            target.symlink_to(source)
        elif Path(source).is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
