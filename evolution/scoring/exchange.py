"""The harness's end of the line to a score worker: packets out, one expected word back.

Whatever the box answers, nothing here allocates, waits or writes beyond its own limits: packets are
short, every wait ends at the deadline, and memory is shared in files of a fixed size that the
harness makes. Nothing of the box is unpickled or mapped.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evolution.sandbox.line import read_file, sealed_file, shared_file, write_file
from evolution.scoring.audit import AuditPlan
from evolution.scoring.rows import Rows, ScoringError

PACKET_BYTES = 1 << 16


class WorkerError(ScoringError):
    """A score worker ended, came too late, or said something else than it should."""


def worker_conditions(
    mode: str, rows: Rows, batch_size: int, device: str, entry: str = "train.py"
) -> dict[str, object]:
    """What a score worker must know, beside what ``prepare.py`` needs."""
    return {
        "mode": mode,
        "entry": entry,
        "device": device,
        "batch_size": batch_size,
        "seq_len": rows.seq_len,
        "vocab_size": rows.vocab_size,
        "row_count": rows.row_count,
    }


class ScoreLine(Protocol):
    """The line to one score worker."""

    def send(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """One packet, descriptors attached."""
        ...

    def expect_done(self) -> None:
        """Wait for ``{"type": "done"}``; anything else is an error."""
        ...


class SocketLine:
    """A worker behind one SOCK_SEQPACKET socket, with a deadline for all that is said on it."""

    def __init__(
        self,
        connected: socket.socket,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over a connected socket; ``deadline`` is a time of ``clock``."""
        self._socket, self._deadline, self._clock = connected, deadline, clock

    def send(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """One packet, descriptors attached.

        Raises:
            WorkerError: If the worker is gone or reads nothing until the deadline.
        """
        data = json.dumps(message).encode()
        if len(data) > PACKET_BYTES:
            raise ValueError(f"a packet of {len(data)} bytes; at most {PACKET_BYTES} are allowed")
        try:
            self._limit()
            socket.send_fds(self._socket, [data], list(descriptors))
        except TimeoutError:
            raise _too_late() from None
        except OSError as error:
            raise _gone(error.strerror or str(error)) from None

    def expect_done(self) -> None:
        """Wait for ``{"type": "done"}``.

        Raises:
            WorkerError: If anything else comes, or nothing until the deadline.
        """
        try:
            self._limit()
            packet = self._socket.recv(PACKET_BYTES)  # descriptors sent along are dropped
        except TimeoutError:
            raise _too_late() from None
        except OSError as error:
            raise _gone(error.strerror or str(error)) from None
        if not packet:
            raise _gone("it closed its line")
        try:
            is_done = json.loads(packet) == {"type": "done"}
        except (ValueError, RecursionError):
            is_done = False
        if not is_done:
            raise WorkerError(
                f"A score worker said {packet[:80]!r}. Only that it is done was expected. "
                "Leave the line to the harness alone."
            )

    def _limit(self) -> None:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def _too_late() -> WorkerError:
    return WorkerError(
        "A score worker did not answer in time. Scoring has a limit of its own. Make build_model() "
        "and the model's forward pass faster."
    )


def _gone(why: str) -> WorkerError:
    return WorkerError(
        f"A score worker ended before its answer was there: {why}. The model has to be rebuilt and "
        "run on validation rows. See what the worker printed."
    )


def take_claim(line: ScoreLine, state: int, rows: Rows) -> npt.NDArray[np.float32]:
    """Have a worker in ``claim`` mode score all rows; nats of each target, (rows, T).

    Args:
        line: To the worker.
        state: Descriptor of the sealed ``state_dict``.
        rows: What is scored.

    Raises:
        WorkerError: If no answer comes.
    """
    given = sealed_file(np.ascontiguousarray(rows.tokens).tobytes())
    wanted = shared_file(4 * rows.targets.size)
    try:
        line.send({"type": "go"}, (state, given, wanted))
        line.expect_done()
        losses = np.frombuffer(read_file(wanted, 4 * rows.targets.size), np.float32)
    finally:
        os.close(given)
        os.close(wanted)
    return losses.reshape(rows.targets.shape)


def take_audit(
    line: ScoreLine, state: int, plan: AuditPlan, vocab_size: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Have a worker in ``audit`` mode answer a plan; (B, V) logits for each round.

    A round is sent only after the one before is answered, and the answer copied. The caller closes
    the socket afterwards, which ends the worker.

    Raises:
        WorkerError: If an answer does not come.
    """
    slot_count = plan.tokens.shape[1]
    answer_bytes = 4 * slot_count * vocab_size
    given = shared_file(2 * plan.tokens[0].size)
    wanted = shared_file(answer_bytes)
    try:
        line.send({"type": "go"}, (state, given, wanted))
        for tokens, positions in plan.rounds:
            write_file(given, tokens.tobytes())
            line.send({"type": "round", "positions": positions.tolist()})
            line.expect_done()
            answer = np.frombuffer(read_file(wanted, answer_bytes), np.float32)
            yield answer.reshape(slot_count, vocab_size)
    finally:
        os.close(given)
        os.close(wanted)
