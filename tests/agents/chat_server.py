"""A server of chat completions on this machine: answers by a script, and counts what it billed."""

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "total_tokens": 107,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
}
END = "[DONE]"


def chunk(finish: str | None = None, usage=None, **delta) -> dict:
    """One chunk of a reply."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    choices = [] if usage is not None and not delta and finish is None else [choice]
    return {"id": "chat-1", "model": "small-1-2026", "choices": choices, "usage": usage}


def saying(text: str, finish: str = "stop", usage=USAGE) -> list:
    """The chunks of a reply in words."""
    parts = [chunk(content=text[i : i + 4]) for i in range(0, len(text), 4)]
    told = [] if usage is None else [chunk(usage=usage)]
    return [chunk(role="assistant", content=""), *parts, chunk(finish), *told, END]


def using(name: str, arguments: str, finish: str = "tool_calls") -> list:
    """The chunks of a use of a tool, its arguments in pieces."""
    head = {"index": 0, "id": "call-9", "function": {"name": name, "arguments": ""}}
    pieces = [
        chunk(tool_calls=[{"index": 0, "function": {"arguments": arguments[i : i + 5]}}])
        for i in range(0, len(arguments), 5)
    ]
    return [chunk(tool_calls=[head]), *pieces, chunk(finish), chunk(usage=USAGE), END]


@dataclass(frozen=True)
class Step:
    """What the server does with one request.

    Attributes:
        chunks: Data of the stream; a text is sent as it is.
        status: Of HTTP; 200 streams.
        headers: Of the answer.
        error: Body of an answer that is no 200.
        silence_after: How many chunks come before it falls silent; None for never.
        drops: Ends the connection after the chunks, without an end; before any if there are none.
    """

    chunks: Sequence = ()
    status: int = 200
    headers: dict = field(default_factory=dict)
    error: dict = field(default_factory=lambda: {"message": "no", "code": None})
    silence_after: int | None = None
    drops: bool = False


class ChatServer:
    """A context manager; after the last step of the script, that step is repeated.

    A step may be a function from a request to the chunks of its reply.

    Attributes:
        asked: Bodies of the requests.
        headers: Of the requests.
        billed: How many requests had work done for them.
    """

    def __init__(self, *steps: Step | list | Callable[[dict], list]) -> None:
        self.steps = [Step(step) if isinstance(step, list) else step for step in steps]
        self.asked: list[dict] = []
        self.headers: list[dict] = []
        self.billed = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: dict, headers: dict) -> Step:
        """The step for a request."""
        with self._lock:
            step = self.steps[min(len(self.asked), len(self.steps) - 1)]
            self.asked.append(body)
            self.headers.append(headers)
            step = step if isinstance(step, Step) else Step(step(body))
            self.billed += step.status in (200, 504)
        return step


def _handler(server: ChatServer) -> Callable:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            step = server.take(body, {k.lower(): v for k, v in self.headers.items()})
            self.close_connection = True
            with contextlib.suppress(OSError):  # who asked has gone
                self._answer(step)

        def _answer(self, step: Step) -> None:
            if step.drops and not step.chunks:
                return
            if step.silence_after == 0:
                server.closing.wait(30)
                return
            self.send_response(step.status)
            stream = step.status == 200
            self.send_header("content-type", "text/event-stream" if stream else "application/json")
            self.send_header("x-request-id", f"req-{len(server.asked)}")
            for name, value in step.headers.items():
                self.send_header(name, value)
            if not stream:
                data = json.dumps({"error": step.error}).encode()
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for number, part in enumerate(step.chunks):
                if number == step.silence_after:
                    server.closing.wait(30)
                    return
                self._write(f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n")
            if not step.drops:
                self._write("")

        def _write(self, text: str) -> None:
            data = text.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    return Handler
