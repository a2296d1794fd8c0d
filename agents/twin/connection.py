"""The twin's end of a connection: routes, streams, and the faults that happen on the wire."""

import contextlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from agents.twin.faults import Fault, FaultKind
from agents.twin.replies import events

if TYPE_CHECKING:
    from agents.twin.server import Answer, Twin

Body = dict[str, Any]  # JSON of the protocol

_BATCH = re.compile(r".*/v1/messages/batches/(?P<name>[^/]+)(?P<results>/results|/cancel)?")
# On Google Cloud the model is part of the address.
_VERTEX = re.compile(r".*/publishers/anthropic/models/(?P<model>[^/:]+):(?:streamR|r)awPredict")
_MIDDLE = ("content_block_stop", "message_delta")  # the latter of a reply without content
_BROKEN_EVENT = b'event: content_block_delta\ndata: {"type": "content_block_de\n\n'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, twin: "Twin", port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.twin = twin
        self.sockets: set[socket.socket] = set()
        self.lock = threading.Lock()


class Listener:
    """Opens and closes the server, at one address; cuts connections when it closes."""

    def __init__(self, twin: "Twin", port: int) -> None:
        self._twin = twin
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = port
        self.closed = threading.Event()

    def open(self) -> None:
        """Listen, in a thread."""
        self._server = _Server(self._twin, self.port)
        self.port = self._server.server_address[1]
        self.closed.clear()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and cut what is connected."""
        if self._server is None or self._thread is None:
            return
        self.closed.set()
        self._server.shutdown()
        self._thread.join()
        with self._server.lock:
            for connection in self._server.sockets:
                _cut(connection)
        self._server.server_close()
        self._server = None


class _GoneError(Exception):
    """The connection has been cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.sockets.add(self.connection)

    def finish(self) -> None:
        with self.server.lock:
            self.server.sockets.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(_GoneError, OSError):  # a client may leave at any time
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the books say it."""

    def do_GET(self) -> None:
        twin, route = self.server.twin, _BATCH.fullmatch(self.path)
        if not self._is_welcome():
            return
        if route and route["results"] == "/results":
            lines = twin.batches.results(route["name"])
            if lines is not None:
                self._send(200, lines.encode(), "application/binary")
                return
        elif route:
            shown = twin.batches.retrieve(route["name"], twin.url)
            if shown is not None:
                self._send_json(200, shown)
                return
        self._send_json(404, twin.error(404, f"there is nothing at {self.path}"))

    def do_POST(self) -> None:
        twin = self.server.twin
        body = self._body()
        path = self.path.partition("?")[0]
        if body is None:
            self._send_json(400, twin.error(400, "the body is no JSON object"))
        elif path.endswith("/v1/messages"):
            self._answer(twin.create(body, self._headers()), bool(body.get("stream")))
        elif vertex := _VERTEX.fullmatch(path):
            body["model"] = vertex["model"]
            self._answer(twin.create(body, self._headers()), bool(body.get("stream")))
        elif self._is_welcome():
            self._answer_more(path, body)

    def _answer_more(self, path: str, body: Body) -> None:
        twin, route = self.server.twin, _BATCH.fullmatch(path)
        shown: Body | None = None
        if path.endswith("/v1/messages/count_tokens"):
            shown = {"input_tokens": twin.count(body)}
        elif path.endswith("/v1/messages/batches"):
            shown = twin.batches.create(body, twin.url)
        elif route and route["results"] == "/cancel":
            shown = twin.batches.cancel(route["name"], twin.url)
        if shown is None:
            self._send_json(404, twin.error(404, f"there is nothing at {path}"))
        else:
            self._send_json(200, shown)

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, answer: "Answer", is_stream: bool) -> None:
        fault = answer.fault or Fault(FaultKind.EMPTY)
        if fault.kind is FaultKind.SLOW and self.server.twin.wait_for_close(fault.seconds):
            raise _GoneError
        if fault.kind is FaultKind.DROPPED:
            self._drop()
        late = fault.kind is FaultKind.OVERLOADED_LATE
        if is_stream and (answer.reply is not None or late):
            self._stream(answer, fault)
            return
        if late or answer.status != 200:
            status = 529 if late else answer.status
            self._send_json(status, answer.body, answer.request_id, fault.seconds)
            return
        data = json.dumps(answer.body).encode()
        if fault.kind is FaultKind.MALFORMED:
            data = data[: len(data) // 2]
        if fault.kind is FaultKind.MISSHAPEN:
            data = b'{"type": "message"}'
        if fault.kind is FaultKind.CUT_OFF:
            self._head(200, "application/json", answer.request_id, {"content-length": len(data)})
            self.wfile.write(data[: len(data) // 2])
            self._drop()
        self._send(200, data, "application/json", answer.request_id)

    def _stream(self, answer: "Answer", fault: Fault) -> None:
        self._head(200, "text/event-stream", answer.request_id, {"transfer-encoding": "chunked"})
        if answer.reply is None:
            self._event("error", answer.body)
        else:
            last = len(answer.reply.content) - 1
            for name, data in events(answer.reply, answer.body):
                if data.get("index", -1) == last and name in _MIDDLE:
                    self._break(fault)
                is_misshapen = fault.kind is FaultKind.MISSHAPEN and name == "message_start"
                self._event(name, {**data, "message": {}} if is_misshapen else data)
        if fault.kind is FaultKind.CUT_AT_END:
            self._drop()
        self.wfile.write(b"0\r\n\r\n")

    def _break(self, fault: Fault) -> None:
        """Do wrong what has to go wrong in the middle of a stream."""
        match fault.kind:
            case FaultKind.CUT_OFF:
                self._drop()
            case FaultKind.MALFORMED:
                self._chunk(_BROKEN_EVENT)
            case FaultKind.BROKEN_OFF:
                self._event("error", self.server.twin.error(529, "planted"))
            case FaultKind.SLOW_STREAM:
                if self.server.twin.wait_for_close(fault.seconds):
                    raise _GoneError

    # --- HTTP --------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _is_welcome(self) -> bool:
        twin = self.server.twin
        is_welcome = twin.is_welcome(self._headers())
        if not is_welcome:
            self._send_json(401, twin.error(401, "invalid x-api-key"))
        return is_welcome

    def _body(self) -> Body | None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body = json.loads(data or b"{}")
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def _head(
        self, status: int, kind: str, request_id: str, more: dict[str, str | int] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if request_id:
            self.send_header("request-id", request_id)
        for name, value in (more or {}).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.flush()

    def _send(self, status: int, data: bytes, kind: str, request_id: str = "") -> None:
        self._head(status, kind, request_id, {"content-length": len(data)})
        self.wfile.write(data)

    def _send_json(
        self, status: int, body: Body, request_id: str = "", retry_after: float = 0.0
    ) -> None:
        data = json.dumps(body).encode()
        more: dict[str, str | int] = {"content-length": len(data)}
        if retry_after:
            more["retry-after"] = f"{retry_after:g}"
        self._head(status, "application/json", request_id, more)
        self.wfile.write(data)

    def _event(self, name: str, data: Body) -> None:
        self._chunk(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _drop(self) -> None:
        self.wfile.flush()
        _cut(self.connection)
        raise _GoneError


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
