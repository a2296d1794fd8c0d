"""Mutator: a language model changes one parent, in one step, or with ideas before the code."""

import dataclasses

from agents.answers import read_variant
from agents.asking import Asking, Question, ask, genome_prompt, offered
from agents.briefing import ShownBriefing, briefed
from agents.conversation import Answered, converse
from agents.forms import SUBMIT_VARIANT
from agents.ideas import SUBMIT_IDEAS, Idea, chosen, known_ideas, read_ideas
from agents.intents import Intent, drawn_intent, possible
from agents.model import Model, Prompt
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, shown_fitness, shown_genome
from agents.replacements import Refused
from population import Origin, fenced

#: Trailer of the commit that names what a mutation was meant to be.
TRAILER = "Intent"
#: Names of all intents, for a model that writes ideas down in words.
INTENTS = ", ".join(Intent)


class Mutator:
    """Asks ``model`` for one change of one parent.

    Args:
        model: Asked.
        asking: Room, limits, and whether ideas come first.
    """

    name = "mutator"
    parent_count = 1

    def __init__(self, model: Model, asking: Asking | None = None) -> None:
        self._model = model
        self._asking = asking or Asking()

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask, apply, lint; the author may correct itself once at each step."""
        shown = briefed(context, self._asking.context_tokens)
        intent = _wanted(context, shown)
        if self._asking.is_two_step:
            return self._in_two_steps(context, shown, intent)
        prompt = self._prompt(context, shown, intent, "step_code")
        return ask(
            self._model, self._question(context, shown, prompt, intent), context, self._asking
        )

    def _in_two_steps(
        self, context: Context, shown: ShownBriefing, intent: Intent
    ) -> Proposal | Refusal:
        # Both forms are offered at both steps: the second reads the first from the cache.
        prompt = dataclasses.replace(
            self._prompt(context, shown, intent, "step_ideas", "carry_out"),
            tools=(SUBMIT_IDEAS, SUBMIT_VARIANT),
        )
        known = known_ideas(context)
        answered: Answered[list[Idea]] = converse(
            self._model,
            dataclasses.replace(prompt, answer=SUBMIT_IDEAS, files={}),
            lambda reply: read_ideas(reply, known),
            tools=offered(context, self._asking),
            call_limit=self._asking.tool_calls,
        )
        ideas = answered.result
        if isinstance(ideas, Refused):
            return Refusal(self.name, ideas.reason, answered.calls)
        idea = chosen(ideas, intent, context.rng)
        turns = answered.followed_by(filled("carry_out", idea=fenced(idea.hypothesis)))
        question = self._question(
            context, shown, dataclasses.replace(prompt, messages=turns), idea.intent or intent
        )
        return ask(self._model, question, context, self._asking, before=answered)

    def _prompt(
        self, context: Context, shown: ShownBriefing, intent: Intent, step: str, *later: str
    ) -> Prompt:
        parent = context.parents[0]
        wanted = f"intent_{intent}"
        text = filled(
            "mutate",
            briefing=shown.text,
            fitness=shown_fitness(parent.fitness, context.metric),
            genome=shown_genome(parent.genome),
            wanted=filled(wanted),
            step=filled(step, **({"intents": INTENTS} if step == "step_ideas" else {})),
        )
        templates = ("mutate", wanted, step, *later)
        return genome_prompt(self.name, text, context, self._asking, templates=templates)

    def _question(
        self, context: Context, shown: ShownBriefing, prompt: Prompt, intent: Intent
    ) -> Question:
        parent = context.parents[0].genome
        return Question(
            operator=self.name,
            origin=Origin.MUTATION,
            prompt=prompt,
            read=lambda reply: read_variant(reply, parent),
            suggestions=shown.suggestions,
            trailers={TRAILER: str(intent)},
        )


def _wanted(context: Context, shown: ShownBriefing) -> Intent:
    """The intent that the context fixes; drawn if it fixes none.

    What is fixed stands, also where nothing is left to borrow: asked again after a restart, the
    question is the same one.
    """
    fixed = [intent for intent in Intent if intent == context.intent]
    return fixed[0] if fixed else settled(drawn_intent(context.rng), shown)


def settled(intent: Intent, shown: ShownBriefing) -> Intent:
    """``intent``, or what takes its place where the briefing has nothing to borrow."""
    return possible(intent, can_borrow=shown.counts["borrowed"] > 0)
