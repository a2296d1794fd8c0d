"""Minimizer: a language model deletes what does not earn its keep; no offspring is larger."""

from collections.abc import Callable

from agents.answers import Draft, read_variant
from agents.asking import Asking, Question, ask, genome_prompt
from agents.briefing import Effect, briefed, effect_line
from agents.model import Model, Reply
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, shown_fitness, shown_genome
from agents.replacements import Refused
from population import Genome, Origin, code_size, fenced
from population.fitness import INTERVAL

_MOST_EDITS = 20
_CHARACTERS = 12_000


class Minimizer:
    """Asks ``model`` for a smaller genome that does the same.

    Args:
        model: Asked.
        asking: Room and limits.
    """

    name = "minimizer"
    parent_count = 1

    def __init__(self, model: Model, asking: Asking | None = None) -> None:
        self._model = model
        self._asking = asking or Asking()

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask, apply, weigh, lint; the author may correct itself once."""
        parent = context.parents[0]
        text = filled(
            "minimize",
            briefing=briefed(context, self._asking.context_tokens).text,
            fitness=shown_fitness(parent.fitness, context.metric),
            size=str(code_size(parent.genome)),
            genome=shown_genome(parent.genome),
            useless=_shown(context, is_useless),
            undecided=_shown(context, is_undecided),
            step=filled("step_code"),
        )
        question = Question(
            operator=self.name,
            origin=Origin.MUTATION,
            prompt=genome_prompt(
                self.name, text, context, self._asking, templates=("minimize", "step_code")
            ),
            read=lambda reply: read_smaller(reply, parent.genome),
        )
        return ask(self._model, question, context, self._asking)


def read_smaller(reply: Reply, parent: Genome) -> Draft | Refused:
    """A draft with less code than ``parent``; one that has not is refused with both sizes."""
    draft = read_variant(reply, parent)
    if isinstance(draft, Refused):
        return draft
    before, after = code_size(parent), code_size(draft.genome)
    if after < before:
        return draft
    return Refused(
        f"the offspring has {after} characters of code and the genome {before}: it must have "
        "fewer; comments, docstrings and layout do not count"
    )


def is_useless(effect: Effect) -> bool:
    """True if an edit is as likely as not to have gained nothing, or to have cost."""
    return effect.gain is not None and effect.gain <= 0.0


def is_undecided(effect: Effect) -> bool:
    """True if an edit seems to gain, but its 95 % interval holds nothing or a loss."""
    return effect.gain is not None and 0.0 < effect.gain <= INTERVAL * (effect.sd or 0.0)


def _shown(context: Context, wanted: Callable[[Effect], bool]) -> str:
    """Edits of the lineage, the smallest gain first, those that have a diff with it."""
    found = [effect for effect in context.briefing.lineage if wanted(effect)]
    found.sort(key=lambda effect: effect.gain or 0.0)
    blocks: list[str] = []
    for effect in found[:_MOST_EDITS]:
        line = effect_line(effect, context.metric)
        blocks.append(f"{line}\n\n{effect.diff}" if effect.diff else line)
    return fenced("\n".join(blocks) or "none is known", "diff", limit=_CHARACTERS)
