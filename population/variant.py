"""Variant: one version of the genome, immutable, named by its commit."""

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """How a variant came to be; decides how many parents its commit has."""

    BASELINE = "baseline"
    SEED = "seed"
    MUTATION = "mutation"
    CROSSOVER = "crossover"


class Bred:
    """What follows from where a variant comes from, of whatever says that."""

    __slots__ = ()

    parents: tuple[str, ...]
    adds: tuple[str, ...]
    drops: tuple[str, ...]

    @property
    def unites(self) -> bool:
        """True if its own edit is only what edits of others do in company."""
        return len(self.parents) > 1 or bool(self.adds or self.drops)

    @property
    def relatives(self) -> tuple[str, ...]:
        """Commits of its parents, and of those whose edits it took in or out."""
        return (*self.parents, *self.adds, *self.drops)


@dataclass(frozen=True, slots=True)
class Variant(Bred):
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
    island: int | None = None
