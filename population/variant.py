"""Variant: one version of the genome, immutable, named by its commit."""

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """How a variant came to be; decides how many parents its commit has."""

    BASELINE = "baseline"
    SEED = "seed"
    MUTATION = "mutation"
    CROSSOVER = "crossover"


@dataclass(frozen=True, slots=True)
class Variant:
    """One version of ``train.py``.

    Attributes:
        sha: The commit, 40 hexadecimal digits: the key everywhere.
        name: For people: ``g012-007``, generation and serial number. Unique in a run.
        generation: 1 + the highest generation of the parents; 0 for the baseline.
        parents: Commits of the parents, in order: none, one or two.
        origin: How it was made.
        operator: Who made it, e.g. ``knob``, ``structure``, ``merge``, ``baseline``, ``seed``.
        hypothesis: One line: what was changed and why it should help.
        genome_hash: Canonical hash (``population.genome.canonical_hash``); equal for genomes
            that differ only in comments, layout and names of locals.
        created_at: Seconds since the epoch.
        expected_gain: What its author hoped for, in bpb (positive is better); None if unsaid.
        suggestion: Number of the person's suggestion that it took up; None if it took up none.
        adds: Commits of variants whose own edits it has beside those of its parents.
        drops: Commits of variants whose own edits its parents have and it has not.
        hunks: Names of the hunks of its own edit (`population.edits`): those that are new. Empty
            for what was made of edits of others, and for variants of before there were names.
        repeats: Commits of variants whose own edits its author made again, knowingly or not.
        reverts: Commits of variants whose own edits its author took out again.
        island: On which it was bred, from 0; None if it belongs to all.
    """

    sha: str
    name: str
    generation: int
    parents: tuple[str, ...]
    origin: Origin
    operator: str
    hypothesis: str
    genome_hash: str
    created_at: float
    expected_gain: float | None = None
    suggestion: int | None = None
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    hunks: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    reverts: tuple[str, ...] = ()
    island: int | None = None

    @property
    def unites(self) -> bool:
        """True if it was made of edits of others alone."""
        return len(self.parents) > 1 or bool(self.adds or self.drops)

    @property
    def is_single(self) -> bool:
        """True if it is its parent with one edit that nobody made before."""
        return len(self.parents) == 1 and self.relatives == self.parents

    @property
    def is_repeat(self) -> bool:
        """True if all that its author changed was made, or taken out, before."""
        return bool(self.repeats or self.reverts) and not self.hunks

    @property
    def relatives(self) -> tuple[str, ...]:
        """Commits of its parents, and of those whose edits it has beside theirs, or lacks."""
        return (*self.parents, *self.adds, *self.drops, *self.repeats, *self.reverts)
