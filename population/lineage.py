"""Lineage: who descends from whom. Pure: knows variants' commits and order, nothing of git."""

from collections.abc import Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from population.errors import EvolveError
from population.pedigree import Pedigree, VariantNode
from population.variant import Variant


class LineageError(EvolveError):
    """The variants do not form a family tree."""


def generation_of(parents: Iterable[Variant]) -> int:
    """1 + the highest generation of ``parents``; 0 without any."""
    return max((parent.generation + 1 for parent in parents), default=0)


class Lineage:
    """The family tree of a set of variants; parents may come after their offspring.

    Args:
        variants: All of them; every parent must be among them.

    Raises:
        LineageError: A parent is missing, a commit comes twice, or the parents form a cycle.
    """

    def __init__(self, variants: Iterable[Variant] = ()) -> None:
        given = list(variants)
        self._variants = {variant.sha: variant for variant in given}
        if len(self._variants) < len(given):
            raise LineageError(
                f"{len(given) - len(self._variants)} commits come twice among {len(given)} "
                "variants, but a lineage holds each once. Pass each variant once."
            )
        order = self._in_order(given)
        self._children: dict[str, list[str]] = {sha: [] for sha in self._variants}
        self._depths: dict[str, int] = {}
        self._pedigree: Pedigree | None = None
        for sha in order:
            self._set_depth(self._variants[sha])
        for variant in given:
            self._tell_parents(variant)

    def _in_order(self, given: Sequence[Variant]) -> list[str]:
        for variant in given:
            self._check_parents(variant)
        sorter = TopologicalSorter({variant.sha: variant.parents for variant in given})
        try:
            return list(sorter.static_order())
        except CycleError as error:
            circle = " → ".join(sha[:10] for sha in error.args[1])
            raise LineageError(
                f"The parents form a cycle, {circle}, but a variant cannot be its own ancestor. "
                "The database was changed by hand: restore it from a copy."
            ) from None

    def _check_parents(self, variant: Variant) -> None:
        for parent in variant.parents:
            if parent not in self._variants:
                raise LineageError(
                    f"{variant.name} has the parent {parent[:10]}, which is not among the "
                    f"{len(self._variants)} variants; a lineage needs every parent. Add the "
                    "parents first."
                )

    def _set_depth(self, variant: Variant) -> None:
        self._depths[variant.sha] = max(
            (self._depths[parent] + 1 for parent in variant.parents), default=0
        )

    def _tell_parents(self, variant: Variant) -> None:
        for parent in dict.fromkeys(variant.parents):
            self._children[parent].append(variant.sha)

    def add(self, variant: Variant) -> None:
        """Take in one more variant, whose parents are here already.

        Raises:
            LineageError: A parent is missing, or another variant has this commit.
        """
        if variant.sha in self._variants:
            raise LineageError(
                f"{variant.sha[:10]} is in the lineage already, as "
                f"{self._variants[variant.sha].name}; each commit comes once. Do not add it again."
            )
        self._check_parents(variant)
        self._pedigree = None
        self._variants[variant.sha] = variant
        self._children[variant.sha] = []
        self._set_depth(variant)
        self._tell_parents(variant)

    def __contains__(self, sha: object) -> bool:
        return sha in self._variants

    def __len__(self) -> int:
        return len(self._variants)

    def _known(self, sha: str) -> str:
        if sha not in self._variants:
            raise LineageError(
                f"{sha[:10]} is not among the {len(self)} variants of this lineage; a commit of "
                "one of them is needed. `evolve leaderboard` lists them."
            )
        return sha

    def variant(self, sha: str) -> Variant:
        """The variant with this commit."""
        return self._variants[self._known(sha)]

    def parents(self, sha: str) -> tuple[str, ...]:
        """Its parents, in order."""
        return self.variant(sha).parents

    def children(self, sha: str) -> tuple[str, ...]:
        """Its offspring, in the order they came."""
        return tuple(self._children[self._known(sha)])

    def depth(self, sha: str) -> int:
        """Steps on the longest way up to a variant without parents."""
        return self._depths[self._known(sha)]

    def ancestors(self, sha: str) -> frozenset[str]:
        """Everything it descends from, itself excluded."""
        return self._reach(sha, self.parents)

    def descendants(self, sha: str) -> frozenset[str]:
        """Everything that descends from it, itself excluded."""
        return self._reach(sha, self.children)

    def heirs(self, sha: str) -> frozenset[str]:
        """What descends from it, took its edit in, or descends from such; itself excluded."""
        followers: dict[str, list[str]] = {}
        for variant in self._variants.values():
            for one in (*variant.parents, *variant.adds):
                followers.setdefault(one, []).append(variant.sha)
        return self._reach(self._known(sha), lambda one: tuple(followers.get(one, ())))

    def family(self, sha: str) -> frozenset[str]:
        """Itself, its ancestors, those whose edits any of these took in or out, and theirs."""
        return self._reach(sha, lambda one: self.variant(one).relatives) | {sha}

    def edits(self, sha: str) -> frozenset[str]:
        """Commits of the variants whose own edits it carries, itself among them.

        Its ancestors, but for edits that somebody took out on the way, and with those that were
        added one by one from elsewhere.
        """
        if self._pedigree is None:
            self._pedigree = Pedigree(VariantNode.of(v) for v in self._variants.values())
        return self._pedigree.edits(self._pedigree[self._known(sha)])

    def _reach(self, sha: str, step: Callable[[str], tuple[str, ...]]) -> frozenset[str]:
        found: set[str] = set()
        ahead = list(step(sha))
        while ahead:
            relative = ahead.pop()
            if relative not in found:
                found.add(relative)
                ahead.extend(step(relative))
        return frozenset(found)

    def common_ancestor(self, a: str, b: str) -> str | None:
        """The last common ancestor; one of the two if it is the other's; None if there is none.

        Of several as deep the one with the smaller commit, so that the answer never depends on
        the order of the arguments.
        """
        shared = (self.ancestors(a) | {a}) & (self.ancestors(b) | {b})
        # The deepest is never an ancestor of another shared one: an ancestor is always shallower.
        return min(shared, key=lambda sha: (-self._depths[sha], sha), default=None)

    def path_to_root(self, sha: str) -> list[str]:
        """From ``sha`` up along first parents to a variant without any, both ends included."""
        path = [self._known(sha)]
        while parents := self.parents(path[-1]):
            path.append(parents[0])
        return path
