"""Conversations: a question, looks on the way, one chance to correct an answer, then a refusal.

``converse`` knows nothing of what is asked for: what an answer must be is the business of its
reader. ``agents.asking`` holds the conversation for an offspring.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from agents.model import Message, Model, ModelError, Prompt, Reply, Tool, ToolResult, ToolUse
from agents.prompts import filled
from agents.replacements import Refused
from population import fenced, one_line
from population.records import Json

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PROBLEM_CHARACTERS = 4_000
_REASON_CHARACTERS = 1_000
_LAST_LOOK = "That was the last look: answer now."
_NO_LOOKS = "no looks left: answer now"


@dataclass(frozen=True, slots=True)
class Look:
    """A tool that a model may use before it answers.

    Attributes:
        tool: As the model is told of it.
        use: What it gives for arguments of any shape: a text, bounded, what it quotes fenced.
    """

    tool: Tool
    use: Callable[[Mapping[str, Json]], str]


@dataclass(frozen=True, slots=True)
class Answered(Generic[T_co]):
    """What came of a conversation.

    Attributes:
        result: What was read of the answer, or why there is none, in one line.
        turns: All of it; the last one is the reply that was read, unless none could be had.
        calls: Rows of its calls that gave a reply, in order.
        cost_usd: Dollars of those.
        looks: How many looks were taken.
    """

    result: T_co | Refused
    turns: tuple[Message, ...] = ()
    calls: tuple[int, ...] = ()
    cost_usd: float = 0.0
    looks: int = 0

    def followed_by(self, text: str) -> tuple[Message, ...]:
        """The conversation with a further turn of ours, so that it can go on."""
        results = [ToolResult(use.id, "taken in") for use in self.turns[-1].tool_uses]
        return (*self.turns, Message("user", text, tool_results=results))


def converse(
    model: Model,
    prompt: Prompt,
    read: Callable[[Reply], T | Refused],
    *,
    tools: Sequence[Look] = (),
    call_limit: int = 0,
) -> Answered[T]:
    """Ask ``prompt``; on a reply that cannot be used, tell its author why, once.

    The tools stay the same to the byte from the first call to the last, also when no look is left,
    so that a provider reads all that was said before from its cache.

    Args:
        model: Asked. That no reply can be had, or that it declines, is an answer: ``Refused``.
        prompt: The question; ``tools`` come before its own.
        read: Makes something of a reply that is no look, or says why not.
        tools: Looks that the model may take before it answers.
        call_limit: How many, all together.
    """
    talk: _Talk[T] = _Talk(model, prompt, tools, call_limit)
    problem = ""
    while True:
        reply = talk.reply()
        if isinstance(reply, Refused):
            return talk.ended(reply)
        if reply.stop_reason == "refusal":
            return talk.ended(Refused("the model declined to answer"))
        wants_look = talk.wants_look(reply)
        if wants_look and talk.looks_left:
            talk.look(reply)
            continue
        result = Refused(_NO_LOOKS) if wants_look else read(reply)
        if not isinstance(result, Refused):
            return talk.ended(result)
        cut = "the reply was cut off at its limit; " if reply.stop_reason == "max_tokens" else ""
        is_second, problem = bool(problem), f"{cut}{result.reason}"
        if is_second:
            shown = one_line(problem, _REASON_CHARACTERS)
            return talk.ended(Refused(f"twice no usable reply: {shown}"))
        talk.correct(reply, problem)


class _Talk(Generic[T]):
    """A conversation under way: its turns, and what it has taken so far."""

    def __init__(
        self, model: Model, prompt: Prompt, tools: Sequence[Look], call_limit: int
    ) -> None:
        self._model = model
        offered = (*(look.tool for look in tools), *prompt.tools)
        self._prompt = dataclasses.replace(prompt, tools=offered)
        self._looks = {look.tool.name: look for look in tools}
        self._turns = list(prompt.messages)
        self._calls: list[int] = []
        self._cost_usd = 0.0
        self._taken = 0
        self._limit = call_limit

    @property
    def looks_left(self) -> int:
        return self._limit - self._taken

    def reply(self) -> Reply | Refused:
        """Ask, and keep what comes back as a turn."""
        try:
            reply = self._model.reply(
                dataclasses.replace(self._prompt, messages=tuple(self._turns))
            )
        except ModelError as error:
            return Refused(f"no reply: {one_line(str(error))}")
        self._turns.append(reply.message())
        self._cost_usd += reply.cost_usd
        if reply.call is not None:
            self._calls.append(reply.call)
        return reply

    def wants_look(self, reply: Reply) -> bool:
        """True if the reply is no answer, but a wish to look at something first."""
        is_answer = reply.use_of(self._prompt.answer) is not None
        return not is_answer and any(use.name in self._looks for use in reply.tool_uses)

    def look(self, reply: Reply) -> None:
        """Give every use of a tool its result."""
        results = [self._looked(use) for use in reply.tool_uses]
        self._turns.append(Message("user", tool_results=results))

    def _looked(self, use: ToolUse) -> ToolResult:
        look = self._looks.get(use.name)
        if look is None:
            return ToolResult(use.id, _no_tool(self._prompt), is_error=True)
        if not self.looks_left:
            return ToolResult(use.id, _NO_LOOKS, is_error=True)
        self._taken += 1
        found = look.use(use.arguments)
        return ToolResult(use.id, found if self.looks_left else f"{found}\n\n{_LAST_LOOK}")

    def correct(self, reply: Reply, problem: str) -> None:
        """Say why the reply could not be used; every use in it gets a result, as it must."""
        results = [
            ToolResult(use.id, self._left_undone(use), is_error=True) for use in reply.tool_uses
        ]
        text = filled("correct", problem=fenced(problem, limit=_PROBLEM_CHARACTERS))
        self._turns.append(Message("user", text, tool_results=results))

    def _left_undone(self, use: ToolUse) -> str:
        if self._prompt.answer is not None and use.name == self._prompt.answer.name:
            return "not accepted; the reason follows"
        if use.name in self._looks:
            return _NO_LOOKS if not self.looks_left else "not done: an answer came with it"
        return _no_tool(self._prompt)

    def ended(self, result: T | Refused) -> Answered[T]:
        return Answered(result, tuple(self._turns), tuple(self._calls), self._cost_usd, self._taken)


def _no_tool(prompt: Prompt) -> str:
    names = ", ".join(tool.name for tool in prompt.all_tools)
    return f"not available here; there is {names or 'no tool'}"
