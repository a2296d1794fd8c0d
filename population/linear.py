"""A champion's family tree as one line of edits, each kept only if something of it remains.

Knows genomes and their lineage; nothing of commits, messages or databases. Git merges the texts.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from population.genome import Genome
from population.lineage import Lineage
from population.merging import merge_files


@dataclass(frozen=True, slots=True)
class Edit:
    """One step of the line.

    Attributes:
        variant: Commit of the variant that made the edit.
        genome: The files after it.
        carries: Variants whose edits could not be applied by themselves and are part of this one.
        replaces: Variants whose edits this one overwrote; they have no step of their own.
    """

    variant: str
    genome: Genome
    carries: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """An edit under work; ``own`` is its own (before, after) while it waits to be applied."""

    variant: str
    genome: Genome
    is_crossover: bool
    own: tuple[Genome, Genome] | None = None
    replaces: tuple[str, ...] = field(default=())


def linearised(champion: str, lineage: Lineage, genomes: Mapping[str, Genome]) -> list[Edit]:
    """The edits that lead from the baseline to ``champion``, in an order in which they apply.

    Every ancestor's edit is applied to the line so far by a three-way merge. An edit in conflict
    waits for the crossover that resolved it; that one brings the line to its own files, byte for
    byte, and so does the champion. Edits of which nothing remains are then taken out.

    Args:
        champion: Commit of the last variant.
        lineage: Holds it and all of its ancestors.
        genomes: Of the champion and of each ancestor.
    """
    order = _ancestors_first(champion, lineage)
    baseline = genomes[order[0]]
    steps = _applied(order, lineage, genomes)
    for variant in [step.variant for step in steps]:
        steps = _without(variant, baseline, steps) or steps
    return list(_edits(baseline, steps))


def _ancestors_first(champion: str, lineage: Lineage) -> list[str]:
    """Ancestors before offspring, and the line of a first parent before a second one's."""
    order: dict[str, None] = {}
    ahead = [champion]
    while ahead:
        missing = [p for p in lineage.parents(ahead[-1]) if p not in order]
        if missing:
            ahead.append(missing[0])
        else:
            order.setdefault(ahead.pop())
    return list(order)


def _applied(order: Sequence[str], lineage: Lineage, genomes: Mapping[str, Genome]) -> list[_Step]:
    state = genomes[order[0]]
    steps: list[_Step] = []
    for count, sha in enumerate(order[1:], 2):
        own: tuple[Genome, Genome] | None = None
        # With nothing on the line but its ancestors, a variant's files are the line's.
        if len(lineage.ancestors(sha)) + 1 == count:
            state = genomes[sha]
        else:
            own = _own_edit(sha, lineage, genomes)
            merged = None if own is None else merge_files(own[0], state, own[1]).genome
            state, own = (state, own) if merged is None else (merged, None)
        steps.append(_Step(sha, state, len(lineage.parents(sha)) > 1, own))
    return steps


def _own_edit(
    sha: str, lineage: Lineage, genomes: Mapping[str, Genome]
) -> tuple[Genome, Genome] | None:
    """Files before and after what a variant itself did; None if no files say what was before."""
    parents = lineage.parents(sha)
    if len(parents) == 1:
        return genomes[parents[0]], genomes[sha]
    base = lineage.common_ancestor(*parents)
    if base is None:
        return None
    merged = merge_files(genomes[base], *(genomes[parent] for parent in parents)).genome
    return None if merged is None else (merged, genomes[sha])


def _without(variant: str, baseline: Genome, steps: Sequence[_Step]) -> list[_Step] | None:
    """The line without one edit; None if something of that edit is in the champion."""
    at = next((i for i, step in enumerate(steps) if step.variant == variant), None)
    if at is None or at == len(steps) - 1:
        return None
    states = [baseline, *(step.genome for step in steps)]
    if states[at] == states[at + 1]:
        return None  # no edit, or one that waits for its crossover
    lost = _Lines.between(states[at], states[at + 1])
    if lost.remain_in(states[at], states[at + 1 :]):
        return None
    line, state, is_told = list(steps[:at]), states[at], False
    for number, old in enumerate(steps[at + 1 :], at + 1):
        new = _replayed(old, states[number], state)
        was = _Lines.between(states[number], states[number + 1])
        now = _Lines.between(state, new.genome)
        if lost.are_taken_over(was, now):
            return None
        if not is_told and state != new.genome and was != now:
            new = replace(new, replaces=(*steps[at].replaces, variant, *old.replaces))
            is_told = True
        line.append(new)
        state = new.genome
    return line if state == steps[-1].genome else None


def _replayed(step: _Step, was: Genome, now: Genome) -> _Step:
    """A step on another state of the line: what overwrote the lost edit still overwrites."""
    if step.own is not None:
        merged = merge_files(step.own[0], now, step.own[1]).genome
        if merged is not None:
            return replace(step, genome=merged, own=None)
    merged = merge_files(was, now, step.genome, prefer_theirs=True).genome
    assert merged is not None
    return replace(step, genome=merged)


def _edits(baseline: Genome, steps: Sequence[_Step]) -> Iterator[Edit]:
    state = baseline
    waiting: list[str] = []
    for step in steps:
        if step.own is not None:
            waiting.append(step.variant)
        if step.genome == state:
            continue
        carries = tuple(waiting) if step.is_crossover and step.own is None else ()
        waiting = [] if carries else waiting
        yield Edit(step.variant, step.genome, carries, step.replaces)
        state = step.genome


@dataclass(frozen=True)
class _Lines:
    """What an edit adds and removes: lines, each with its file; blank ones do not count."""

    added: Counter[tuple[str, str]]
    removed: Counter[tuple[str, str]]
    only_removed: Counter[tuple[str, str]]

    @classmethod
    def between(cls, before: Genome, after: Genome) -> "_Lines":
        lines = cls(Counter(), Counter(), Counter())
        for path in {*before.files, *after.files}:
            old, new = before.files.get(path, ""), after.files.get(path, "")
            if old != new:
                lines._take(path, old.splitlines(), new.splitlines())
        return lines

    def _take(self, path: str, old: Sequence[str], new: Sequence[str]) -> None:
        blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        for kind, i, j, k, m in blocks:
            if kind == "equal":
                continue
            gone = [(path, line) for line in old[i:j] if line.strip()]
            self.added.update((path, line) for line in new[k:m] if line.strip())
            self.removed.update(gone)
            self.only_removed.update(gone if kind == "delete" else ())

    def remain_in(self, before: Genome, states: Sequence[Genome]) -> bool:
        """True if a line of the edit is, or is gone, in every state since."""
        counts = [_counted(before), *(_counted(state) for state in states)]
        grown = any(all(c[x] > counts[0][x] for c in counts[1:]) for x in self.added)
        shrunk = any(all(c[x] < counts[0][x] for c in counts[1:]) for x in self.only_removed)
        return grown or (shrunk and not self.added)

    def are_taken_over(self, was: "_Lines", now: "_Lines") -> bool:
        """True if a later edit now does what this one did."""
        added, removed = now.added - was.added, now.removed - was.removed
        return bool(added.keys() & self.added) or bool(removed.keys() & self.only_removed)


def _counted(genome: Genome) -> Counter[tuple[str, str]]:
    return Counter((p, line) for p, text in genome.files.items() for line in text.splitlines())
