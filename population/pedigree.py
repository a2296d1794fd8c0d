"""Pedigree: which edits a variant carries, as sums and differences of other variants' fitness.

Every mutation and every seed is one edit, named by the commit that made it and carried by all
its descendants. A merge carries what git's three-way merge keeps of its parents' edits; a *stack*,
single edits from anywhere on top of a parent, and without others. Either has an edit of its own:
what all of them do only in company. Knows nothing of scores.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Self

from population.variant import Variant


@dataclass(frozen=True, slots=True)
class VariantNode:
    """A variant as the statistics see it.

    Attributes:
        sha: Commit of the variant.
        parents: Commits of the parents: none for the baseline, two for a merge.
        operator: Who made it; edits of one operator share a mean effect.
        adds: Commits whose own edits it has beside those of its parents.
        drops: Commits whose own edits its parents have and it has not.
        is_new: True if beside those it has an edit that nobody had before.
        is_authored: True if its author changed its parent: made what it adds again, not took it in.
    """

    sha: str
    parents: tuple[str, ...] = ()
    operator: str = ""
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    is_new: bool = False
    is_authored: bool = False

    @classmethod
    def of(cls, variant: Variant) -> Self:
        """A variant as the statistics see it: an edit that was made before is no new one."""
        return cls(
            variant.sha,
            variant.parents,
            variant.operator,
            (*variant.adds, *variant.repeats),
            (*variant.drops, *variant.reverts),
            is_new=bool(variant.hunks),
            is_authored=len(variant.parents) == 1 and not variant.unites,
        )

    @property
    def unites(self) -> bool:
        """True if its own edit is only what edits of others do in company."""
        return len(self.parents) > 1 or (bool(self.adds or self.drops) and not self.is_new)

    @property
    def relatives(self) -> tuple[str, ...]:
        """Commits of its parents, and of those whose edits it has beside theirs, or lacks."""
        return (*self.parents, *self.adds, *self.drops)


Form = Mapping[str, int]  # Σ coefficient · fitness of that variant


class Pedigree:
    """The edits of all variants of a run.

    ``order`` holds the variants, parents before children, the same for any order of arrival.

    Raises:
        ValueError: A parent, or a variant whose edit was added or dropped, is not among the
            nodes; or a variant is its own ancestor.
    """

    def __init__(self, nodes: Iterable[VariantNode]) -> None:
        self._nodes = {node.sha: node for node in sorted(nodes, key=lambda node: node.sha)}
        self.order = _relatives_first(self._nodes)
        self._lines: dict[str, frozenset[str]] = {}  # itself and its ancestors
        self._depths: dict[str, int] = {}
        self._edits: dict[str, frozenset[str]] = {}
        self._before: dict[str, Form] = {}
        for node in self.order:
            self._take(node)

    def _take(self, node: VariantNode) -> None:
        self._before[node.sha] = self.before(node)
        self._edits[node.sha] = self.edits(node)
        lines = (self._lines[parent] for parent in node.parents)
        self._lines[node.sha] = frozenset[str]({node.sha}).union(*lines)
        self._depths[node.sha] = max((self._depths[p] + 1 for p in node.parents), default=0)

    def grown(self, nodes: Iterable[VariantNode]) -> "Pedigree":
        """The same with further variants, which come last in its order; this one stays as it is.

        Raises:
            ValueError: A relative of one is neither here nor among them.
        """
        new = {node.sha: node for node in nodes if node.sha not in self._nodes}
        outside = {
            sha: self._nodes[sha] for n in new.values() for sha in n.relatives if sha in self
        }
        later = [node for node in _relatives_first(_rooted(outside) | new) if node.sha in new]
        grown = copy.copy(self)
        grown._nodes, grown.order = self._nodes | new, [*self.order, *later]
        grown._lines, grown._depths = dict(self._lines), dict(self._depths)
        grown._edits, grown._before = dict(self._edits), dict(self._before)
        for node in later:
            grown._take(node)
        return grown

    def __contains__(self, sha: str) -> bool:
        return sha in self._nodes

    def __getitem__(self, sha: str) -> VariantNode:
        return self._nodes[sha]

    def edits(self, node: VariantNode) -> frozenset[str]:
        """The edits a variant carries; the baseline carries none."""
        if node.sha in self._edits:
            return self._edits[node.sha]
        inherited = self._inherited(node)
        return inherited | {node.sha} if node.parents else inherited

    def _inherited(self, node: VariantNode) -> frozenset[str]:
        """The edits it carries beside its own."""
        carried, line = frozenset[str](), frozenset[str]()
        for number, parent in enumerate(node.parents):
            if number == 0:
                carried, line = self._edits[parent], self._lines[parent]
                continue
            # As git merges: what both have, and what either side has beyond their common ancestor;
            # so an edit that one side took out, or in, since then is out, or in.
            shared = line & self._lines[parent]
            base = min(shared, key=lambda sha: (-self._depths[sha], sha), default=None)
            before = self._edits[base] if base is not None else frozenset[str]()
            other = self._edits[parent]
            carried = (carried & other) | ((carried | other) - before)
            line |= self._lines[parent]
        return (carried | frozenset(node.adds)) - frozenset(node.drops)

    def before(self, node: VariantNode) -> Form:
        """What a variant's fitness would be without its own edit, in terms of other variants.

        For a mutation that is its parent. For a merge it is the first parent plus each edit that
        it has from others, less each that it lacks; nearly all of it cancels, down to
        a + b − common ancestor.
        """
        if node.sha in self._before:
            return self._before[node.sha]
        if not node.parents:
            return {}
        first = node.parents[0]
        form = {first: 1}
        if len(node.relatives) > 1:
            carried = self._inherited(node)
            own = self._edits[first]
            signs = [(edit, 1) for edit in carried - own] + [(edit, -1) for edit in own - carried]
            for edit, sign in sorted(signs):
                form[edit] = form.get(edit, 0) + sign
                for sha, coefficient in self._before[edit].items():
                    form[sha] = form.get(sha, 0) - sign * coefficient
        return {sha: coefficient for sha, coefficient in form.items() if coefficient}


def with_relatives(nodes: Mapping[str, VariantNode], shas: Iterable[str]) -> list[VariantNode]:
    """These and the baseline, with all that they descend from or took edits of, in nodes' order."""
    wanted: set[str] = set()
    waiting = [*shas, *(sha for sha, node in nodes.items() if not node.parents)]
    while waiting:
        sha = waiting.pop()
        if sha not in wanted:
            wanted.add(sha)
            waiting += nodes[sha].relatives
    return [node for sha, node in nodes.items() if sha in wanted]


def _rooted(nodes: Mapping[str, VariantNode]) -> dict[str, VariantNode]:
    """The same without what they descend from."""
    return {sha: VariantNode(sha) for sha in nodes}


def _relatives_first(nodes: Mapping[str, VariantNode]) -> list[VariantNode]:
    for node in nodes.values():
        for other in node.relatives:
            if other not in nodes:
                raise ValueError(f"{node.sha} names {other}, which is not in the run.")
    sorter = TopologicalSorter({sha: sorted(node.relatives) for sha, node in nodes.items()})
    try:
        return [nodes[sha] for sha in sorter.static_order()]
    except CycleError as error:
        raise ValueError(f"A variant is its own ancestor: {error.args[1]}.") from error
