"""Chat completions, made of prompts and read from their chunks. Pure; opens no connection.

OpenAI's protocol, which many servers speak, each a little differently: what only some of them know
is left out of a request, and what only some of them say is not needed of a reply.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from agents.model import MOST_TOKENS, Message, Prompt, Reply, Tool, ToolUse, Usage
from agents.nesting import read_json
from agents.prices import most_input_tokens
from population.records import Json

Body = dict[str, Any]  # JSON of the protocol

#: Hosts whose models take the limit of a reply by its new name alone; others may not know it.
_NEW_NAMES = ("openai.com", "openai.azure.com")
_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """How to reach a server of chat completions, and how long to wait for it. Holds no key.

    Attributes:
        model: As the server names it.
        base_url: Of the server, with its ``/v1``; empty for ``OPENAI_BASE_URL`` or OpenAI's own.
        headers: Sent with every request; secret ones belong in ``OPENAI_CUSTOM_HEADERS``.
        effort: How hard a model that reasons shall think, as the server names it; empty for its
            own way.
        is_strict: Hold the model to the tools' schemas.
        is_forced: Make the model use a tool where an answer has a form; some that reason refuse.
        retries: Repetitions of a request that was not billed.
        patience_seconds: Longest ``retry-after`` that is waited for within a call.
        connect_seconds: Longest wait for a connection.
        silence_seconds: Longest wait for the next piece of a reply.
        reply_seconds: Longest time for a whole reply.
    """

    model: str
    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    effort: str = ""
    is_strict: bool = True
    is_forced: bool = True
    retries: int = 2
    patience_seconds: float = 30.0
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    reply_seconds: float = 900.0


def request_of(prompt: Prompt, settings: OpenAISettings, base_url: str = "") -> Body:
    """The request for ``prompt``.

    Args:
        prompt: What is asked.
        settings: Of the model.
        base_url: Where it goes; empty for OpenAI.

    Raises:
        ValueError: The conversation does not end with the user's turn.
    """
    if not prompt.messages or prompt.messages[-1].role != "user":
        raise ValueError("a conversation ends with the user's turn")
    host = urlsplit(base_url).hostname or _NEW_NAMES[0]
    is_new = any(host == name or host.endswith(f".{name}") for name in _NEW_NAMES)
    request: Body = {
        "model": settings.model,
        "messages": _turns(prompt),
        "max_completion_tokens" if is_new else "max_tokens": prompt.max_output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    tools = [_tool(tool, settings.is_strict) for tool in prompt.all_tools]
    if tools:
        request["tools"] = tools
    if prompt.answer and settings.is_forced:
        one = {"type": "function", "function": {"name": prompt.answer.name}}
        request["tool_choice"] = "required" if prompt.tools else one
    if settings.effort:
        request["reasoning_effort"] = settings.effort
    return request


class ChatAssembly:
    """A reply in the making.

    Strict, so that nothing half-made passes for an answer. Arguments of a tool that are no JSON
    are the model's doing: they are kept as text, and the use counts for none.

    Attributes:
        has_begun: True once the server works on it: it may be billed.
        text: What has been said so far.
        usage: Tokens as the server counts them; None before it has told, which is at the end.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.text = ""
        self._refusal = ""
        self.usage: Usage | None = None
        self._finish = ""
        self._model = ""
        self._uses: dict[int, _HalfUse] = {}

    @property
    def is_whole(self) -> bool:
        """True when the model has said that it is done."""
        return bool(self._finish)

    def take(self, chunk: Json) -> bool:
        """Add one chunk; True if it is the last that matters.

        Raises:
            ValueError: It is not what the protocol allows.
        """
        try:
            return self._take(cast("Body", chunk))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"not a chunk of the protocol: {chunk!r:.200}") from error

    def reply(self, prompt: Prompt, request_id: str) -> Reply:
        """The reply; to be asked for when it is whole.

        A server that does not count is taken to have done all that ``prompt`` allowed.
        """
        uses = [self._uses[place] for place in sorted(self._uses)]
        whole = [use.whole() for use in uses]
        broken = [use.arguments for use, made in zip(uses, whole, strict=True) if made is None]
        reason = "refusal" if self._refusal else _STOP_REASONS.get(self._finish, self._finish)
        return Reply(
            text="\n\n".join(part for part in (self.text, self._refusal, *broken) if part),
            usage=self.usage or Usage(most_input_tokens(prompt), prompt.max_output_tokens),
            stop_reason=reason,
            tool_uses=[use for use in whole if use is not None],
            model=self._model,
            request_id=request_id,
        )

    def _take(self, chunk: Body) -> bool:
        choices = chunk["choices"]
        if not isinstance(choices, list):
            raise TypeError
        self.has_begun = True
        self._model = _text(chunk.get("model")) or self._model
        if chunk.get("usage") is not None:
            self.usage = _usage(chunk["usage"])  # totals, where it comes more than once
        for choice in choices:
            self._add(choice.get("delta") or {})
            self._finish = _text(choice.get("finish_reason")) or self._finish
        # Some count in every chunk: only what comes with the end, or after it, is all of it.
        return self.is_whole and chunk.get("usage") is not None

    def _add(self, delta: Body) -> None:
        self.text += _text(delta.get("content"))
        self._refusal += _text(delta.get("refusal"))
        for number, part in enumerate(delta.get("tool_calls") or ()):
            place = part.get("index", number)
            if not isinstance(place, int):
                raise TypeError
            self._uses.setdefault(place, _HalfUse()).add(part)


@dataclass(slots=True)
class _HalfUse:
    """A use of a tool, as far as it has come."""

    id: str = ""
    name: str = ""
    arguments: str = ""

    def add(self, part: Body) -> None:
        function = part.get("function") or {}
        self.id = _text(part.get("id")) or self.id
        self.name += _text(function.get("name"))
        self.arguments += _text(function.get("arguments"))

    def whole(self) -> ToolUse | None:
        """The use; None where its arguments are no JSON object, or it has no name."""
        try:
            arguments = read_json(self.arguments or "{}")
        except ValueError:
            return None
        if not isinstance(arguments, dict) or not self.name:
            return None
        return ToolUse(self.id or f"call-{self.name}", self.name, arguments)


def _turns(prompt: Prompt) -> list[Body]:
    """The conversation; standing instructions first, as one turn, which is cached as a prefix."""
    system = "\n\n".join(text for text in prompt.system if text.strip())
    turns: list[Body] = [{"role": "system", "content": system}] if system else []
    for message in prompt.messages:
        turns += _assistant(message) if message.role == "assistant" else _user(message)
    return turns


def _assistant(message: Message) -> list[Body]:
    turn: Body = {"role": "assistant", "content": message.text}
    if message.tool_uses:
        turn["tool_calls"] = [_use(use) for use in message.tool_uses]
    elif not message.text.strip():
        turn["content"] = "(no answer)"
    return [turn]


def _user(message: Message) -> list[Body]:
    turns: list[Body] = [
        {
            "role": "tool",
            "tool_call_id": result.id,
            "content": f"{'Error: ' if result.is_error else ''}{result.text or '(nothing)'}",
        }
        for result in message.tool_results
    ]
    if message.text.strip() or not turns:
        turns.append({"role": "user", "content": message.text})
    return turns


def _use(use: ToolUse) -> Body:
    function = {"name": use.name, "arguments": json.dumps(dict(use.arguments))}
    return {"id": use.id, "type": "function", "function": function}


def _tool(tool: Tool, is_strict: bool) -> Body:
    shown: Body = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": {**shown, "strict": True} if is_strict else shown}


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return value


def _usage(usage: Body) -> Usage:
    """Tokens without overlap: what a prompt had in the cache is counted in it, too."""
    details = usage.get("prompt_tokens_details") or {}
    prompt = _count(usage["prompt_tokens"])
    read, written = _count(details.get("cached_tokens")), _count(details.get("cache_write_tokens"))
    # Some servers leave thinking out of the completion, but never out of the total.
    thinking = _count(usage.get("total_tokens")) - prompt - _count(usage["completion_tokens"])
    if read + written > prompt:
        raise ValueError(f"of {prompt} tokens, {read} were read from the cache, {written} written")
    return Usage(
        input_tokens=prompt - read - written,
        output_tokens=_count(usage["completion_tokens"]) + max(0, thinking),
        cached_input_tokens=read,
        cache_write_tokens=written,
    )


def _count(value: object) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"a number of tokens is {value!r:.40}")
    return value


def error_in(chunk: Json) -> Body | None:
    """The error that a server sends in place of a chunk; None if it is none."""
    if not isinstance(chunk, Mapping) or not chunk.get("error"):
        return None
    error = chunk["error"]
    return dict(error) if isinstance(error, Mapping) else {"message": str(error)}
