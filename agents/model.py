"""The language model behind an operator: a prompt in, a reply out, or the class of a failure.

Providers differ; what an operator says and hears is the same. ``agents.claude``, ``agents.openai``
and ``agents.command`` speak to the outside, ``agents.scripted`` is the twin without money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from population.records import Json

#: More than any call has; a provider that counts more has not counted.
MOST_TOKENS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider counts them; the four kinds do not overlap.

    Attributes:
        input_tokens: Read at the full price.
        output_tokens: Written, thinking included.
        cached_input_tokens: Read from the provider's cache.
        cache_write_tokens: Read and written to the provider's cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """Something a model may use instead of answering, or the form of its answer.

    Attributes:
        name: As the model calls it: letters, digits and ``_``.
        description: For the model.
        parameters: JSON Schema of an object, strict: every property required, none beside them.
    """

    name: str
    description: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model's use of a tool; ``id`` ties its result to it."""

    id: str
    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a use of a tool gave."""

    id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: ``user`` or ``assistant``.
        text: What was said.
        tool_uses: Of an assistant's turn.
        tool_results: Of a user's turn: one for each use in the turn before.
        native: An assistant's turn in the provider's own form, handed back as it came (thinking
            must return unchanged); None to build it from the rest.
    """

    role: str
    text: str = ""
    tool_uses: Sequence[ToolUse] = ()
    tool_results: Sequence[ToolResult] = ()
    native: Json = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model is given.

    Attributes:
        role: Who asks, e.g. ``mutator``: chooses the model and is what spending is counted by.
        system: Standing instructions in blocks, the longest-lived first. The end of each is a
            point up to which a provider may cache.
        messages: The conversation; the last turn is the user's.
        tools: What the model may use on its way.
        answer: The form of the final answer: a tool that the model has to call; None for text. It
            may stand among ``tools``, where a conversation has several forms of answer in turn.
        max_output_tokens: Where a reply is cut off.
        template: Hash of the prompt files it was made of (``agents.prompts.template_hash``).
        files: Texts by path of the genome that the answer changes, for a model that edits files;
            they stand in the conversation, too. Empty where the answer is no genome.
    """

    role: str
    system: Sequence[str]
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    answer: Tool | None = None
    max_output_tokens: int = 8_192
    template: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_tools(self) -> list[Tool]:
        """Every tool that is offered, the answer's once, in an order that never changes."""
        if self.answer is None or any(tool.name == self.answer.name for tool in self.tools):
            return list(self.tools)
        return [*self.tools, self.answer]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, whole.

    Attributes:
        text: What the model said.
        usage: Tokens.
        stop_reason: ``end_turn``, ``tool_use``, ``max_tokens``, ``refusal``, …, as the provider
            names it.
        tool_uses: Tools it wants used, the answer's among them.
        native: The turn in the provider's own form, for ``Message.native``.
        model: Which model answered.
        request_id: The provider's name for the call.
        cost_usd: Dollars; 0 until ``agents.spend`` has priced it.
        call: Number of the call's row; None if it was not stored.
    """

    text: str
    usage: Usage = Usage()
    stop_reason: str = "end_turn"
    tool_uses: Sequence[ToolUse] = ()
    native: Json = None
    model: str = ""
    request_id: str = ""
    cost_usd: float = 0.0
    call: int | None = None

    def message(self) -> Message:
        """The reply as a turn of the conversation."""
        return Message("assistant", self.text, tool_uses=self.tool_uses, native=self.native)

    def use_of(self, tool: Tool | None) -> ToolUse | None:
        """The first use of ``tool``; None if there is none."""
        return next((use for use in self.tool_uses if tool and use.name == tool.name), None)


class Model(Protocol):
    """Anything that answers a prompt; safe to ask from several threads at once."""

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        ...

    def reply(self, prompt: Prompt) -> Reply:
        """Answer.

        A refusal, a truncated and an empty reply are replies: their ``stop_reason`` says so.

        Raises:
            ModelError: No reply could be had.
        """
        ...


class CallFailure(StrEnum):
    """Why a call gave no reply. The search goes on without it."""

    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 529
    SERVER = "server"  # another 5xx
    UNREACHABLE = "unreachable"  # no connection
    TIMED_OUT = "timed_out"
    CUT_OFF = "cut_off"  # the connection ended within the reply
    MALFORMED = "malformed"  # not what the provider's protocol allows
    BAD_REQUEST = "bad_request"  # 400, 404, 413, 422: asking again the same way is useless
    UNAUTHORISED = "unauthorised"  # 401, 403: no key, a wrong one, or no permission
    OUT_OF_MONEY = "out_of_money"  # the run's own limit; nothing was sent
    RESTING = "resting"  # the circuit breaker is open; nothing was sent
    UNDER_WAY = "under_way"  # with a batch that has not ended: nothing is lost, ask for it later
    ABANDONED = "abandoned"  # the asking process died before it kept the reply

    @property
    def was_sent(self) -> bool:
        """False if the provider has never seen the call."""
        return self not in (CallFailure.OUT_OF_MONEY, CallFailure.RESTING)

    @property
    def may_be_billed(self) -> bool:
        """True if the provider may have done the work: it is charged at its worst case."""
        return self in (
            CallFailure.TIMED_OUT,
            CallFailure.CUT_OFF,
            CallFailure.MALFORMED,
            CallFailure.ABANDONED,
        )


class ModelError(Exception):
    """No reply could be had; what was found, what is needed and what to do next is in the text.

    Args:
        message: For people.
        kind: The class of the failure.
        retry_after: Seconds after which the provider asks to try again; None if unsaid.
        usage: Tokens that are known to have been used; None if unknown.
        text: What had arrived of the reply.
    """

    def __init__(
        self,
        message: str,
        kind: CallFailure = CallFailure.SERVER,
        *,
        retry_after: float | None = None,
        usage: Usage | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.usage = usage
        self.text = text
