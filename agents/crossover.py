"""Crossover: two parents become one by git's three-way merge, without a language model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.knob_moves import divisibility_breaks, significant
from agents.literals import literal_values, set_literals
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal
from population import (
    Contract,
    Genome,
    KnobValue,
    Merged,
    Origin,
    knobs,
    merge_files,
    set_knobs,
)

_MIX = 0.5  # how often two changes of one knob meet in the middle

Merge = Callable[[Genome, Genome, Genome], Merged]


@dataclass(frozen=True, slots=True)
class MergedKnobs:
    """Values for the knobs that both parents and their ancestor have, and who changed what."""

    values: dict[str, KnobValue]
    both_changed: tuple[str, ...]


class Crossover:
    """Merges two parents against their last common ancestor: text by git, knobs by name."""

    name = "merge"
    parent_count = 2

    def __init__(self, merge: Merge = merge_files) -> None:
        self._merge = merge

    def propose(self, context: Context) -> Proposal | Refusal:
        """Merge; a textual conflict is a refusal that counts the conflicts."""
        if len(context.parents) != 2 or context.base is None:
            return Refusal(self.name, "two parents with a common ancestor are needed")
        refused = Refusal(self.name, "")
        for is_mixing in (bool(context.rng.random() < _MIX), False):
            united = self._united(context, context.base, is_mixing)
            if isinstance(united, Proposal):
                return united
            refused = united
        return refused

    def _united(self, context: Context, base: Genome, is_mixing: bool) -> Proposal | Refusal:
        first, second = context.parents
        merged = united(
            base,
            first.genome,
            second.genome,
            self._merge,
            context.contract,
            is_mixing=is_mixing,
        )
        if merged.genome is None:
            return Refusal(self.name, merged.problem)
        problem = offspring_problem(merged.genome, context)
        if problem is not None:
            return Refusal(self.name, f"the merge {problem}")
        clash = ", ".join(merged.both_changed)
        return Proposal(
            genome=merged.genome,
            parents=(first.variant.sha, second.variant.sha),
            origin=Origin.CROSSOVER,
            operator=self.name,
            hypothesis=f"what {first.variant.name} and {second.variant.name} found, together",
            trailers={"Knob": clash} if clash else {},
        )


@dataclass(frozen=True, slots=True)
class United:
    """Two changes of one genome, together.

    Attributes:
        genome: With both; None if they do not go together.
        problem: Why not.
        both_changed: Knobs that both set, each to a value of its own.
    """

    genome: Genome | None
    problem: str = ""
    both_changed: tuple[str, ...] = ()


def united(
    base: Genome,
    ours: Genome,
    theirs: Genome,
    merge: Merge,
    contract: Contract,
    *,
    is_mixing: bool = False,
) -> United:
    """Three-way merge of knobs by name and of the rest by text.

    A knob that both changed takes ``ours`` or, when mixing, what `merged_knobs` says.
    """
    genomes = [base, ours, theirs]
    both_changed: list[str] = []
    for path in _shared_sources(genomes):
        before, one, other = (_settings(g.files[path], contract) for g in genomes)
        values = _merged_values(before, one, other, is_mixing=is_mixing)
        both_changed += values.both_changed
        for side in (one, other):
            broken = divisibility_breaks(side, {**side, **values.values})
            if broken:
                return United(None, f"the parents' knobs do not go together: {broken}")
        genomes = [g.with_file(path, _with_settings(g.files[path], values.values)) for g in genomes]
    # With the same settings everywhere, only the rest of the texts can be in conflict.
    merged = merge(*genomes)
    if merged.genome is None:
        return United(None, f"{merged.conflicts} conflicts between the parents' texts")
    return United(merged.genome, both_changed=tuple(both_changed))


def merged_knobs(base: Genome, ours: Genome, theirs: Genome, *, is_mixing: bool) -> MergedKnobs:
    """Three-way merge of knobs by name.

    A knob that both changed takes the fitter parent's value (``ours``) or, when mixing, the
    geometric mean where the scale is logarithmic.
    """
    return _merged_values(
        knobs(base.main), knobs(ours.main), knobs(theirs.main), is_mixing=is_mixing
    )


def _merged_values(
    before: Mapping[str, KnobValue],
    one: Mapping[str, KnobValue],
    other: Mapping[str, KnobValue],
    *,
    is_mixing: bool,
) -> MergedKnobs:
    values: dict[str, KnobValue] = {}
    both: list[str] = []
    for name in (name for name in before if name in one and name in other):
        if _alike(before[name], one[name]):
            values[name] = other[name]
        else:
            values[name] = one[name]
            if not _alike(before[name], other[name]) and not _alike(one[name], other[name]):
                both.append(name)
                values[name] = _between(one[name], other[name]) if is_mixing else one[name]
    return MergedKnobs(values, tuple(both))


def _shared_sources(genomes: Sequence[Genome]) -> list[str]:
    """Python files that all of them have."""
    return [path for path in genomes[0].sources if all(path in g.files for g in genomes)]


def _settings(text: str, contract: Contract) -> dict[str, KnobValue]:
    """Knobs by name; of a script the other numbers, too, by their place, which has a colon."""
    found = knobs(text)
    return {**found, **literal_values(text)} if contract.is_script else found


def _with_settings(text: str, values: Mapping[str, KnobValue]) -> str:
    places = {key: value for key, value in values.items() if ":" in key}
    text = set_knobs(text, {name: value for name, value in values.items() if name not in places})
    return set_literals(text, places)


def _alike(one: KnobValue, other: KnobValue) -> bool:
    return type(one) is type(other) and one == other


def _between(one: KnobValue, other: KnobValue) -> KnobValue:
    """The geometric mean of positive numbers of one type; powers of two stay such."""
    match one, other:
        case bool(), _:
            return one
        case int(), int() if _is_power_of_two(one) and _is_power_of_two(other):
            return 1 << ((one.bit_length() + other.bit_length()) // 2 - 1)
        case float(), float() if one > 0 and other > 0:
            return significant(math.sqrt(one * other), 3)
    return one


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
