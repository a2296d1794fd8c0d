"""Replies of the Messages API, put together from their events, or read whole. Pure.

Strict, so that nothing half-made passes for an answer: an event or a message that the protocol does
not allow is a ``ValueError``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agents.messages_api import NO_ANSWER
from agents.model import MOST_TOKENS, Reply, ToolUse, Usage
from agents.nesting import is_deep, read_json
from population.records import Json

Body = dict[str, Any]  # JSON of the protocol

_TEXTS = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("id", "name")}


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
        event = read_json(data)
        try:
            self._take(cast("Body", event))
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
                content.append(_checked(event["content_block"]))
                if _is_use(event["content_block"]):
                    self._inputs[event["index"]] = ""
            case "content_block_delta":
                self._add(event["index"], event["delta"])
            case "message_delta":
                self._message["stop_reason"] = event["delta"]["stop_reason"]
                told = {k: v for k, v in event["usage"].items() if v is not None}
                self._message["usage"] |= told  # totals, not additions
                self.usage = _usage(self._message["usage"])
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
                block["signature"] = delta["signature"] + ""  # a text, or a TypeError
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
            for i, block in enumerate(map(_checked, message["content"]))
        ]
        stop_reason = message["stop_reason"]
        uses = [block for block in blocks if _is_use(block)]
        if is_deep(message["content"]):
            raise ValueError("a block of the message is nested without end")
        whole = [block for block in uses if isinstance(block["input"], dict)]
        if len(whole) < len(uses) and stop_reason == "tool_use":
            raise ValueError("the input of a tool use is not whole")
        if not (isinstance(stop_reason, str) and isinstance(message["model"], str)):
            raise ValueError(f"the reply ends for {stop_reason!r}, of {message['model']!r}")
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


def _checked(block: Body) -> Body:
    """A copy of a block whose texts are texts.

    Raises:
        ValueError: One is not, or is not there.
    """
    for name in _TEXTS.get(block["type"], ()):
        if not isinstance(block.get(name), str):
            raise ValueError(f"a block {block['type']!r} has {block.get(name)!r:.80} for {name}")
    return dict(block)


def _is_use(block: Body) -> bool:
    return bool(block["type"] == "tool_use")


def _text(blocks: Sequence[Body]) -> str:
    return "\n\n".join(block["text"] for block in blocks if block["type"] == "text")


def _input(text: str) -> Body | None:
    """The input of a streamed tool use; None if it is not whole."""
    try:
        value = read_json(text or "{}")
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
        kept.append({"type": "text", "text": NO_ANSWER})
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
    if not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"a number of tokens is {value!r:.40}")
    return value
