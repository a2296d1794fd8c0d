"""What the twin has billed: one row for every request, on disk before its reply is sent."""

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.model import Usage


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One request, or one of a batch.

    Attributes:
        request_id: The provider's name for it.
        at: Seconds since the epoch.
        kind: ``message`` or ``batch``.
        model: As asked for.
        status: Of the HTTP answer.
        fault: What went wrong on purpose (``FaultKind``); empty if nothing.
        billed: False for an answer that costs nothing.
        stop_reason: Of the reply; empty if there was none.
        input_tokens: Billed at the full price.
        output_tokens: Billed.
        cache_read_tokens: Billed as read from the cache.
        cache_write_tokens: Billed as written to it.
        prefix: Hash of tools and standing instructions.
        prefix_tokens: Their tokens.
        body: Hash of all that was asked: equal for a request that is sent again.
        retry: Which repetition of the SDK's own this was; 0 for the first.
    """

    request_id: str
    at: float
    kind: str
    model: str = ""
    status: int = 200
    fault: str = ""
    billed: bool = False
    stop_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    prefix: str = ""
    prefix_tokens: int = 0
    body: str = ""
    retry: int = 0

    @property
    def usage(self) -> Usage:
        """The row's tokens, as a run keeps them."""
        return Usage(
            self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens
        )


class Ledger:
    """Rows in order; with a path also JSON lines, each on the disk when ``add`` returns."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._rows: list[LedgerRow] = []
        self._lock = threading.Lock()

    def add(self, row: LedgerRow) -> None:
        """Keep ``row``."""
        with self._lock:
            self._rows.append(row)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
                    file.flush()
                    os.fsync(file.fileno())

    def rows(self) -> list[LedgerRow]:
        """All so far."""
        with self._lock:
            return list(self._rows)


def read_ledger(path: Path) -> list[LedgerRow]:
    """The rows of a file; a last line that was not finished is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [LedgerRow(**json.loads(line)) for line in lines[:-1] if line]
