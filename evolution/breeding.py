"""Breeding: which parents, which operator, and the offspring as a commit with its row.

Selection and variation of the textbook. Knows git and the store through `Branches` and `Store`;
nothing of trials and budgets.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from agents import Context, Operator, Parent, Proposal, Refusal
from evolution.config import PopulationSettings
from evolution.selection import survivors, tournament
from population import (
    Branches,
    Contract,
    Fitness,
    Genome,
    Lineage,
    Origin,
    Store,
    Variant,
    canonical_hash,
    commit_message,
    generation_of,
)

#: Draws of operator and parents before a turn is given up; each refused draw is ordinary news.
DRAWS = 12
#: Genomes kept in memory: tens of kilobytes each, and a run of days breeds many.
KEPT_GENOMES = 512


@dataclass(frozen=True, slots=True)
class Offspring:
    """What a turn of breeding made."""

    variant: Variant
    refusals: tuple[Refusal, ...]


class Breeder:
    """Makes offspring of a run's variants.

    Args:
        run: Name of the run: part of every branch.
        operators: By name.
        weights: How often each is asked, relative to the others.
        settings: Survivors and tournament.
        program: Text of program.md, for the operators that read it.
        contract: What offspring must keep.
    """

    def __init__(  # noqa: PLR0913 - what a breeder knows, each by its name
        self,
        *,
        run: str,
        store: Store,
        branches: Branches,
        operators: Mapping[str, Operator],
        weights: Mapping[str, float],
        settings: PopulationSettings,
        clock: Callable[[], float],
        program: str = "",
        contract: Contract | None = None,
    ) -> None:
        self._run = run
        self._store = store
        self._branches = branches
        self._operators = operators
        self._weights = weights
        self._settings = settings
        self._clock = clock
        self._program = program
        self.contract = contract or Contract()
        self._read_genome = functools.lru_cache(KEPT_GENOMES)(branches.genome)

    def breed(
        self,
        *,
        fitnesses: Mapping[str, Fitness],
        sigma: float | None,
        history: Sequence[str],
        rng: Generator,
    ) -> Offspring | tuple[Refusal, ...]:
        """Select, vary, commit: one new variant, or the reasons why there is none."""
        variants = {v.sha: v for v in self._store.variants()}
        lineage = Lineage(list(variants.values()))
        field = self._survivors(variants, fitnesses)
        seen = self._store.genome_hashes()
        refusals: list[Refusal] = []
        for _ in range(DRAWS):
            operator = self._operators[self._draw_operator(rng)]
            shas = self._draw_parents(operator, field, fitnesses, lineage, rng)
            if len(shas) < operator.parent_count:
                refusals.append(Refusal(operator.name, "no two parents with lines of their own"))
                continue
            context = self._context(
                [variants[sha] for sha in shas], fitnesses, lineage, seen, sigma, history, rng
            )
            proposal = operator.propose(context)
            if isinstance(proposal, Proposal):
                return Offspring(self._commit(proposal, variants), tuple(refusals))
            refusals.append(proposal)
        return tuple(refusals)

    def adopt(self, genome: Genome, *, idea: str, parent: Variant) -> Variant:
        """Take in a hand-written variant as a child of ``parent``; the same genome only once."""
        genome_hash = canonical_hash(genome)
        for variant in self._store.variants():
            if variant.genome_hash == genome_hash:
                return variant
        proposal = Proposal(
            genome=genome,
            parents=(parent.sha,),
            origin=Origin.SEED,
            operator="seed",
            hypothesis=idea,
        )
        return self._commit(proposal, {v.sha: v for v in self._store.variants()})

    def genome(self, sha: str) -> Genome:
        """A variant's files; the latest ones are kept in memory."""
        return self._read_genome(sha)

    def _draw_operator(self, rng: Generator) -> str:
        names = [name for name in self._weights if name in self._operators]
        weights = [self._weights[name] for name in names]
        total = sum(weights)
        return str(rng.choice(names, p=[weight / total for weight in weights]))

    def _survivors(
        self, variants: Mapping[str, Variant], fitnesses: Mapping[str, Fitness]
    ) -> list[tuple[str, Fitness]]:
        scored = [(s, f) for s, f in fitnesses.items() if f.is_scored and s in variants]
        if not scored:  # nothing is known yet: the baseline breeds
            first = next(v for v in variants.values() if v.origin is Origin.BASELINE)
            return [(first.sha, fitnesses.get(first.sha, Fitness(None, 0.0, 0)))]
        best = max(scored, key=lambda entry: entry[1])[0]
        return survivors(
            scored,
            self._settings.survivors,
            leanness={sha: self.genome(sha).size for sha, _ in scored},
            distance={
                sha: _line_distance(self.genome(sha), self.genome(best)) for sha, _ in scored
            },
        )

    def _draw_parents(
        self,
        operator: Operator,
        field: Sequence[tuple[str, Fitness]],
        fitnesses: Mapping[str, Fitness],
        lineage: Lineage,
        rng: Generator,
    ) -> list[str]:
        """One or two commits, the fitter first; two never lie on one line of descent."""
        first = tournament(field, self._settings.tournament, count=1, rng=rng)[0]
        if operator.parent_count == 1:
            return [first]
        kin = {first, *lineage.ancestors(first)}
        others = [
            (sha, _brought(first, sha, fitnesses, lineage))
            for sha, _ in field
            if sha not in kin and first not in lineage.ancestors(sha)
        ]
        if not others:
            return [first]
        second = tournament(others, self._settings.tournament, count=1, rng=rng)[0]
        known = dict(field)
        return sorted((first, second), key=lambda sha: known[sha], reverse=True)

    def _context(
        self,
        parents: Sequence[Variant],
        fitnesses: Mapping[str, Fitness],
        lineage: Lineage,
        seen: frozenset[str],
        sigma: float | None,
        history: Sequence[str],
        rng: Generator,
    ) -> Context:
        base = None
        if len(parents) == 2:
            ancestor = lineage.common_ancestor(parents[0].sha, parents[1].sha)
            base = self.genome(ancestor) if ancestor else None
        root = next(v for v in self._store.variants() if v.origin is Origin.BASELINE)
        return Context(
            parents=tuple(Parent(v, self.genome(v.sha), fitnesses.get(v.sha)) for v in parents),
            baseline=self.genome(root.sha),
            seen=seen,
            rng=rng,
            base=base,
            program=self._program,
            sigma=sigma,
            history=tuple(history),
            contract=self.contract,
        )

    def _commit(self, proposal: Proposal, variants: Mapping[str, Variant]) -> Variant:
        """Objects, then ref, then row: a ref without a row is harmless, the reverse is not."""
        now = self._clock()
        parents = [variants[sha] for sha in proposal.parents]
        generation = generation_of(parents)
        name = f"g{generation:03d}-{self._store.next_serial():03d}"
        trailers = {"Operator": proposal.operator, "Variant": name, **proposal.trailers}
        message = commit_message(proposal.hypothesis, trailers)
        sha = self._branches.commit(
            proposal.genome, parents=proposal.parents, message=message, at=now
        )
        self._branches.anchor(sha, run=self._run, name=name)
        variant = Variant(
            sha=sha,
            name=name,
            generation=generation,
            parents=proposal.parents,
            origin=proposal.origin,
            operator=proposal.operator,
            hypothesis=proposal.hypothesis,
            genome_hash=canonical_hash(proposal.genome),
            created_at=now,
            expected_gain=proposal.expected_gain,
        )
        self._store.add_variant(variant)
        return variant


def _brought(first: str, mate: str, fitnesses: Mapping[str, Fitness], lineage: Lineage) -> Fitness:
    """What a mate brings that ``first`` lacks: its fitness against their last common ancestor's.

    Its fitness alone would favour siblings of ``first``, which are good for what both have.
    """
    ancestor = lineage.common_ancestor(first, mate)
    own, before = fitnesses[mate], fitnesses.get(ancestor) if ancestor else None
    if own.mean is None or before is None or before.mean is None:
        return Fitness(0.0, own.sd, own.trial_count)  # nothing is known of what it brings
    return Fitness(own.mean - before.mean, own.sd, own.trial_count)


def _line_distance(one: Genome, other: Genome) -> int:
    """Lines that only one of the two has: how unlike two genomes are."""
    return len(_lines(one) ^ _lines(other))


def _lines(genome: Genome) -> set[tuple[str, str]]:
    return {(path, line) for path, text in genome.files.items() for line in text.splitlines()}
