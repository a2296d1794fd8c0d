"""OpenAI: the door to every server of chat completions, by OpenAI's SDK.

A prompt goes out once; a reply comes back. The SDK repeats what was not billed, and nothing else:
its connections see to it.
"""

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import openai

from agents.chat_api import Body, ChatAssembly, OpenAISettings, error_in, request_of
from agents.connections import Connections
from agents.http_failures import (
    UNSENT,
    Teller,
    is_final,
    kind_of_cause,
    kind_of_status,
    planted_key,
    retry_after,
)
from agents.model import CallFailure, ModelError, Prompt, Reply
from agents.nesting import read_json
from population import EvolveError

KEY = "OPENAI_API_KEY"

_ADDRESS = "OPENAI_BASE_URL"
_OWN_ADDRESS = "https://api.openai.com/v1"
_NO_KEY = "none"  # a local server asks for none, and the SDK for one
_NO_CREDIT = "insufficient_quota"  # a 429 that no waiting mends
_DONE = "[DONE]"
_Foreign = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError)


class OpenAIModelError(EvolveError):
    """A server of chat completions cannot be asked with these settings, here."""


class OpenAI:
    """A model behind a server of chat completions. Safe for several threads.

    Args:
        settings: See there.
        environ: Where the key is, and the address if the settings have none.
        clock: Seconds, from any origin.

    Attributes:
        close: Cuts all connections, also those of calls in flight, which fail. The model is of no
            more use then. A model that is forgotten does it.

    Raises:
        OpenAIModelError: No model is named, or a key is needed and not there.
    """

    def __init__(
        self,
        settings: OpenAISettings,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._address = settings.base_url or environ.get(_ADDRESS, "")
        problem = _settings_problem(settings, self._address) or missing_key(settings, environ)
        if problem:
            raise OpenAIModelError(problem)
        self._teller = Teller(settings.model, _secrets(environ))
        connections = Connections()
        self._client = self._made(environ.get(KEY) or _NO_KEY, connections)
        self.close = weakref.finalize(self, _end, self._client, connections)
        self._clock = clock

    @property
    def name(self) -> str:
        """The model, as its server names it."""
        return self._settings.model

    def reply(self, prompt: Prompt) -> Reply:
        """Answer ``prompt``, streamed.

        Raises:
            ModelError: No whole reply came; never asked again if it may have been billed.
        """
        request = request_of(prompt, self._settings, self._address)
        assembly = ChatAssembly()
        try:
            request_id = self._stream(request, assembly)
        except (*_Foreign, ValueError) as error:
            raise self._of(error, assembly) from error
        return assembly.reply(prompt, request_id)

    def _made(self, key: str, connections: Connections) -> openai.OpenAI:
        settings = self._settings
        http = _OnceClient(
            self._teller,
            settings.patience_seconds,
            event_hooks={"request": [connections.follow]},
        )
        return openai.OpenAI(
            api_key=key,
            base_url=self._address or _OWN_ADDRESS,
            default_headers=dict(settings.headers),
            max_retries=settings.retries,
            timeout=httpx2.Timeout(settings.silence_seconds, connect=settings.connect_seconds),
            http_client=http,
        )

    def _stream(self, request: Body, assembly: ChatAssembly) -> str:
        """Send ``request`` and put its chunks together; the server's name for the call."""
        deadline = self._clock() + self._settings.reply_seconds
        chats: Any = self._client.chat.completions.with_streaming_response
        with chats.create(**request) as response:
            request_id = str(response.headers.get("x-request-id", ""))
            try:
                for line in response.iter_lines():
                    if self._clock() > deadline and not assembly.is_whole:
                        waited = f"it was not whole after {self._settings.reply_seconds:g} s"
                        raise self._named(CallFailure.TIMED_OUT, waited, assembly)
                    if self._is_last(line, assembly):
                        break
            except (*_Foreign, OSError):
                if not assembly.is_whole:  # else only the count of its tokens is missing
                    raise
        if not assembly.is_whole:
            kind = CallFailure.CUT_OFF if assembly.has_begun else CallFailure.MALFORMED
            raise self._named(kind, "the stream ended before the reply", assembly)
        return request_id

    def _is_last(self, line: str, assembly: ChatAssembly) -> bool:
        """Take in one line of the stream; True if nothing of interest comes after it."""
        if not line.startswith("data:"):
            return False  # a comment, the name of an event, or the gap between two
        data = line.removeprefix("data:").strip()
        if data == _DONE:
            return True
        chunk = read_json(data)
        error = error_in(chunk)
        if error is not None:
            raise self._of_event(error, assembly)
        return assembly.take(chunk)

    def _named(
        self,
        kind: CallFailure,
        said: str,
        assembly: ChatAssembly,
        *,
        wait: float | None = None,
    ) -> ModelError:
        return self._teller.error(
            kind, said, retry_after=wait, usage=assembly.usage, text=assembly.text
        )

    def _of(self, error: Exception, assembly: ChatAssembly) -> ModelError:
        """What the SDK or the connection raised."""
        if isinstance(error, openai.APIStatusError):
            is_broke = error.code == _NO_CREDIT
            kind = CallFailure.UNAUTHORISED if is_broke else kind_of_status(error.status_code)
            said = f"{error.status_code}: {error.message}"
            return self._named(kind, said, assembly, wait=retry_after(error.response))
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        said = str(cause or error) or type(cause).__name__
        return self._named(kind_of_cause(cause), said, assembly)

    def _of_event(self, error: Body, assembly: ChatAssembly) -> ModelError:
        """An error in the stream: within the reply, what was written so far may be billed."""
        code, said = error.get("code") or error.get("type"), str(error.get("message") or error)
        kind = CallFailure.SERVER
        if isinstance(code, int) and 400 <= code < 600:
            kind = kind_of_status(code)
        elif "rate_limit" in str(code):
            kind = CallFailure.RATE_LIMITED
        return self._named(CallFailure.CUT_OFF if assembly.has_begun else kind, said, assembly)


class _OnceClient(openai.DefaultHttpxClient):
    """Sends for the SDK, and lets it repeat only what was not billed: the SDK repeats time-outs."""

    def __init__(self, teller: Teller, patience_seconds: float, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._teller = teller
        self._patience_seconds = patience_seconds

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send ``request`` once.

        Raises:
            ModelError: It is over: billed perhaps, or to be asked again only after long.
        """
        try:
            response = super().send(request, **options)
        except UNSENT:
            raise
        except (httpx2.RequestError, OSError, RuntimeError) as error:  # the last: it is closed
            said = str(error) or type(error).__name__
            raise self._teller.error(kind_of_cause(error), said) from error
        if not is_final(response, self._patience_seconds):
            return response
        with contextlib.suppress(httpx2.HTTPError):
            response.read()
        response.close()
        kind, wait = kind_of_status(response.status_code), retry_after(response)
        raise self._teller.error(kind, f"status {response.status_code}", retry_after=wait)


def missing_key(settings: OpenAISettings, environ: Mapping[str, str]) -> str | None:
    """What is missing of the key that ``settings`` need; None if nothing is."""
    if settings.base_url or environ.get(_ADDRESS) or environ.get(KEY):
        return None  # another server may ask for none
    return (
        f"The model {settings.model} needs a key, but {KEY} is not set. "
        f"Put the key into the environment: export {KEY}=…, or name your own server in base_url."
    )


def _settings_problem(settings: OpenAISettings, address: str) -> str | None:
    if address and not _is_url(address):
        return (
            f"base_url, or {_ADDRESS}, is {address!r}, but a URL of a server is needed. Give it "
            "whole, e.g. http://127.0.0.1:8000/v1."
        )
    if not settings.model:
        return (
            "No model is named, but a server of chat completions has none of its own choice. "
            'Name one: model = "…" under [agents].'
        )
    planted = planted_key(settings.headers)
    if planted is not None:
        return (
            f"The header {planted!r} of the settings is a key, and settings are stored with the "
            f"run. Put it into {KEY}, or the whole header into OPENAI_CUSTOM_HEADERS."
        )
    return None


def _is_url(address: str) -> bool:
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _secrets(environ: Mapping[str, str]) -> list[str]:
    """What must not be shown, should an answer repeat it."""
    headers = environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    values = [header.partition(":")[2].strip().removeprefix("Bearer ") for header in headers]
    return [environ.get(KEY, ""), environ.get("OPENAI_ADMIN_KEY", ""), *values]


def _end(client: openai.OpenAI, connections: Connections) -> None:
    connections.cut()
    client.close()
