"""ModelCrossover: a language model unites two parents whose edits differ in more than text."""

import ast
import contextlib
import math
from collections import Counter

from agents.answers import read_variant
from agents.asking import Asking, Question, ask, genome_prompt
from agents.briefing import briefed
from agents.changes import changes
from agents.crossover import Merge
from agents.figures import shown_gain
from agents.model import Model
from agents.operator import Context, Proposal, Refusal
from agents.prompts import filled, shown_fitness, shown_genome
from population import Genome, Merged, Origin, canonical_hash, fenced, merge_files
from population.syntax import Unreadable, read_tree


class ModelCrossover:
    """Asks ``model`` to unite two parents; edits of the first or a whole file come back.

    Args:
        model: Asked.
        asking: Room and limits.
        merge: Says whether their texts clash.
    """

    name = "crossover"
    parent_count = 2

    def __init__(
        self, model: Model, asking: Asking | None = None, *, merge: Merge = merge_files
    ) -> None:
        self._model = model
        self._asking = asking or Asking()
        self._merge = merge

    def propose(self, context: Context) -> Proposal | Refusal:
        """Ask, apply, lint; the author may correct itself once.

        Refused before anything is asked where one parent has all that the other changed.
        """
        if len(context.parents) != 2:
            return Refusal(self.name, "two parents are needed")
        first, second = context.parents
        base = context.base or context.baseline
        merged = self._merge(base, first.genome, second.genome)
        if _adds_nothing(merged, base, first.genome, second.genome):
            return Refusal(self.name, "one parent has all that the other changed")
        shown = briefed(context, self._asking.context_tokens)
        text = filled(
            "cross",
            briefing=shown.text,
            first_fitness=shown_fitness(first.fitness, context.metric),
            first=shown_genome(first.genome),
            first_changes=fenced(changes(base, first.genome, "ancestor"), "diff", limit=None),
            second_fitness=shown_fitness(second.fitness, context.metric),
            second=shown_genome(second.genome),
            second_changes=fenced(changes(base, second.genome, "ancestor"), "diff", limit=None),
            conflicts=_conflicts(merged.conflicts, is_clean=merged.genome is not None),
            predicted=_predicted(context),
            step=filled("step_code"),
        )
        question = Question(
            operator=self.name,
            origin=Origin.CROSSOVER,
            prompt=genome_prompt(
                self.name, text, context, self._asking, templates=("cross", "step_code")
            ),
            read=lambda reply: read_variant(reply, first.genome, may_rewrite=True),
            suggestions=shown.suggestions,
        )
        return ask(self._model, question, context, self._asking)


def _adds_nothing(merged: Merged, base: Genome, one: Genome, other: Genome) -> bool:
    """True if a union of two parents would be one of them again."""
    if merged.genome is not None:
        union = canonical_hash(merged.genome)
        if union in (canonical_hash(one), canonical_hash(other)):
            return True
    return is_contained(base, one, other) or is_contained(base, other, one)


def is_contained(base: Genome, one: Genome, other: Genome) -> bool:
    """True if ``other`` has every line that ``one`` changed in ``base``, comments aside.

    Lines are counted, not placed: where ``one`` only moved some, nobody can tell here.
    """
    before, mine, theirs = (_code_lines(genome) for genome in (base, one, other))
    if mine == before:
        return False
    return mine - before <= theirs - before and before - mine <= before - theirs


def _code_lines(genome: Genome) -> Counter[tuple[str, str]]:
    return Counter(
        (path, line) for path, text in genome.files.items() for line in _lines(path, text)
    )


def _lines(path: str, text: str) -> list[str]:
    """Lines of code, without layout and comments where the text is Python."""
    tree = read_tree(text) if path.endswith(".py") else None
    if tree is not None and not isinstance(tree, Unreadable):
        with contextlib.suppress(ValueError):  # an integer too long to be written in decimal
            text = ast.unparse(tree)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _conflicts(count: int, *, is_clean: bool) -> str:
    if is_clean:
        return "Their texts merge without a conflict; whether their ideas do is yours to judge."
    return f"Their texts clash in {count} place{'' if count == 1 else 's'}."


def _predicted(context: Context) -> str:
    """The score of a union of all edits, if their effects add."""
    first, brought = context.parents[0].fitness, context.briefing.mate_lineage
    gains = [effect.gain for effect in brought if effect.gain is not None]
    if first is None or first.mean is None or not gains or len(gains) < len(brought):
        return "What a union of all their edits would score cannot be said yet."
    spread = math.sqrt(sum((effect.sd or 0.0) ** 2 for effect in brought))
    gain = shown_gain(sum(gains), spread, context.metric)
    return (
        "If effects add, what the second has and the first has not gains "
        f"{gain} over the first. That is the sum of what its edits were found to gain, and the "
        "interval takes their errors as independent; where edits act on the same limit, it is less."
    )
