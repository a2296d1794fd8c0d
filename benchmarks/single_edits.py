"""Single edits of the baseline, from all sources that a run breeds from, for one profile.

Seeds, published changes that the baseline lacks, and what the built-in operators draw. Knobs that
say how much arithmetic a token takes are left alone: edits are compared at equal tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numpy.random import Generator, default_rng

from agents import Context, KnobEdit, Operator, Parent, Refusal, StructureEdit
from benchmarks.catalogue import DISCOVERIES
from benchmarks.seeds import shipped_seeds
from population import Genome, Manual, Origin, Variant, canonical_hash

#: Knobs by which a token takes more or less arithmetic.
FROZEN = ("DEPTH", "WIDTH", "MLP_RATIO")
#: Draws in which an operator may fail to find something new before it is out of ideas.
PATIENCE = 20


@dataclass(frozen=True, slots=True)
class SingleEdit:
    """The baseline with one edit.

    Attributes:
        variant: As a run would know it, named by the hash of its genome; its operator is where it
            comes from.
        text: The genome.
    """

    variant: Variant
    text: str

    @property
    def sha(self) -> str:
        """Names it."""
        return self.variant.sha

    @property
    def what(self) -> str:
        """In words."""
        return self.variant.hypothesis


def root(baseline: str) -> Variant:
    """The baseline as a run would know it."""
    return _variant(baseline, "baseline", Origin.BASELINE, "the baseline", parents=())


def single_edits(baseline: str, profile: str, *, drawn: int, rng_seed: int = 0) -> list[SingleEdit]:
    """Seeds, what the baseline lacks of the catalogue, and ``drawn`` from each built-in operator.

    No two are the same genome; an operator that is out of ideas gives fewer.
    """
    start = root(baseline)
    found: dict[str, SingleEdit] = {}
    seen = {start.genome_hash}
    given = [("seed", name, seed.text) for name, seed in shipped_seeds(profile).items()]
    given += [("catalogue", d.name, d.apply(baseline)) for d in DISCOVERIES if not d.in_baseline]
    for source, what, text in given:
        edit = _edit(text, source, what, start)
        if edit.variant.genome_hash not in seen:
            seen.add(edit.variant.genome_hash)
            found[edit.sha] = edit
    rng = default_rng(rng_seed)
    for operator in (KnobEdit(), StructureEdit()):
        for edit in _drawn(operator, baseline, seen, drawn, rng):
            found[edit.sha] = edit
    return list(found.values())


def _drawn(
    operator: Operator, baseline: str, seen: set[str], count: int, rng: Generator
) -> Iterator[SingleEdit]:
    start, genome = root(baseline), Genome.single(baseline)
    refusals = 0
    while count and refusals < PATIENCE:
        context = Context(
            parents=[Parent(start, genome)],
            baseline=genome,
            seen=frozenset(seen),
            rng=rng,
            manual=Manual(frozen=FROZEN),
        )
        proposal = operator.propose(context)
        if isinstance(proposal, Refusal):
            refusals += 1
            continue
        edit = _edit(proposal.genome.main, operator.name, proposal.hypothesis, start)
        seen.add(edit.variant.genome_hash)
        count -= 1
        yield edit


def united_edit(text: str, parent: Variant, edits: Sequence[SingleEdit]) -> SingleEdit:
    """The baseline with several edits."""
    words = " + ".join(edit.what for edit in edits)
    adds = tuple(edit.sha for edit in edits)
    parents = (parent.sha,)
    return SingleEdit(_variant(text, "guided", Origin.CROSSOVER, words, parents, adds), text)


def _edit(text: str, source: str, what: str, parent: Variant) -> SingleEdit:
    return SingleEdit(_variant(text, source, Origin.MUTATION, what, parents=(parent.sha,)), text)


def _variant(
    text: str,
    operator: str,
    origin: Origin,
    hypothesis: str,
    parents: tuple[str, ...],
    adds: tuple[str, ...] = (),
) -> Variant:
    genome_hash = canonical_hash(Genome.single(text))
    return Variant(
        sha=genome_hash[:40],
        name=genome_hash[:8],
        generation=len(parents),
        parents=parents,
        origin=origin,
        operator=operator,
        hypothesis=hypothesis,
        genome_hash=genome_hash,
        created_at=0.0,
        adds=adds,
    )
