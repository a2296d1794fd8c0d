"""Critic: reads a proposal before it is trained, and explains a verdict after it was passed.

The first may reject; the second changes nothing: figures decide, words stand beside them.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agents.asking import Asking
from agents.briefing import Briefing, shown_briefing
from agents.changes import changes
from agents.conversation import converse
from agents.fields import handed_in, listed, worded
from agents.model import Message, Model, Prompt, Reply, Tool
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, standing, standing_names, template_hash
from agents.replacements import Refused
from population import Genome, Judgement, Suspect, fenced, one_line
from population.records import Json

_DIFF = 16_000
_REASONS, _REASON = 5, 300
_EXPLANATION = 2_000
_SUSPECTS, _SHORTEST = 5, 3

Read = TypeVar("Read")

_TEXT = {"type": "string"}
CRITIQUE = Tool(
    "submit_critique",
    "Hand in your judgement of the proposal.",
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["verdict", "reasons"],
        "properties": {
            "verdict": {"type": "string", "enum": [judgement.value for judgement in Judgement]},
            "reasons": {
                "type": "array",
                "items": _TEXT,
                "description": "Each in one line, the weightiest first.",
            },
        },
    },
)
READING = Tool(
    "submit_reading",
    "Hand in the verdict in words.",
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["explanation", "suspects"],
        "properties": {
            "explanation": _TEXT | {"description": "One paragraph of at most five sentences."},
            "suspects": {
                "type": "array",
                "description": "Edits that may be behind it; none is fine.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["edit", "why"],
                    "properties": {
                        "edit": _TEXT
                        | {"description": "A line of the diff, or the name of a variant."},
                        "why": _TEXT | {"description": "One line."},
                    },
                },
            },
        },
    },
)


@dataclass(frozen=True, slots=True)
class Review:
    """What the critic says of a proposal.

    Attributes:
        judgement: What it comes to.
        reasons: Each in a line.
        call: Row of the call that it came from; None if it was not stored.
    """

    judgement: Judgement
    reasons: Sequence[str]
    call: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the critic says of a verdict.

    Attributes:
        text: A paragraph.
        suspects: Edits that may be behind it.
        call: Row of the call that it came from; None if it was not stored.
    """

    text: str
    suspects: Sequence[Suspect]
    call: int | None = None


class Critic:
    """Asks ``model`` for a reading.

    Args:
        model: Asked.
        asking: Room for what the run knows, and for the answer.
    """

    name = "critic"

    def __init__(self, model: Model, asking: Asking | None = None) -> None:
        self._model = model
        self._asking = asking or Asking()

    def review(self, context: Context, proposal: Proposal) -> Review | Refusal:
        """Read a proposal, as the change that it is to its first parent."""
        told = context.briefing
        known = Briefing(lineage=told.lineage, failures=told.failures, lessons=told.lessons)
        parent = context.parents[0]
        question = filled(
            "critique",
            briefing=shown_briefing(replace(context, briefing=known), self._asking.context_tokens),
            operator=fenced(one_line(proposal.operator)),
            hypothesis=fenced(one_line(proposal.hypothesis)),
            diff=fenced(changes(parent.genome, proposal.genome), "diff", limit=_DIFF),
        )

        def read(reply: Reply) -> Review | Refused:
            found = handed_in(reply, CRITIQUE)
            if isinstance(found, Refused):
                return found
            verdict = worded(found, "verdict").strip().lower()
            if verdict not in list(Judgement):
                return Refused(f"verdict is {one_line(verdict, 40)!r}, not pass, warn or reject")
            said = [one_line(r, _REASON) for r in listed(found, "reasons") if isinstance(r, str)]
            return Review(Judgement(verdict), tuple(filter(None, said))[:_REASONS], reply.call)

        return self._asked(context, "critique", question, CRITIQUE, read)

    def explain(
        self, context: Context, figures: Sequence[str], baseline: Genome
    ) -> Explanation | Refusal:
        """Read a verdict.

        Args:
            context: With the champion as its only parent, and the edits that it carries.
            figures: What the verdict says, a line each.
            baseline: What the champion was compared with.
        """
        champion = context.parents[0]
        diff = changes(baseline, champion.genome, "baseline")
        lineage = Briefing(lineage=context.briefing.lineage, lessons=context.briefing.lessons)
        question = filled(
            "explain",
            champion=champion.variant.name,
            figures=fenced("\n".join(one_line(line, _REASON) for line in figures)),
            briefing=shown_briefing(
                replace(context, briefing=lineage, history=()), self._asking.context_tokens
            ),
            diff=fenced(diff, "diff", limit=_DIFF),
        )
        names = {effect.variant for effect in lineage.lineage}

        def read(reply: Reply) -> Explanation | Refused:
            found = handed_in(reply, READING)
            if isinstance(found, Refused):
                return found
            text = one_line(worded(found, "explanation"), _EXPLANATION)
            if not text:
                return Refused("explanation is empty")
            suspects = [_suspect(one) for one in listed(found, "suspects")]
            kept = [one for one in suspects if _is_there(one.edit, diff, names)]
            return Explanation(text, tuple(kept[:_SUSPECTS]), reply.call)

        return self._asked(context, "explain", question, READING, read)

    def _asked(
        self,
        context: Context,
        template: str,
        question: str,
        answer: Tool,
        read: Callable[[Reply], Read | Refused],
    ) -> Read | Refusal:
        prompt = Prompt(
            self.name,
            standing("critic", context),
            (Message("user", question),),
            answer=answer,
            max_output_tokens=self._asking.max_output_tokens,
            template=template_hash(*standing_names("critic", context), template, "correct"),
        )
        answered = converse(self._model, prompt, read)
        if isinstance(answered.result, Refused):
            return Refusal(self.name, answered.result.reason, answered.calls)
        return answered.result


def _suspect(found: Json) -> Suspect:
    return Suspect(
        one_line(worded(found, "edit"), _REASON), one_line(worded(found, "why"), _REASON)
    )


def _is_there(edit: str, diff: str, names: Collection[str]) -> bool:
    """True for a line that the diff has, or a part of one, and for an edit of the lineage."""
    words = " ".join(edit.lstrip("+-").split()).removesuffix("…").rstrip()
    if any(re.search(rf"\b{re.escape(name)}\b", words) for name in names):
        return True
    changed = (line[1:] for line in diff.splitlines() if line[:1] in ("+", "-"))
    return len(words) >= _SHORTEST and any(words in " ".join(line.split()) for line in changed)
