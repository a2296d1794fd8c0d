"""Message Batches: requests handed in together, answered when they have been asked for a while."""

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.twin.server import Twin

Body = dict[str, Any]  # JSON of the protocol

_DAY = "2026-01-01T00:00:00Z"
_NEXT_DAY = "2026-01-02T00:00:00Z"


@dataclass
class _Batch:
    requests: list[Body]
    polls_left: int
    results: list[Body] = field(default_factory=list)
    is_over: bool = False
    is_cancelled: bool = False


class Batches:
    """The batches of one twin. Each request is billed once, when its batch ends."""

    def __init__(self, twin: "Twin", polls: int) -> None:
        self._twin = twin
        self.polls = polls
        self._batches: dict[str, _Batch] = {}
        self._lock = threading.Lock()

    def create(self, body: Body, base: str) -> Body:
        """A new batch."""
        name = f"msgbatch_{self._twin.new_id()}"
        with self._lock:
            self._batches[name] = _Batch(list(body["requests"]), self.polls)
            return self._shown(name, base)

    def retrieve(self, name: str, base: str) -> Body | None:
        """How a batch stands; being asked for brings its end nearer."""
        with self._lock:
            batch = self._batches.get(name)
            if batch is None:
                return None
            batch.polls_left -= 1
            if batch.polls_left < 0 and not batch.is_over:
                self._end(batch)
            return self._shown(name, base)

    def cancel(self, name: str, base: str) -> Body | None:
        """End a batch; what was not begun is not billed."""
        with self._lock:
            batch = self._batches.get(name)
            if batch is None:
                return None
            if not batch.is_over:
                batch.is_cancelled = True
                self._end(batch)
            return self._shown(name, base)

    def __len__(self) -> int:
        """How many were handed in."""
        with self._lock:
            return len(self._batches)

    def finish(self) -> None:
        """End every batch now, answered."""
        with self._lock:
            for batch in self._batches.values():
                if not batch.is_over:
                    self._end(batch)

    def results(self, name: str) -> str | None:
        """The results as JSON lines, in no particular order; None before there are any."""
        with self._lock:
            batch = self._batches.get(name)
            if batch is None or not batch.is_over:
                return None
            return "".join(json.dumps(line) + "\n" for line in reversed(batch.results))

    def _end(self, batch: _Batch) -> None:
        batch.is_over = True
        for request in batch.requests:
            cancelled = {"type": "canceled"}
            result = cancelled if batch.is_cancelled else self._twin.in_batch(request["params"])
            batch.results.append({"custom_id": request["custom_id"], "result": result})

    def _shown(self, name: str, base: str) -> Body:
        batch = self._batches[name]
        kinds = [line["result"]["type"] for line in batch.results]
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled")}
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if batch.is_over else "in_progress",
            "request_counts": {
                **counts,
                "expired": 0,
                "processing": 0 if batch.is_over else len(batch.requests),
            },
            "created_at": _DAY,
            "expires_at": _NEXT_DAY,
            "ended_at": _DAY if batch.is_over else None,
            "cancel_initiated_at": _DAY if batch.is_cancelled else None,
            "archived_at": None,
            "results_url": f"{base}/v1/messages/batches/{name}/results" if batch.is_over else None,
        }
