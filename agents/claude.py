"""Claude: the door to Anthropic's models, by its SDK. A prompt goes out once; a reply comes back.

The SDK repeats what the provider has not billed: 429, 529 and other failures of the server, and
connections that were never made. A request that may have been billed is never sent a second time:
``agents.claude_failures`` sees to it.
"""

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anthropic
import httpx2

from agents.assembly import Assembly, reply_of
from agents.batching import Batch
from agents.claude_failures import Failures, kind_of_type
from agents.connections import Connections
from agents.http_failures import planted_key
from agents.messages_api import ClaudeSettings, Thinking, request_of
from agents.model import CallFailure, ModelError, Prompt, Reply
from agents.nesting import read_json
from population import EvolveError, one_line
from population.errors import did_you_mean

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

_SECRETS = (*KEYS, "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY", "AWS_SECRET_ACCESS_KEY")
_ADDRESSES = {
    "anthropic": "ANTHROPIC_BASE_URL",
    "bedrock": "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "vertex": "ANTHROPIC_VERTEX_BASE_URL",
}

_Client = anthropic.Anthropic | anthropic.AnthropicBedrockMantle | anthropic.AnthropicVertex
_Foreign = (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError)


class ClaudeError(EvolveError):
    """A model of Anthropic's cannot be asked with these settings, here."""


class Claude:
    """A model of Anthropic's, on its own platform or another's. Safe for several threads.

    Args:
        settings: See there.
        environ: Where the key is.
        clock: Seconds, from any origin.

    Attributes:
        close: Cuts all connections, also those of calls in flight, which fail. The model is of no
            more use then. A model that is forgotten does it.

    Raises:
        ClaudeError: No key is there, or the platform is unknown or not installed.
    """

    def __init__(
        self,
        settings: ClaudeSettings | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or ClaudeSettings()
        self._failures = Failures(
            self._settings.model, _secrets(environ), self._settings.patience_seconds
        )
        connections = Connections()
        self._client = _client(self._settings, environ, self._failures.once, connections)
        self.close = weakref.finalize(self, _end, self._client, connections)
        self._clock = clock

    @property
    def name(self) -> str:
        """The model, as its platform names it."""
        return self._settings.model

    def reply(self, prompt: Prompt) -> Reply:
        """Answer ``prompt``, streamed.

        Raises:
            ModelError: No whole reply came; never asked again if it may have been billed.
        """
        request = request_of(prompt, self._settings)
        assembly = Assembly()
        try:
            return self._streamed(request, assembly)
        except (*_Foreign, ValueError) as error:
            raise self._failures.of(error, assembly) from error

    def batch(self, prompts: Sequence[Prompt]) -> Batch:
        """Hand ``prompts`` in together, for less money and when there is time.

        Raises:
            ModelError: They were not taken in.
        """
        requests: Any = [
            {"custom_id": f"prompt-{number}", "params": request_of(prompt, self._settings)}
            for number, prompt in enumerate(prompts)
        ]
        try:
            return Batch(self._batches().create(requests=requests).id, len(prompts))
        except (*_Foreign, ValueError) as error:
            raise self._failures.of(error) from error
        except AttributeError as error:
            raise self._failures.named(CallFailure.MALFORMED, f"no batch: {error}") from error

    def collect(self, batch: Batch) -> list[Reply | ModelError] | None:
        """What a batch gave, in the order of its prompts; None while it is under way.

        Raises:
            ModelError: The provider did not say; nothing is lost, ask again.
        """
        batches = self._batches()
        try:
            if batches.retrieve(batch.id).processing_status != "ended":
                return None
            lines = batches.results(batch.id).http_response.read().split(b"\n")
        except (*_Foreign, ValueError) as error:
            raise self._failures.of(error) from error
        except AttributeError as error:
            raise self._failures.named(CallFailure.MALFORMED, f"no batch: {error}") from error
        found = dict(self._of_line(line) for line in lines if line.strip())
        lost = self._failures.named(CallFailure.MALFORMED, f"batch {batch.id} has no result for it")
        return [found.get(f"prompt-{number}", lost) for number in range(batch.size)]

    def cancel(self, batch: Batch) -> None:
        """End a batch before its time; what was not begun is not billed.

        Raises:
            ModelError: The provider did not hear of it.
        """
        try:
            self._batches().cancel(batch.id)
        except _Foreign as error:
            raise self._failures.of(error) from error

    def _streamed(self, request: dict[str, Any], assembly: Assembly) -> Reply:
        """Send ``request`` and put its events together."""
        deadline = self._clock() + self._settings.reply_seconds
        messages = self._client.messages.with_streaming_response
        with messages.create(**request, stream=True) as response:
            for event in anthropic.Stream.raw_events(response.http_response):
                if self._clock() > deadline:
                    waited = f"it was not whole after {self._settings.reply_seconds:g} s"
                    raise self._failures.named(CallFailure.TIMED_OUT, waited, assembly)
                if event.event == "error":
                    raise self._failures.of_event(event.data, assembly)
                if event.data:
                    assembly.take(event.data)
                if assembly.is_whole:  # whatever comes of the connection now
                    return assembly.reply(response.headers.get("request-id", ""))
            kind = CallFailure.CUT_OFF if assembly.has_begun else CallFailure.MALFORMED
            raise self._failures.named(kind, "the stream ended before the reply", assembly)

    def _batches(self) -> anthropic.resources.messages.Batches:
        if not isinstance(self._client, anthropic.Anthropic):
            lack = f"{self._settings.platform} has no Message Batches"
            raise self._failures.named(CallFailure.BAD_REQUEST, lack)
        return self._client.messages.batches

    def _of_line(self, line: bytes) -> tuple[str, Reply | ModelError]:
        """Whose result a line is, "" where it does not say, and what became of that prompt."""
        name = ""
        try:
            told: Any = read_json(line)
            name = str(told["custom_id"])
            return name, self._result(told["result"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"not a result of a batch: {error!r}"
            return name, self._failures.named(CallFailure.MALFORMED, said)

    def _result(self, result: dict[str, Any]) -> Reply | ModelError:
        """What became of one prompt of a batch."""
        if result["type"] == "succeeded":
            message = result["message"]
            return reply_of(message, str(message.get("id", "")), {})
        if result["type"] == "errored":
            why = result["error"]["error"]
            return self._failures.named(kind_of_type(str(why["type"])), str(why["message"]))
        return self._failures.named(CallFailure.SERVER, f"the prompt is {result['type']}, unbilled")


def missing_key(settings: ClaudeSettings, environ: Mapping[str, str]) -> str | None:
    """What is missing of the key that ``settings`` need; None if nothing is, or nobody can tell."""
    if settings.platform != "anthropic" or any(environ.get(name) for name in KEYS):
        return None
    return (
        f"The model {settings.model} needs a key, but neither {KEYS[0]} nor {KEYS[1]} is set. "
        f"Put the key into the environment: export {KEYS[0]}=…"
    )


def _end(client: _Client, connections: Connections) -> None:
    connections.cut()
    client.close()


def _secrets(environ: Mapping[str, str]) -> list[str]:
    """What must not be shown, should an answer repeat it."""
    headers = environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    values = [header.partition(":")[2].strip() for header in headers]
    return [
        *(environ.get(name, "") for name in _SECRETS),
        *(value.removeprefix("Bearer ") for value in values),
    ]


def _client(
    settings: ClaudeSettings,
    environ: Mapping[str, str],
    once: anthropic.MiddlewareInput,
    connections: Connections,
) -> _Client:
    """The SDK's client for a platform.

    Raises:
        ClaudeError: There is none for these settings.
    """
    problem = _settings_problem(settings) or missing_key(settings, environ)
    if problem:
        raise ClaudeError(problem)
    common: dict[str, Any] = {
        "base_url": settings.base_url or environ.get(_ADDRESSES[settings.platform]),
        "default_headers": dict(settings.headers),
        "max_retries": settings.retries,
        "middleware": [once],
        "http_client": anthropic.DefaultHttpxClient(event_hooks={"request": [connections.follow]}),
        "timeout": httpx2.Timeout(settings.silence_seconds, connect=settings.connect_seconds),
    }
    try:
        if settings.platform == "bedrock":
            return anthropic.AnthropicBedrockMantle(aws_region=settings.region or None, **common)
        if settings.platform == "vertex":
            return anthropic.AnthropicVertex(
                region=settings.region or anthropic.not_given,
                project_id=settings.project or anthropic.not_given,
                **common,
            )
        key = environ.get(KEYS[0])  # of two keys the SDK takes one alone
        return anthropic.Anthropic(
            api_key=key or None, auth_token=None if key else environ[KEYS[1]], **common
        )
    except (anthropic.AnthropicError, ValueError) as error:
        raise ClaudeError(
            f"The client for {settings.platform!r} could not be made: {one_line(str(error), 400)} "
            "Set region and project in the settings, or in the environment."
        ) from error


def _settings_problem(settings: ClaudeSettings) -> str | None:
    for value, known, what in (
        (settings.platform, tuple(_ADDRESSES), "platform of Anthropic's models"),
        (settings.thinking, tuple(Thinking), "kind of thinking"),
    ):
        if value not in known:
            return f"There is no {what} {str(value)!r}. {did_you_mean(value, known)}"
    planted = planted_key(settings.headers)
    if planted is not None:
        return (
            f"The header {planted!r} of the settings is a key, and settings are stored with the "
            f"run. Put it into {KEYS[0]}, or the whole header into ANTHROPIC_CUSTOM_HEADERS."
        )
    return None
