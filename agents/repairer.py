"""Repairer: a language model mends a variant that failed, once, with the smallest edit for it."""

import dataclasses

from agents.answers import read_variant
from agents.asking import Asking, Question, ask, genome_prompt
from agents.briefing import FailedTry, briefed
from agents.model import Model
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, shown_genome
from population import Origin, fenced, one_line

_LOG_CHARACTERS = 6_000
_DIFF_CHARACTERS = 8_000
#: Room for what the run knows beside the failure, of which a repair needs little.
CONTEXT_TOKENS = 3_000


class Repairer:
    """Asks ``model`` to make the idea of a failed variant work.

    The first failure of the context's briefing is the parent's own.

    Args:
        model: Asked.
        asking: Room and limits.
    """

    name = "repairer"
    parent_count = 1

    def __init__(self, model: Model, asking: Asking | None = None) -> None:
        self._model = model
        self._asking = asking or Asking()

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask, apply, lint; the author may correct itself once."""
        parent = context.parents[0]
        failures = context.briefing.failures
        if not failures or failures[0].variant != parent.variant.name:
            return Refusal(self.name, f"no failure of {parent.variant.name} is known")
        failed = failures[0]
        others = dataclasses.replace(context.briefing, failures=failures[1:])
        beside = dataclasses.replace(context, briefing=others)
        room = min(self._asking.context_tokens, CONTEXT_TOKENS)
        text = filled(
            "repair",
            genome=shown_genome(parent.genome),
            failure=_failure(failed, parent.variant.hypothesis),
            diff=fenced(failed.diff or "(not known)", "diff", limit=_DIFF_CHARACTERS),
            briefing=briefed(beside, room).text,
            step=filled("step_code"),
        )
        question = Question(
            operator=self.name,
            origin=Origin.MUTATION,
            prompt=genome_prompt(
                self.name, text, context, self._asking, templates=("repair", "step_code")
            ),
            read=lambda reply: read_variant(reply, parent.genome),
            trailers={"Repairs": f"trial {failed.trial}"},
        )
        return ask(self._model, question, context, self._asking)


def _failure(failed: FailedTry, hypothesis: str) -> str:
    """How it failed, with the end of what it printed."""
    head = (
        f"{failed.variant}, trial {failed.trial}: {failed.kind}\nits idea: {one_line(hypothesis)}"
    )
    return fenced(f"{head}\n\n{failed.message}", limit=_LOG_CHARACTERS)
