"""Guided crossover: a parent with single edits from anywhere in the archive that seem to help.

Where a merge takes two whole lines of descent, good and bad alike, this takes the edits one by one,
by what the run believes of each: breeders call it pyramiding. An edit that the parent carries and
that seems to hurt is taken out likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.crossover import Merge, united
from agents.offspring import offspring_problem
from agents.operator import ArchivedEdit, Context, Proposal, Refusal
from population import Genome, Origin, merge_files

MOST_EDITS = 6  # in one offspring
LEAST_EFFECT = 0.1  # of one edit, in σ
LEAST_GAIN = 0.5  # of all together, in σ
CANDIDATES = 24  # the most promising edits; each costs a merge, of about a tenth of a second
DRAWS = 3  # of a set that is new
LEFT_OUT = 0.3  # of the edits, at random, where the best set was tried before


@dataclass(slots=True)
class _Stack:
    """A parent's genome with some edits, and what they should gain."""

    genome: Genome
    gain: float = 0.0
    edits: list[ArchivedEdit] = field(default_factory=list)


class GuidedCrossover:
    """Adds up to six edits that seem to help to a parent, or takes out those that seem to hurt.

    Args:
        merge: Of three genomes' texts.
        may_drop: True to take edits out, too.
    """

    name = "guided"
    parent_count = 1

    def __init__(self, merge: Merge = merge_files, *, may_drop: bool = True) -> None:
        self._merge, self._may_drop = merge, may_drop

    def propose(self, context: Context) -> Proposal | Refusal:
        """The most promising set of edits that is new."""
        if context.sigma is None:
            return Refusal(self.name, "the noise is not known yet")
        least = LEAST_EFFECT * context.sigma
        edits = sorted(
            (
                edit
                for edit in context.archive()
                if edit.gain > least and (self._may_drop or not edit.is_carried)
            ),
            key=lambda edit: (-edit.gain, edit.variant.sha),
        )[:CANDIDATES]
        if not edits:
            return Refusal(self.name, "no edit in the archive seems to help this parent")
        reasons: list[str] = []
        for draw in range(DRAWS):
            chosen = [e for e in edits if not draw or context.rng.random() >= LEFT_OUT]
            stack = self._stacked(chosen, context)
            if stack.gain < LEAST_GAIN * context.sigma:
                reasons.append(f"what goes together should gain {stack.gain / context.sigma:.1f} σ")
                continue
            problem = offspring_problem(stack.genome, context)
            if problem is None:
                return self._proposal(stack, context)
            reasons.append(f"{len(stack.edits)} edits: the stack {problem}")
        return Refusal(self.name, reasons[0])

    def _stacked(self, edits: Sequence[ArchivedEdit], context: Context) -> _Stack:
        """As many of the edits, in this order, as go onto the parent; at most `MOST_EDITS`."""
        stack = _Stack(context.parents[0].genome)
        for edit in edits:
            if len(stack.edits) == MOST_EDITS:
                break
            genome = self._with(edit, stack.genome, context)
            if genome is not None:
                stack.genome = genome
                stack.gain += edit.gain
                stack.edits.append(edit)
        return stack

    def _with(self, edit: ArchivedEdit, genome: Genome, context: Context) -> Genome | None:
        """A genome with an edit, or without a carried one; None where that is not the whole edit.

        Of a knob that the genome has elsewhere, nobody knows what the edit would do. And where a
        part of it is there already, by another edit, its effect would count twice: undone again, it
        must leave the genome as it was.
        """
        before, after = edit.genomes()
        if edit.is_carried:
            before, after = after, before
        made = united(before, genome, after, self._merge, context.contract)
        if made.genome is None or made.genome == genome or made.both_changed:
            return None
        undone = united(after, made.genome, before, self._merge, context.contract)
        return made.genome if undone.genome == genome and not undone.both_changed else None

    def _proposal(self, stack: _Stack, context: Context) -> Proposal:
        parent = context.parents[0].variant
        added = [edit.variant for edit in stack.edits if not edit.is_carried]
        dropped = [edit.variant for edit in stack.edits if edit.is_carried]
        words = [f"with {', '.join(v.name for v in added)}"] if added else []
        words += [f"without {', '.join(v.name for v in dropped)}"] if dropped else []
        return Proposal(
            genome=stack.genome,
            parents=(parent.sha,),
            origin=Origin.CROSSOVER,
            operator=self.name,
            hypothesis=f"{parent.name} {' and '.join(words)}: edits that seem to help, together",
            expected_gain=stack.gain,
            adds=tuple(variant.sha for variant in added),
            drops=tuple(variant.sha for variant in dropped),
        )
