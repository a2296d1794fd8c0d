"""Operators that need no language model: one turns knobs, one edits the syntax tree."""

import math
from collections import Counter
from collections.abc import Mapping

from agents.files import drawn_file
from agents.knob_moves import Surroundings, divisibility_breaks, drawn_moves, off_values
from agents.knob_scales import learned_scales
from agents.literals import is_off_limits
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal
from population import KnobValue, Origin, frozen_knobs, knobs, set_knobs

DRAWS = 24


class KnobEdit:
    """Moves one knob, sometimes two, each on its natural scale (``agents.knob_moves``).

    How far is learned from what the run's earlier moves brought (``agents.knob_scales``).
    """

    name = "knob"
    parent_count = 1

    def propose(self, context: Context) -> Proposal | Refusal:
        """Draw moves until one gives a new genome."""
        parent = context.parents[0]
        path = drawn_file(parent.genome, context.rng)
        text = parent.genome.files[path]
        before = knobs(text)
        scales = learned_scales(context.knob_trials, before) if context.knob_trials else {}
        around = Surroundings(before, off_values(text, before), scales)
        free = _free_knobs(path, before, context)
        reasons: Counter[str] = Counter()
        for _ in range(DRAWS if free else 0):
            changes = drawn_moves(around, free, context.rng)
            problem: str | None = _knob_problem(before, changes)
            if problem:
                reasons[problem] += 1
                continue
            genome = parent.genome.with_file(path, set_knobs(text, changes))
            problem = offspring_problem(genome, context)
            if problem is None:
                return Proposal(
                    genome=genome,
                    parents=(parent.variant.sha,),
                    origin=Origin.MUTATION,
                    operator=self.name,
                    hypothesis=", ".join(
                        f"{name} {_shown(before[name])} → {_shown(value)}"
                        for name, value in changes.items()
                    ),
                    trailers={"Knob": ", ".join(changes)},
                )
            reasons[problem] += 1
        nothing = f"every knob of {path} is frozen" if before else f"{path} has no knobs"
        return _refusal(self.name, reasons or Counter({nothing: 1}))


class StructureEdit:
    """Makes one of the structural edits of ``agents.structure`` on the syntax tree."""

    name = "structure"
    parent_count = 1

    def propose(self, context: Context) -> Proposal | Refusal:
        """Draw edits, and where to make them, until one gives a new genome."""
        # libcst loads in its own time
        from agents.structure import EDITS, Unedited, apply_edit, draw_shares

        parent = context.parents[0]
        shares = draw_shares()
        reasons: Counter[str] = Counter()
        path = drawn_file(parent.genome, context.rng)
        for _ in range(DRAWS):
            edit = EDITS[int(context.rng.choice(len(EDITS), p=shares))]
            edited = apply_edit(edit, parent.genome.files[path], context.rng)
            if isinstance(edited, Unedited):
                reasons[f"{edit.name}: {edited.reason}"] += 1
                continue
            genome = parent.genome.with_file(path, edited.text)
            problem = offspring_problem(genome, context)
            if problem is None:
                return Proposal(
                    genome=genome,
                    parents=(parent.variant.sha,),
                    origin=Origin.MUTATION,
                    operator=self.name,
                    hypothesis=f"{edited.what}: {edit.hypothesis}",
                    trailers={"Edit": edit.name},
                )
            reasons[f"{edit.name}: {problem}"] += 1
        return _refusal(self.name, reasons)


def _free_knobs(path: str, knobs: Mapping[str, KnobValue], context: Context) -> list[str]:
    """Those that may be turned: no frozen one; in a script, none whose name says it measures."""
    frozen = frozen_knobs(context.manual, context.parents[0].genome, path)
    free = sorted(set(knobs) - frozen)
    return [n for n in free if not is_off_limits(n)] if context.contract.is_script else free


def _knob_problem(before: Mapping[str, KnobValue], changes: Mapping[str, KnobValue]) -> str:
    if not changes:
        return "no knob can be moved"
    moved_to = (e for v in changes.values() for e in (v if isinstance(v, tuple) else (v,)))
    if any(isinstance(v, float) and not math.isfinite(v) for v in moved_to):
        return "moved beyond all numbers"
    return divisibility_breaks(before, {**before, **changes})


def _shown(value: KnobValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _refusal(operator: str, reasons: Counter[str]) -> Refusal:
    listed = "; ".join(f"{reason} ({count}×)" for reason, count in reasons.most_common(3))
    return Refusal(operator, f"{reasons.total()} draws gave nothing new: {listed}")
