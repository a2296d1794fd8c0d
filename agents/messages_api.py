"""Requests of the Messages API, made of prompts and settings. Pure; opens no connection.

What may be cached stands first and never changes by a byte: tools, then the standing instructions,
longest-lived first, then the conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from agents.model import Message, Prompt, Tool

Body = dict[str, Any]  # JSON of the protocol

CACHE_POINTS = 4  # that one request may have
_POINT = {"type": "ephemeral"}
NO_ANSWER = "(no answer)"  # a turn without content is not accepted


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
    tools = [_tool(tool, settings.is_strict) for tool in prompt.all_tools]
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
    return {"role": message.role, "content": content or [{"type": "text", "text": NO_ANSWER}]}
