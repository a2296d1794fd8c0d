"""What an author said, as a message of the protocol: whole, or as a stream of events."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.twin.cache import count_tokens, shown
from agents.twin.checks import thinks
from agents.twin.schemas import value_problem

Body = dict[str, Any]  # JSON of the protocol

#: A request -> its answer: text, or content blocks (``text``; ``tool_use`` with name and input).
AuthorFunction = Callable[[Mapping[str, Any]], str | Sequence[Mapping[str, Any]]]

_PIECE = 40  # characters of one event
_SECRET = b"the twin's own; it proves that thinking came back as it went"


@dataclass(frozen=True, slots=True)
class Written:
    """Content of a reply, cut to what was asked for.

    Attributes:
        content: Blocks; of one that was cut off ``cut`` holds the input's JSON as far as it goes.
        tokens: Of all of it, never more than asked for.
        stop_reason: Why it ends.
        cut: JSON of the last tool use's input, if that is not whole.
    """

    content: list[Body]
    tokens: int
    stop_reason: str
    cut: str | None = None


def written(said: str | Sequence[Mapping[str, Any]], request: Body, request_id: str) -> Written:
    """What the author ``said`` as content.

    Raises:
        ValueError: It uses a tool that is not there, or not as its strict schema wants.
    """
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else [dict(b) for b in said]
    content = [*_thinking(request), *blocks]
    tools = {tool["name"]: tool for tool in request.get("tools", [])}
    for number, block in enumerate(content):
        if block["type"] == "tool_use":
            block.setdefault("id", f"toolu_{request_id}_{number}")
            tool = tools.get(block["name"])
            if tool is None:
                raise ValueError(f"the author uses {block['name']!r}; there are {sorted(tools)}")
            problem = value_problem(block["input"], tool["input_schema"])
            if problem and tool.get("strict"):
                raise ValueError(f"the author uses {block['name']} wrongly: {problem}")
    is_use = any(block["type"] == "tool_use" for block in content)
    return _cut(content, request["max_tokens"], "tool_use" if is_use else "end_turn")


def refused() -> Written:
    """A reply that declines."""
    return Written([], 1, "refusal")


def thinking_problem(request: Body) -> str | None:
    """Why the thinking in a conversation is not what the twin wrote there; None if it is."""
    for i, turn in enumerate(request["messages"]):
        if turn["role"] != "assistant" or isinstance(turn["content"], str):
            continue
        for block in turn["content"]:
            if block["type"] == "thinking" and block["signature"] != _signature(request, i):
                return f"messages.{i}: Invalid `signature` in `thinking` block"
    return None


def message(reply: Written, request: Body, request_id: str, usage: Body) -> Body:
    """The message as one JSON object."""
    return {
        "id": f"msg_{request_id}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": reply.content,
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def events(reply: Written, whole: Body) -> Iterator[tuple[str, Body]]:
    """The same message as the events of a stream: name and data."""
    usage = whole["usage"]
    head = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": head}
    yield "ping", {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        start, deltas = _opened(block, reply.cut if block is reply.content[-1] else None)
        yield (
            "content_block_start",
            {"type": "content_block_start", "index": index, "content_block": start},
        )
        for delta in deltas:
            yield (
                "content_block_delta",
                {"type": "content_block_delta", "index": index, "delta": delta},
            )
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": delta, "usage": usage}
    yield "message_stop", {"type": "message_stop"}


def _thinking(request: Body) -> list[Body]:
    """A block of thinking, if the model thinks; what was thought is not shown."""
    if not thinks(request):
        return []
    signature = _signature(request, len(request["messages"]))
    return [{"type": "thinking", "thinking": "", "signature": signature}]


def _signature(request: Body, turn: int) -> str:
    """Ties thinking to the model and to the conversation before it."""
    before = [
        [turn["role"], [_bare(block) for block in _blocks(turn["content"])]]
        for turn in request["messages"][:turn]
    ]
    return hmac.new(_SECRET, shown([request["model"], before]), hashlib.sha256).hexdigest()


def _blocks(content: str | list[Body]) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _bare(block: Body) -> Body:
    return {key: value for key, value in block.items() if key != "cache_control"}


def _cut(content: list[Body], limit: int, stop_reason: str) -> Written:
    """``content`` up to ``limit`` tokens."""
    used = 0
    for number, block in enumerate(content):
        size = count_tokens(shown(block))
        if used + size <= limit:
            used += size
            continue
        kept, cut = content[:number], None
        share = (limit - used) / size
        if block["type"] == "text":
            kept.append({"type": "text", "text": block["text"][: int(len(block["text"]) * share)]})
        elif block["type"] == "tool_use":
            text = json.dumps(block["input"])
            cut = text[: int(len(text) * share)]
            kept.append({**block, "input": {}})
        return Written(kept, limit, "max_tokens", cut)
    return Written(content, max(1, used), stop_reason)


def _opened(block: Body, cut: str | None) -> tuple[Body, list[Body]]:
    """How a block begins in a stream, and the pieces that follow."""
    if block["type"] == "text":
        pieces = _pieces(block["text"])
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in pieces]
    if block["type"] == "thinking":
        signed = {"type": "signature_delta", "signature": block["signature"]}
        thought = [{"type": "thinking_delta", "thinking": p} for p in _pieces(block["thinking"])]
        return {"type": "thinking", "thinking": "", "signature": ""}, [*thought, signed]
    text = json.dumps(block["input"]) if cut is None else cut
    given = [{"type": "input_json_delta", "partial_json": p} for p in ["", *_pieces(text)]]
    return {**block, "input": {}}, given


def _pieces(text: str) -> list[str]:
    return [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
