"""Asking a model for an offspring: one question, one chance to correct it, then a refusal."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.model import Message, Model, ModelError, Prompt
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled
from agents.replacements import Refused
from population import Genome, Origin, fenced, one_line

_HYPOTHESIS = re.compile(r"^\W*HYPOTHESIS\W*?:\W*?(?P<text>\w.*)$", re.M | re.I)
_GAIN = re.compile(
    r"^\W*EXPECTED[_ ]GAIN\W*?:\s*(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)", re.M | re.I
)
_HYPOTHESIS_CHARACTERS = 200
_PROBLEM_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Question:
    """What an operator asks for.

    Attributes:
        operator: Who asks.
        origin: What the offspring will be.
        system: Standing instructions.
        text: The question itself.
        read: Makes a genome of a reply's text, or says why not.
        files: Of the genome that a reply changes.
    """

    operator: str
    origin: Origin
    system: tuple[str, ...]
    text: str
    read: Callable[[str], Genome | Refused]
    files: Mapping[str, str] = field(default_factory=dict)


def ask(model: Model, question: Question, context: Context) -> Proposal | Refusal:
    """Put ``question``; on a reply that cannot be used, tell its author why, once."""
    messages = [Message("user", question.text)]
    cost_usd = 0.0
    problem = ""
    for _ in range(2):
        try:
            reply = model.reply(
                Prompt(question.operator, question.system, tuple(messages), files=question.files)
            )
        except ModelError as error:
            return Refusal(question.operator, f"no reply: {one_line(str(error))}")
        cost_usd += reply.cost_usd
        if reply.stop_reason == "refusal":
            return Refusal(question.operator, "the model declined to answer")
        genome = question.read(reply.text)
        found = genome.reason if isinstance(genome, Refused) else offspring_problem(genome, context)
        if found is None and isinstance(genome, Genome):
            return Proposal(
                genome=genome,
                parents=tuple(parent.variant.sha for parent in context.parents),
                origin=question.origin,
                operator=question.operator,
                hypothesis=_hypothesis(reply.text),
                expected_gain=_expected_gain(reply.text),
                cost_usd=cost_usd,
            )
        cut = "the reply was cut off at its limit; " if reply.stop_reason == "max_tokens" else ""
        problem = f"{cut}{found}"
        correction = filled("correct", problem=fenced(problem, limit=_PROBLEM_CHARACTERS))
        messages += [reply.message(), Message("user", correction)]
    return Refusal(question.operator, f"twice no usable reply: {one_line(problem, 1000)}")


def _hypothesis(reply: str) -> str:
    found = _HYPOTHESIS.search(reply)
    return one_line(found["text"], _HYPOTHESIS_CHARACTERS) if found else "(none given)"


def _expected_gain(reply: str) -> float | None:
    found = _GAIN.search(reply)
    try:
        gain = float(found["number"]) if found else math.nan
    except ValueError:
        return None
    return gain if math.isfinite(gain) else None
