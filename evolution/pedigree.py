"""Pedigree: which edits a variant carries, as sums and differences of other variants' fitness.

Every mutation and every seed is one edit, named by the commit that made it and carried by all
its descendants; a merge carries the union of its parents' edits, and one of its own: what they do
only in company. Knows nothing of scores.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter


@dataclass(frozen=True, slots=True)
class VariantNode:
    """A variant as the statistics see it.

    Attributes:
        sha: Commit of the variant.
        parents: Commits of the parents: none for the baseline, two for a merge.
        operator: Who made it; edits of one operator share a mean effect.
    """

    sha: str
    parents: tuple[str, ...] = ()
    operator: str = ""

    @property
    def is_merge(self) -> bool:
        """True if its own edit is only what its parents' edits do in company."""
        return len(self.parents) > 1


Form = Mapping[str, int]  # Σ coefficient · fitness of that variant


class Pedigree:
    """The edits of all variants of a run.

    ``order`` holds the variants, parents before children, the same for any order of arrival.

    Raises:
        ValueError: A parent is not among the nodes, or a variant is its own ancestor.
    """

    def __init__(self, nodes: Iterable[VariantNode]) -> None:
        self._nodes = {node.sha: node for node in sorted(nodes, key=lambda node: node.sha)}
        self.order = _parents_first(self._nodes)
        self._edits: dict[str, frozenset[str]] = {}
        self._before: dict[str, Form] = {}
        for node in self.order:
            self._edits[node.sha] = self.edits(node)
            self._before[node.sha] = self.before(node)

    def __contains__(self, sha: str) -> bool:
        return sha in self._nodes

    def __getitem__(self, sha: str) -> VariantNode:
        return self._nodes[sha]

    def edits(self, node: VariantNode) -> frozenset[str]:
        """The edits a variant carries; the baseline carries none."""
        if node.sha in self._edits:
            return self._edits[node.sha]
        inherited = frozenset[str]().union(*(self._edits[parent] for parent in node.parents))
        return inherited | {node.sha} if node.parents else inherited

    def before(self, node: VariantNode) -> Form:
        """What a variant's fitness would be without its own edit, in terms of other variants.

        For a mutation that is its parent. For a merge it is the first parent plus each edit that
        only the others carry; nearly all of it cancels, down to a + b − common ancestor.
        """
        if node.sha in self._before:
            return self._before[node.sha]
        if not node.parents:
            return {}
        first, *others = node.parents
        carried = self._edits[first]
        foreign = frozenset[str]().union(*(self._edits[other] for other in others)) - carried
        form = {first: 1}
        for edit in sorted(foreign):
            form[edit] = form.get(edit, 0) + 1
            for sha, coefficient in self._before[edit].items():
                form[sha] = form.get(sha, 0) - coefficient
        return {sha: coefficient for sha, coefficient in form.items() if coefficient}


def _parents_first(nodes: Mapping[str, VariantNode]) -> list[VariantNode]:
    for node in nodes.values():
        for parent in node.parents:
            if parent not in nodes:
                raise ValueError(f"{node.sha} names the parent {parent}, which is not in the run.")
    sorter = TopologicalSorter({sha: sorted(node.parents) for sha, node in nodes.items()})
    try:
        return [nodes[sha] for sha in sorter.static_order()]
    except CycleError as error:
        raise ValueError(f"A variant is its own ancestor: {error.args[1]}.") from error
