"""The supervisor's end of a warden: asks for trainers in the box, hears when they end.

A warden is a process of ours inside the box. It loads what trainers share, before any genome runs,
and only ever forks: one child for each trainer, which shuts itself in (`confinement`) and then runs
the genome. A calibrated trial needs several trainers and two scorers; each would spend seconds of
CPU time on loading the same library.

The process itself is ``warden_process.py``. Standard library only.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolution.sandbox.bubblewrap import box_command
from evolution.sandbox.line import PACKETS, sealed_file
from evolution.sandbox.process_tree import IS_LINUX, ancestors, harden_child

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_PACKET_BYTES = 4096
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid of the sender, as our namespace sees them


@dataclass(frozen=True, slots=True)
class BoxPlan:
    """What a box is built from.

    Attributes:
        level: Containment level.
        readable: Files and folders that are seen, read-only.
        devices: Device nodes that may be used.
        hidden: Folders below what is seen that are not.
        workspace: The one folder that can be written; trainers have theirs in it.
        workspace_bytes: Its size, where it lives in memory; None for a folder of the host.
    """

    level: str
    readable: tuple[str, ...]
    devices: tuple[str, ...]
    hidden: tuple[str, ...]
    workspace: Path
    workspace_bytes: int | None


class Warden:
    """One box with its warden.

    Args:
        plan: Of the box.
        modules: What is loaded before anything is forked.
        environment: Of the process; a trainer's takes its place.
        cpu: The core it is pinned to; None leaves it free.
        enter: Called in the new process before anything else: puts it under the kernel's limits.

    Raises:
        OSError, subprocess.SubprocessError: It cannot be started.
    """

    def __init__(
        self,
        plan: BoxPlan,
        modules: Sequence[str],
        environment: Mapping[str, str],
        cpu: int | None,
        enter: Callable[[], None],
    ) -> None:
        parent = os.getpid()
        self.channel, other = socket.socketpair(socket.AF_UNIX, PACKETS)
        if IS_LINUX:
            self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        program = [sys.executable, "-u", "-P", "-m", "evolution.sandbox.warden_process"]
        command = box_command(
            plan.level,
            [*program, str(other.fileno()), *modules],
            readable=plan.readable,
            devices=plan.devices,
            hidden=plan.hidden,
            workspace=str(plan.workspace),
            workspace_bytes=plan.workspace_bytes,
        )

        def prepare() -> None:
            enter()
            harden_child(parent, cpu)

        try:
            process = subprocess.Popen(
                command,
                cwd="/",
                env={**environment, "PYTHONPATH": str(_PACKAGE_ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - one thread
            )
        except BaseException:
            self.channel.close()
            raise
        finally:
            other.close()
        self.channel.setblocking(False)
        self.pid = process.pid
        process.returncode = 0  # the tree reaps it
        self.is_gone = False
        self._staff = frozenset({self.pid})
        self._request_count = 0
        self._pids: dict[int, int] = {}
        self._exits: dict[int, int] = {}
        self._failures: dict[int, str] = {}

    @property
    def staff(self) -> frozenset[int]:
        """Processes of the box that are ours: the warden, and what built the box around it."""
        return self._staff

    def request(self, trainer: Mapping[str, object], descriptors: Sequence[int]) -> int:
        """Ask for a trainer; the number of the request.

        Args:
            trainer: What `warden_process` reads.
            descriptors: Its ends of the line: packets, news, output.

        Raises:
            OSError: There is nobody to ask.
        """
        self._request_count += 1
        request = {"number": self._request_count, **trainer}
        wish = sealed_file(json.dumps(request).encode())
        try:
            socket.send_fds(self.channel, [b"start"], [wish, *descriptors])
        finally:
            os.close(wish)
        return self._request_count

    def listen(self) -> None:
        """Take in what the warden and its children say; never waits."""
        while not self.is_gone:
            try:
                data, ancillary, _, _ = self.channel.recvmsg(_PACKET_BYTES, 256)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            if not data:
                self.is_gone = True
                return
            self._take(json.loads(data), _sender(ancillary))

    def pid_of(self, number: int) -> int | None:
        """Process id of a trainer, as this process sees it; None until it is known."""
        return self._pids.get(number)

    def exit_of(self, number: int) -> int | None:
        """How it ended: its code, or minus the signal; None while it lives."""
        if number in self._exits:
            return self._exits[number]
        return -signal.SIGKILL if self.is_gone else None

    def failure_of(self, number: int) -> str | None:
        """Why its walls could not be put up; nothing of the genome ran then. None if they were."""
        return self._failures.get(number)

    def close(self) -> None:
        """Let it go; the tree kills and collects what is left."""
        self.channel.close()
        self.is_gone = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _take(self, message: Mapping[str, Any], sender: int | None) -> None:
        """Say-so of our own code: no genome holds this channel."""
        match message:
            case {"ready": pid}:
                self._staff = frozenset({*ancestors(sender or pid, os.getpid()), self.pid})
            case {"born": number, "pid": pid}:
                self._pids[number] = sender or pid
            case {"failed": number, "reason": reason}:
                self._failures[number] = reason
            case {"ended": number, "status": status}:
                self._exits[number] = os.waitstatus_to_exitcode(status)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Process id of who sent a packet, translated by the kernel; None where it does not say."""
    for level, kind, data in ancillary:
        if IS_LINUX and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack_from(data)[0])
    return None
