"""Mutator: a language model changes one parent."""

from agents.briefing import TOKENS, shown_briefing
from agents.conversation import Question, ask
from agents.model import Model
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, shown_fitness, shown_genome, standing
from agents.replacements import Refused, apply_blocks, read_blocks
from population import Genome, Origin

_SCOPES = {
    "Make a small change: a constant, a knob, a detail of one layer.": 0.4,
    "Make a structural change: another part, another rule, or one part less.": 0.4,
    "Be bold: change how the model or its training works in a way that was not tried here.": 0.2,
}


class Mutator:
    """Asks ``model`` for SEARCH/REPLACE blocks on one parent.

    Args:
        model: Asked.
        context_tokens: Room for what the run knows.
    """

    name = "mutator"
    parent_count = 1

    def __init__(self, model: Model, *, context_tokens: int = TOKENS) -> None:
        self._model = model
        self._context_tokens = context_tokens

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask, apply, lint; the author may correct itself once."""
        parent = context.parents[0]
        scope = str(context.rng.choice(list(_SCOPES), p=list(_SCOPES.values())))

        def read(reply: str) -> Genome | Refused:
            blocks = read_blocks(reply)
            if isinstance(blocks, Refused):
                return blocks
            if not blocks:
                return Refused("the reply has no SEARCH/REPLACE block")
            return apply_blocks(parent.genome, blocks)

        question = Question(
            operator=self.name,
            origin=Origin.MUTATION,
            system=standing("mutator", context),
            text=filled(
                "mutate",
                briefing=shown_briefing(context, self._context_tokens),
                fitness=shown_fitness(parent.fitness, context.metric),
                genome=shown_genome(parent.genome),
                scope=scope,
            ),
            read=read,
            files=parent.genome.files,
        )
        return ask(self._model, question, context)
