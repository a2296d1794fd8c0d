"""Twin: what the provider does with a request. The books first, then the reply."""

import hashlib
import hmac
import itertools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.twin.author import Author
from agents.twin.batches import Batches
from agents.twin.cache import Body, PromptCache, blocks_of, shown
from agents.twin.checks import request_problem
from agents.twin.connection import Listener
from agents.twin.faults import Fault, FaultKind, Faults, in_order
from agents.twin.ledger import Ledger, LedgerRow
from agents.twin.replies import (
    AuthorFunction,
    Written,
    message,
    refused,
    thinking_problem,
    written,
)

_KEPT_REQUESTS = 1_000

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to a client.

    Attributes:
        status: Of HTTP.
        body: A message or an error.
        request_id: The twin's name for the request.
        reply: The message in parts, for a stream; None for an error.
        fault: What the connection still has to do wrong.
    """

    status: int
    body: Body
    request_id: str
    reply: Written | None = None
    fault: Fault | None = None


class Twin:
    """A local server of the Messages API; a context manager.

    Args:
        author: Who answers; by default the scripted ``Author``.
        faults: What goes wrong: in order, or as a function of the request's number.
        key: The only key that is let in; empty for any.
        ledger: File to which the books are appended, one JSON line a request.
        port: Where to listen; 0 for any free one.
        cache: The prompt cache; by default one of five minutes.
        batch_polls: How often a batch is asked for before it has ended.

    Attributes:
        asked: The last requests, as they came.
        errors: What an author did wrong: its request was answered with a 500.
    """

    def __init__(
        self,
        author: AuthorFunction | None = None,
        *,
        faults: Faults | Sequence[Fault | FaultKind | None] = (),
        key: str = "",
        ledger: Path | None = None,
        port: int = 0,
        cache: PromptCache | None = None,
        batch_polls: int = 1,
    ) -> None:
        self._author: AuthorFunction = author or Author()
        self._faults = faults if callable(faults) else in_order(faults)
        self._key = key
        self._books = Ledger(ledger)
        self._cache = cache or PromptCache()
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)
        self._born = f"{time.time_ns():x}"
        self._listener = Listener(self, port)
        self.batches = Batches(self, batch_polls)
        self.asked: deque[Body] = deque(maxlen=_KEPT_REQUESTS)
        self.errors: list[str] = []

    @property
    def url(self) -> str:
        """Base address, for ``ANTHROPIC_BASE_URL``; the same after ``come_back``."""
        return f"http://127.0.0.1:{self._listener.port}"

    def ledger(self) -> list[LedgerRow]:
        """All rows so far."""
        return self._books.rows()

    def __enter__(self) -> Self:
        self._listener.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def go_away(self) -> None:
        """Cut every connection and refuse new ones."""
        self._listener.close()

    def come_back(self) -> None:
        """Listen again, at the same address."""
        self._listener.open()

    def wait_for_close(self, seconds: float) -> bool:
        """Sleep, but not longer than the server lives; True if it has ended."""
        return self._listener.closed.wait(seconds)

    # --- requests ----------------------------------------------------------------------------

    def is_welcome(self, headers: Mapping[str, str]) -> bool:
        """True if the right key came along, in either header."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        given = headers.get("x-api-key") or bearer
        return hmac.compare_digest(given, self._key) if self._key else bool(given)

    def create(self, body: Body, headers: Mapping[str, str]) -> Answer:
        """Answer one request for a message, and bill it."""
        self.asked.append(body)
        fault = self._faults(next(self._numbers))
        row = LedgerRow(
            request_id=self.new_id(),
            at=time.time(),
            kind="message",
            model=str(body.get("model", "")),
            fault=fault.kind if fault else "",
            body=hashlib.sha256(shown(body)).hexdigest(),
            retry=int(headers.get("x-stainless-retry-count", "0")),
        )
        if not self.is_welcome(headers):
            return self._failed(row, 401, "invalid x-api-key")
        if fault and not fault.kind.is_billed and fault.kind is not FaultKind.OVERLOADED_LATE:
            return self._failed(row, fault.kind.status, f"planted: {fault.kind}", fault)
        problem = request_problem(body) or thinking_problem(body)
        if problem:
            return self._failed(row, 400, problem)
        if fault and not fault.kind.is_billed:
            self._books.add(row)
            return Answer(200, self.error(529, "planted"), row.request_id, None, fault)
        return self._written(body, row, fault)

    def in_batch(self, body: Body) -> Body:
        """One request of a batch, billed: its result."""
        row = LedgerRow(self.new_id(), time.time(), "batch", body["model"])
        problem = request_problem(body) or thinking_problem(body)
        answer = self._failed(row, 400, problem) if problem else self._written(body, row, None)
        if answer.status != 200:
            return {"type": "errored", "error": answer.body}
        return {"type": "succeeded", "message": answer.body}

    def count(self, body: Body) -> int:
        """Input tokens of a request, unbilled."""
        return sum(block.tokens for block in blocks_of(body))

    def new_id(self) -> str:
        """A name for a request, never given twice by any twin."""
        return f"req_{self._born}{next(self._ids):06d}"

    def error(self, status: int, text: str) -> Body:
        """The body of a failed answer."""
        return {"type": "error", "error": {"type": _ERROR_TYPES[status], "message": text}}

    def _failed(self, row: LedgerRow, status: int, text: str, fault: Fault | None = None) -> Answer:
        self._books.add(replace(row, status=status))
        return Answer(status, self.error(status, text), row.request_id, None, fault)

    def _written(self, body: Body, row: LedgerRow, fault: Fault | None) -> Answer:
        """Have the reply written and billed."""
        try:
            reply = self._reply(body, row.request_id, fault.kind if fault else None)
        except Exception as error:  # noqa: BLE001 - an author is foreign code; its client gets a 500
            self.errors.append(f"{type(error).__name__}: {error}")
            return self._failed(row, 500, f"the author failed: {error}")
        blocks = blocks_of(body)
        split = self._cache.use(body["model"], blocks)
        standing = [block for block in blocks if not block.is_turn]
        row = replace(
            row,
            billed=True,
            status=fault.kind.status if fault else 200,
            stop_reason=reply.stop_reason,
            input_tokens=split.fresh,
            output_tokens=reply.tokens,
            cache_read_tokens=split.read,
            cache_write_tokens=split.written,
            prefix=hashlib.sha256(b"\n".join(b.data for b in standing)).hexdigest(),
            prefix_tokens=sum(block.tokens for block in standing),
        )
        self._books.add(row)
        if row.status != 200:
            return Answer(row.status, self.error(row.status, "planted"), row.request_id)
        whole = message(reply, body, row.request_id, _usage(row))
        return Answer(200, whole, row.request_id, reply, fault)

    def _reply(self, body: Body, request_id: str, fault: FaultKind | None) -> Written:
        if fault is FaultKind.REFUSAL:
            return refused()
        if fault is FaultKind.EMPTY:
            return Written([], 1, "end_turn")
        said = self._author(body)
        if fault is FaultKind.MAX_TOKENS:
            size = written(said, body, request_id).tokens
            body = {**body, "max_tokens": max(1, min(size - 1, body["max_tokens"] - 1, size // 2))}
        return written(said, body, request_id)


def _usage(row: LedgerRow) -> Body:
    return {
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cache_read_input_tokens": row.cache_read_tokens,
        "cache_creation_input_tokens": row.cache_write_tokens,
    }
