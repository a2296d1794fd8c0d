"""What the Messages API refuses with a 400, as far as a client of ours could get it wrong."""

import re
from collections.abc import Iterator
from typing import Any

from agents.twin.schemas import schema_problem

Body = dict[str, Any]  # JSON of the protocol

_KEYS = frozenset(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
        "stream",
        "stop_sequences",
        "service_tier",
        "cache_control",
        "inference_geo",
        "speed",
        "anthropic_version",
    ]
)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_CACHE_POINTS = 4
# Models whose thinking cannot be turned off take no forced tool use either.
_THINKS_ALWAYS = re.compile(r"(?:anthropic\.)?claude-(?:(?:fable|mythos)-|(?:opus|sonnet)-5-5)")


def thinks(body: Body) -> bool:
    """True if the reply to a request begins with thinking."""
    if _THINKS_ALWAYS.match(body["model"]):
        return True
    return (body.get("thinking") or {}).get("type") == "adaptive"


def request_problem(body: object) -> str | None:
    """Why the API would refuse ``body``; None if it would not."""
    if not isinstance(body, dict):
        return "the body is no JSON object"
    try:
        return next(_problems(body), None)
    except (KeyError, TypeError, AttributeError) as error:
        return f"the body has not the form of a request: {error!r}"


def _problems(body: Body) -> Iterator[str]:
    for key in sorted(set(body) - _KEYS):
        yield f"{key}: Extra inputs are not permitted"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: a name is needed"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens: a positive number is needed"
    yield from _tool_problems(body)
    yield from _thinking_problems(body)
    yield from _turn_problems(body.get("messages", []))
    blocks = [*body.get("tools", []), *_texts(body.get("system", []))]
    for turn in body["messages"]:
        blocks += _texts(turn["content"])
    points = sum(1 for block in blocks if block.get("cache_control"))
    if points > _CACHE_POINTS:
        yield f"at most {_CACHE_POINTS} blocks may have cache_control, found {points}"
    for block in blocks:
        if block.get("type") == "text" and not block["text"].strip():
            yield "text content blocks must contain non-whitespace text"


def _tool_problems(body: Body) -> Iterator[str]:
    names = [tool["name"] for tool in body.get("tools", [])]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    for tool in body.get("tools", []):
        if not _NAME.fullmatch(tool["name"]):
            yield f"tools.{tool['name']}: not a name of a tool"
        if tool["input_schema"].get("type") != "object":
            yield f"tools.{tool['name']}.input_schema.type: must be object"
        problem = schema_problem(tool["input_schema"]) if tool.get("strict") else None
        if problem:
            yield f"tools.{tool['name']}.{problem}"
    choice = body.get("tool_choice")
    if choice is not None:
        if not names:
            yield "tool_choice may only be specified while providing tools"
        if choice["type"] == "tool" and choice["name"] not in names:
            yield f"tool_choice: there is no tool {choice['name']!r}"


def _thinking_problems(body: Body) -> Iterator[str]:
    thinking = (body.get("thinking") or {}).get("type", "")
    is_forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if _THINKS_ALWAYS.match(body["model"]):
        if thinking in ("disabled", "enabled"):
            yield f'"thinking.type.{thinking}" is not supported for this model.'
        if is_forced:
            yield "tool_choice: forced tool use is not supported for this model."
    elif is_forced and thinking in ("adaptive", "enabled"):
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _turn_problems(turns: list[Body]) -> Iterator[str]:
    if not turns or turns[0]["role"] != "user":
        yield "messages: the first message must use the user role"
        return
    if turns[-1]["role"] != "user":
        yield "messages: this model does not support prefill; the last turn must be the user's"
    asked: list[str] = []
    for i, turn in enumerate(turns):
        content = _texts(turn["content"])
        if not content:
            yield f"messages.{i}: all messages must have non-empty content"
        given = [b["tool_use_id"] for b in content if b["type"] == "tool_result"]
        if sorted(given) != sorted(asked):
            yield (
                f"messages.{i}: each tool_use block must have a tool_result in the next message: "
                f"needed {asked}, found {given}"
            )
        if any(b["type"] != "tool_result" for b in content[: len(given)]):
            yield f"messages.{i}: tool_result blocks must come first"
        asked = [b["id"] for b in content if b["type"] == "tool_use"]
        if turn["role"] == "assistant" and content and content[-1]["type"] == "thinking":
            yield f"messages.{i}: the final block in an assistant message cannot be thinking"


def _texts(content: str | list[Body]) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
