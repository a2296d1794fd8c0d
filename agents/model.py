"""The language model behind an operator: prompt in, text out, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used. Tokens as the provider counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, whole.

    Attributes:
        text: What the model said.
        usage: What it cost.
        stop_reason: ``end_turn``, ``max_tokens``, ``refusal``, …, as the provider names it.
    """

    text: str
    usage: Usage = Usage()
    stop_reason: str = "end_turn"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: ``role`` is ``user`` or ``assistant``."""

    role: str
    text: str


class Model(Protocol):
    """Anything that answers a conversation. The scripted twin is ``agents.scripted``."""

    def reply(self, *, system: str, messages: Sequence[Message]) -> Reply:
        """Answer ``messages`` under the standing instructions ``system``.

        Raises:
            agents.model.ModelError: The model cannot be reached; what to do next is in the text.
        """
        ...


class ModelError(Exception):
    """No reply could be had: network, limit or account. The search goes on without the model."""
