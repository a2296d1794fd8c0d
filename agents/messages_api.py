"""The Messages API in values: a prompt as a request, events as a reply. Pure; opens no connection.

What may be cached stands first and never changes by a byte: tools, then the standing instructions,
longest-lived first, then the conversation. Replies are put together here, strictly: an event that
the protocol does not allow is a ``ValueError``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from agents.model import Message, Prompt, Reply, Tool, ToolUse, Usage
from population.records import Json

Body = dict[str, Any]  # JSON of the protocol

CACHE_POINTS = 4  # that one request may have
_POINT = {"type": "ephemeral"}
_NO_ANSWER = "(no answer)"  # a turn without content is not accepted


class Thinking(StrEnum):
    """What a request says of thinking; not every model takes each."""

    DEFAULT = "default"  # nothing: the model's own way
    ADAPTIVE = "adaptive"
    BETWEEN_TOOLS = "between_tools"
    DISABLED = "disabled"  # and the answer's tool is forced, which thinking models refuse


@dataclass(frozen=True, slots=True)
class ClaudeSettings:
    """How to reach a model of Anthropic's, and how long to wait for it. Holds no key.

    Attributes:
        model: As the platform names it.
        platform: ``anthropic``, ``bedrock`` or ``vertex``.
        base_url: Of a proxy or a local server; empty for ``ANTHROPIC_BASE_URL`` or the platform's.
        headers: Sent with every request; secret ones belong in ``ANTHROPIC_CUSTOM_HEADERS``.
        region: Of ``bedrock`` and ``vertex``; empty for what their environment says.
        project: Of ``vertex``; likewise.
        thinking: See ``Thinking``.
        effort: ``low``, ``medium``, ``high``, ``xhigh`` or ``max``; empty for the model's own.
        is_strict: Hold the model to the tools' schemas.
        retries: Repetitions of a request that was not billed.
        patience_seconds: Longest ``retry-after`` that is waited for within a call.
        connect_seconds: Longest wait for a connection.
        silence_seconds: Longest wait for the next piece of a reply.
        reply_seconds: Longest time for a whole reply.
    """

    model: str = "claude-opus-5-5"
    platform: str = "anthropic"
    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    project: str = ""
    thinking: Thinking | str = Thinking.DEFAULT
    effort: str = ""
    is_strict: bool = True
    retries: int = 2
    patience_seconds: float = 30.0
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    reply_seconds: float = 900.0


def request_of(prompt: Prompt, settings: ClaudeSettings) -> Body:
    """The request for ``prompt``.

    Raises:
        ValueError: The conversation does not end with the user's turn.
    """
    if not prompt.messages or prompt.messages[-1].role != "user":
        raise ValueError("a conversation ends with the user's turn")
    tools = [_tool(tool, settings.is_strict) for tool in _all_tools(prompt)]
    system: list[Body] = [{"type": "text", "text": text} for text in prompt.system if text.strip()]
    messages = [_turn(message) for message in prompt.messages]
    for block in system[1 - CACHE_POINTS :] or tools[-1:]:
        block["cache_control"] = _POINT
    if prompt.tools:  # a conversation that will go on: its next turn reads this one
        messages[-1]["content"][-1]["cache_control"] = _POINT
    request: Body = {
        "model": settings.model,
        "max_tokens": prompt.max_output_tokens,
        "messages": messages,
    }
    if system:
        request["system"] = system
    if tools:
        request["tools"] = tools
    if settings.thinking != Thinking.DEFAULT:
        request["thinking"] = {"type": str(settings.thinking)}
    if settings.effort:
        request["output_config"] = {"effort": settings.effort}
    if prompt.answer and settings.thinking == Thinking.DISABLED:
        one = {"type": "tool", "name": prompt.answer.name}
        request["tool_choice"] = {"type": "any"} if prompt.tools else one
    return request


class Assembly:
    """A reply in the making.

    Attributes:
        has_begun: True once the provider has said that it works on it: it may be billed.
        usage: Tokens as billed; None before the provider has told, which it does at the end.
        is_whole: True when the last event has come.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.usage: Usage | None = None
        self.is_whole = False
        self._message: Body = {"content": []}
        self._inputs: dict[int, str] = {}

    @property
    def text(self) -> str:
        """What has been said so far."""
        return _text(self._message["content"])

    def take(self, data: str) -> None:
        """Add one event.

        Raises:
            ValueError: It is not what the protocol allows here.
        """
        event = json.loads(data)
        try:
            self._take(event)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"not an event of the protocol: {data:.200}") from error

    def reply(self, request_id: str) -> Reply:
        """The reply; to be asked for when it is whole.

        Raises:
            ValueError: It is not a message.
        """
        inputs = {i: _input(text) for i, text in self._inputs.items()}
        return reply_of(self._message, request_id, inputs)

    def _take(self, event: Body) -> None:
        match event["type"]:
            case "message_start":
                if self.has_begun:
                    raise ValueError("a message begins within a message")
                self.has_begun = True
                self._message = {**event["message"], "content": []}
                _usage(self._message["usage"])
            case "content_block_start":
                content = self._message["content"]
                if event["index"] != len(content):
                    raise ValueError(f"block {event['index']} comes after {len(content)} blocks")
                content.append(dict(event["content_block"]))
                if event["content_block"]["type"] == "tool_use":
                    self._inputs[event["index"]] = ""
            case "content_block_delta":
                self._add(event["index"], event["delta"])
            case "message_delta":
                self._message["stop_reason"] = event["delta"]["stop_reason"]
                known = self._message["usage"] | {k: v for k, v in event["usage"].items() if v}
                self._message["usage"] = known
                self.usage = _usage(known)
            case "message_stop":
                self.is_whole = True

    def _add(self, index: int, delta: Body) -> None:
        block = self._message["content"][index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self._inputs[index] += delta["partial_json"]


def reply_of(message: Body, request_id: str, inputs: Mapping[int, Body | None]) -> Reply:
    """A message as a reply.

    Args:
        message: JSON of the protocol.
        request_id: The provider's name for the call.
        inputs: What streamed tool uses were given, by place; None for one that was cut off.

    Raises:
        ValueError: It is not a message, or a tool use was cut off in a reply that was not.
    """
    try:
        blocks = [
            {**block, "input": inputs.get(i, block["input"])} if _is_use(block) else block
            for i, block in enumerate(message["content"])
        ]
        stop_reason = message["stop_reason"]
        uses = [block for block in blocks if _is_use(block)]
        whole = [block for block in uses if isinstance(block["input"], dict)]
        if len(whole) < len(uses) and stop_reason == "tool_use":
            raise ValueError("the input of a tool use is not whole")
        if not isinstance(stop_reason, str):
            raise ValueError(f"the reply says no reason for its end, but {stop_reason!r}")
        return Reply(
            text=_text(blocks),
            usage=_usage(message["usage"]),
            stop_reason=stop_reason,
            tool_uses=[ToolUse(use["id"], use["name"], use["input"]) for use in whole],
            native=_turn_back(blocks),
            model=message["model"],
            request_id=request_id,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message of the protocol: {error!r}") from error


# --- requests ------------------------------------------------------------------------------------


def _all_tools(prompt: Prompt) -> list[Tool]:
    return [*prompt.tools, *([prompt.answer] if prompt.answer else [])]


def _tool(tool: Tool, is_strict: bool) -> Body:
    shown: Body = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": dict(tool.parameters),
    }
    return {**shown, "strict": True} if is_strict else shown


def _turn(message: Message) -> Body:
    """A turn, always as a list of blocks that belong to this request alone."""
    if isinstance(message.native, Sequence) and not isinstance(message.native, str):
        native = cast("Sequence[Body]", message.native)
        return {"role": message.role, "content": [dict(block) for block in native]}
    content: list[Body] = [
        {
            "type": "tool_result",
            "tool_use_id": result.id,
            "content": result.text or "(nothing)",
            **({"is_error": True} if result.is_error else {}),
        }
        for result in message.tool_results
    ]
    if message.text.strip():
        content.append({"type": "text", "text": message.text})
    content += [
        {"type": "tool_use", "id": use.id, "name": use.name, "input": dict(use.arguments)}
        for use in message.tool_uses
    ]
    return {"role": message.role, "content": content or [{"type": "text", "text": _NO_ANSWER}]}


# --- replies -------------------------------------------------------------------------------------


def _is_use(block: Body) -> bool:
    return bool(block["type"] == "tool_use")


def _text(blocks: Sequence[Body]) -> str:
    return "\n\n".join(block["text"] for block in blocks if block["type"] == "text")


def _input(text: str) -> Body | None:
    """The input of a streamed tool use; None if it is not whole."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _turn_back(blocks: Sequence[Body]) -> Json:
    """The blocks that may be handed back as a turn of the conversation."""
    kept = [
        block
        for block in blocks
        if not (_is_use(block) and not isinstance(block["input"], dict))
        and not (block["type"] == "text" and not block["text"].strip())
    ]
    if all(block["type"] in ("thinking", "redacted_thinking") for block in kept):
        kept.append({"type": "text", "text": _NO_ANSWER})
    return kept


def _usage(usage: Body) -> Usage:
    return Usage(
        input_tokens=_count(usage["input_tokens"]),
        output_tokens=_count(usage["output_tokens"]),
        cached_input_tokens=_count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=_count(usage.get("cache_creation_input_tokens")),
    )


def _count(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"a number of tokens is {value!r}")
    return value
