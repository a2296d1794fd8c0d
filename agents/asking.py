"""Asking for an offspring: the prompt that operators share, and the proposal that comes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.answers import Draft
from agents.briefing import TOKENS
from agents.conversation import Answered, Look, converse
from agents.forms import SUBMIT_VARIANT
from agents.model import Message, Model, Prompt, Reply
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal
from agents.prompts import standing, standing_names, template_hash
from agents.replacements import Refused
from agents.toolbox import Desk, looks
from population import Origin

_FORM = "answering"


@dataclass(frozen=True, slots=True)
class Asking:
    """How operators ask their model.

    Attributes:
        context_tokens: Room for what the run knows, beside the genome.
        max_output_tokens: Where a reply is cut off.
        tool_calls: Looks that a model may take before it answers; 0 offers none.
        is_two_step: Ideas first, and code for one of them after.
        desk: What those looks can find out.
    """

    context_tokens: int = TOKENS
    max_output_tokens: int = 8_192
    tool_calls: int = 0
    is_two_step: bool = False
    desk: Desk = field(default_factory=Desk)


@dataclass(frozen=True, slots=True)
class Question:
    """What an operator asks for.

    Attributes:
        operator: Who asks.
        origin: What the offspring will be.
        prompt: All that the model is given.
        read: Makes a draft of a reply, or says why not.
        suggestions: Ids of the people's ideas that were shown.
        trailers: Facts for the commit message.
    """

    operator: str
    origin: Origin
    prompt: Prompt
    read: Callable[[Reply], Draft | Refused]
    suggestions: Sequence[str] = ()
    trailers: Mapping[str, str] = field(default_factory=dict)


def genome_prompt(
    operator: str, text: str, context: Context, asking: Asking, *, templates: Sequence[str]
) -> Prompt:
    """The prompt of an operator that changes the first parent of ``context``.

    Args:
        operator: Its name, and the name of the file that tells its role.
        text: The question.
        context: Of the proposal.
        asking: Limits.
        templates: Names of the prompt files that ``text`` was made of.
    """
    names = (*standing_names(operator, context, _FORM), *templates, "correct")
    return Prompt(
        role=operator,
        system=standing(operator, context, _FORM),
        messages=(Message("user", text),),
        answer=SUBMIT_VARIANT,
        max_output_tokens=asking.max_output_tokens,
        template=template_hash(*names),
        files=context.parents[0].genome.files,
    )


def ask(
    model: Model,
    question: Question,
    context: Context,
    asking: Asking,
    *,
    before: Answered[object] | None = None,
) -> Proposal | Refusal:
    """Put ``question``; a draft that breaks a rule is corrected once, as any unusable reply is.

    Args:
        model: Asked.
        question: What for.
        context: Of the proposal.
        asking: Limits.
        before: The conversation that the question goes on with; its looks count.
    """
    before = before or Answered(Refused("nothing was asked"))

    def read(reply: Reply) -> Draft | Refused:
        draft = question.read(reply)
        if isinstance(draft, Refused):
            return draft
        problem = offspring_problem(draft.genome, context)
        return draft if problem is None else Refused(problem)

    answered = converse(
        model,
        question.prompt,
        read,
        tools=offered(context, asking),
        call_limit=asking.tool_calls - before.looks,
    )
    calls = (*before.calls, *answered.calls)
    draft = answered.result
    if isinstance(draft, Refused):
        return Refusal(question.operator, draft.reason, calls)
    return Proposal(
        genome=draft.genome,
        parents=tuple(parent.variant.sha for parent in context.parents),
        origin=question.origin,
        operator=question.operator,
        hypothesis=draft.hypothesis,
        expected_gain=draft.expected_gain,
        trailers=question.trailers,
        cost_usd=before.cost_usd + answered.cost_usd,
        calls=calls,
        suggestion=draft.suggestion if draft.suggestion in question.suggestions else None,
    )


def offered(context: Context, asking: Asking) -> list[Look]:
    """The looks that a model is offered."""
    return looks(context, asking.desk) if asking.tool_calls else []
