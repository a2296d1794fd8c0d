"""Trainers that need not load torch again: a process that has loaded it, and forks.

A calibrated trial needs three trainers: the genome and the baseline by turns, then the genome. Each
would spend seconds of CPU time on loading the same library. The nursery loads it once, before any
genome runs, and only ever forks: what a genome does stays in its own process.

The process itself is ``nursery_process.py``. Standard library only.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evolution.sandbox.process_tree import IS_LINUX, harden_child

_PROGRAM = Path(__file__).with_name("nursery_process.py")


def may_nurse() -> bool:
    """True where a forked child can be adopted, and what torch loads survives a fork."""
    return IS_LINUX


class Nursery:
    """The supervisor's end: asks for trainers, one at a time.

    Args:
        modules: What is loaded before anything is forked.
        environment: Of the process; a trainer's is laid over it.
        folder: Its working directory.
        cpu: The core it is pinned to; None leaves it free.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self,
        modules: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        cpu: int | None,
    ) -> None:
        parent = os.getpid()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = subprocess.Popen(
                [sys.executable, "-u", "-P", str(_PROGRAM), str(other.fileno()), *modules],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                start_new_session=True,
                preexec_fn=lambda: harden_child(parent, cpu),  # noqa: PLW1509 - one thread
            )
        except BaseException:
            self._channel.close()
            raise
        finally:
            other.close()
        self._channel.setblocking(False)
        self.pid = process.pid
        process.returncode = 0  # the tree reaps it

    def request(self, trainer: Mapping[str, object], descriptors: Sequence[int]) -> bool:
        """Ask for a trainer; False if there is nobody to ask.

        Args:
            trainer: ``folder``, ``script``, ``environment``, ``harness`` (name of
                the variable that tells the pipes' numbers), ``parent`` and ``cpu``.
            descriptors: Its ends of the pipes: go, news, output.
        """
        try:
            socket.send_fds(self._channel, [json.dumps(trainer).encode()], list(descriptors))
        except OSError:
            return False
        return True

    def answer(self) -> int | None:
        """Process id of what was asked for; None while there is none, 0 if none will come."""
        try:
            return int(self._channel.recv(64) or b"0")
        except BlockingIOError:
            return None
        except OSError:
            return 0

    def close(self) -> None:
        """Let it go: it ends when nobody can ask any more."""
        self._channel.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
