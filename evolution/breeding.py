"""Breeding: which parents, which operator, and the offspring as a commit with its row.

Selection and variation of the textbook. Knows git and the store through `Branches` and `Store`;
nothing of trials and budgets.
"""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from agents import (
    ArchivedEdit,
    Context,
    KnobTrial,
    Operator,
    Parent,
    Proposal,
    Refusal,
    TriedKnobs,
)
from evolution.config import PopulationSettings
from evolution.islands import Ring
from evolution.knob_trials import KnobRecord
from evolution.manuals import HASH_DIGITS, TRAILER
from evolution.niches import Cell, cell, described
from evolution.noise import Posterior
from evolution.selection import RESERVE_REACH, breeding_values, survivors, tournament
from evolution.tried_knobs import KnobTable
from population import (
    Branches,
    Contract,
    Fitness,
    Genome,
    Lineage,
    Manual,
    Mark,
    Metric,
    Origin,
    Outcome,
    Purpose,
    Store,
    TrialStatus,
    Variant,
    canonical_hash,
    code_size,
    commit_message,
    generation_of,
    rule_problems,
    suggestion_number,
)
from population.edits import Recurrence, hunks, recurrence
from population.people import barred_by

#: Draws of operator and parents before a turn is given up; each refused draw is ordinary news.
DRAWS = 12
#: The same on each island that is asked after the one whose turn it is.
DRAWS_ELSEWHERE = 3
#: Share of the first parents that are drawn among the pinned variants, while there are any: a
#: tournament would hardly ever pick one that is not among the best.
PINNED_DRAWS = 0.25
#: Key of the trailer that names a person's suggestion in the message of a variant's commit.
SUGGESTION = "Suggestion"
#: Keys of the trailers that name the variants whose own edits were added or taken out.
ADDS, DROPS = "Adds", "Drops"
#: Offspring of one operator that may be under way at once; what it goes by is what they will tell.
MOST_UNDER_WAY = {"guided": 2}
#: A tournament is so many times smaller while the search is flat.
FLAT_SHARE = 4
#: Genomes kept in memory: tens of kilobytes each, and a run of days breeds many.
KEPT_GENOMES = 512


@dataclass(frozen=True, slots=True)
class Offspring:
    """What a turn of breeding made."""

    variant: Variant
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a turn of breeding goes by, as it stands now.

    Attributes:
        fitnesses: By commit.
        sigma: Seed noise of one trial; None until it is known.
        history: What was tried, newest first, one line each.
        manual: In force.
        belief: What the fitnesses follow from; None to tell no effects of edits.
    """

    fitnesses: Mapping[str, Fitness]
    sigma: float | None
    history: Sequence[str]
    manual: Manual
    belief: Posterior | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """Who there is, and who of them may breed.

    Attributes:
        variants: Every one, by commit.
        survivors: Those that breed, best first, by breeding value.
        lineage: Of all.
        seen: Canonical hashes of every genome.
        known: What the field was drawn up from; without the fitnesses of banned lines, so that
            nothing is made of them or told as a success.
        pinned: Those of the survivors that people pinned.
        barred: Banned variants, and what descends from them.
        island: Of those that breed; None where there is one field.
    """

    variants: Mapping[str, Variant]
    survivors: Sequence[tuple[str, Fitness]]
    lineage: Lineage
    seen: frozenset[str]
    known: Knowledge
    pinned: Sequence[str] = ()
    barred: frozenset[str] = frozenset()
    island: int | None = None


class Breeder:
    """Makes offspring of a run's variants.

    Args:
        run: Name of the run: part of every branch.
        operators: By name.
        weights: How often each that a manual allows is asked now, relative to the others.
        settings: Survivors and tournament.
        contract: What the task asks of offspring.
        ring: The islands of the run as they stand; None while it is one field.
        is_flat: True while the search answers to being flat.
    """

    def __init__(  # noqa: PLR0913 - what breeding needs of a run, by name
        self,
        *,
        run: str,
        store: Store,
        branches: Branches,
        operators: Mapping[str, Operator],
        weights: Callable[[Manual], Mapping[str, float]],
        settings: PopulationSettings,
        clock: Callable[[], float],
        contract: Contract | None = None,
        ring: Callable[[], Ring | None] = lambda: None,
        is_flat: Callable[[], bool] = lambda: False,
    ) -> None:
        self._run = run
        self._store = store
        self._branches = branches
        self._operators = operators
        self._weights = weights
        self._settings = settings
        self._clock = clock
        self.contract = contract or Contract()
        self._ring, self.is_flat = ring, is_flat
        self._keeps_rules: dict[tuple[str, str], bool] = {}
        self._read_genome = functools.lru_cache(KEPT_GENOMES)(branches.genome)
        self._knob_record = KnobRecord(self.genome)
        self._knob_table = KnobTable(self.genome)

    def breed(self, known: Knowledge, rng: Generator) -> Offspring | tuple[Refusal, ...]:
        """Select, propose, commit: one new variant, or the reasons why there is none.

        Islands take turns; one that can make nothing now is passed over.
        """
        refusals: list[Refusal] = []
        asked = self._asked_of(known.manual)
        if not asked:
            return ()
        ring = self._ring()
        draws = DRAWS
        for island in ring.from_turn() if ring is not None else [None]:
            field = self.field(known, island)
            for _ in range(draws):
                made = self._bred(self._operators[_drawn(asked, rng)], field, rng)
                if isinstance(made, Variant):
                    return Offspring(made, tuple(refusals))
                refusals.append(made)
            draws = DRAWS_ELSEWHERE
        return tuple(refusals)

    def _bred(self, operator: Operator, field: Field, rng: Generator) -> Variant | Refusal:
        shas = self.draw_parents(operator.parent_count, field, rng)
        if len(shas) < operator.parent_count:
            return Refusal(operator.name, "no two parents with lines of their own")
        proposal = operator.propose(self.context(field, shas, rng))
        if isinstance(proposal, Refusal):
            return proposal
        return self._commit(proposal, field.lineage, field.known.manual, field.island)

    def island(self, number: int) -> int | None:
        """That of work that is asked for ahead of need, by its number; None in one field."""
        ring = self._ring()
        return None if ring is None else number % ring.count

    def field(self, known: Knowledge, island: int | None = None) -> Field:
        """Who may breed now, on one island or anywhere."""
        variants = {v.sha: v for v in self._store.variants()}
        marks = self._store.marks()
        barred, fitnesses = barred_by(marks), known.fitnesses
        if barred:
            fitnesses = {sha: f for sha, f in fitnesses.items() if sha not in barred}
        pinned = [sha for sha in variants if marks.get(sha) is Mark.PINNED]
        ring = self._ring() if island is not None else None
        there = variants if ring is None else ring.members(island or 0)
        native = {sha: fitness for sha, fitness in fitnesses.items() if sha in there}
        survivors = self._survivors(variants, native, known, pinned)
        breeding = {sha for sha, _ in survivors}
        return Field(
            variants=variants,
            survivors=survivors,
            lineage=Lineage(list(variants.values())),
            seen=self._store.genome_hashes(),
            known=replace(known, fitnesses=fitnesses),
            pinned=[sha for sha in pinned if sha in breeding],
            barred=barred,
            island=island,
        )

    def context(self, field: Field, shas: Sequence[str], rng: Generator) -> Context:
        """What an operator is shown of the parents ``shas``; it needs neither store nor git."""
        known = field.known
        parents = [field.variants[sha] for sha in shas]
        return Context(
            parents=tuple(
                Parent(v, self.genome(v.sha), known.fitnesses.get(v.sha)) for v in parents
            ),
            baseline=self.baseline,
            seen=field.seen,
            rng=rng,
            base=self._base(parents, field.lineage),
            manual=known.manual,
            sigma=known.sigma,
            history=tuple(known.history),
            contract=self.contract,
            metric=self._metric,
            knob_trials=self._knob_trials(field),
            archive=functools.partial(self._archive, field, parents[0].sha),
            tried_knobs=functools.partial(self.tried_knobs, field, parents[0].sha),
        )

    def tried_knobs(self, field: Field, parent: str) -> Sequence[TriedKnobs]:
        """Knobs that were tried, with what each should be worth on the code of ``parent``."""
        belief = field.known.belief
        if belief is None or parent not in belief:
            return ()
        failed = self._store.failed_variants()
        return self._knob_table.tried(parent, field.variants, failed, belief, barred=field.barred)

    def _knob_trials(self, field: Field) -> Sequence[KnobTrial]:
        if field.known.belief is None:
            return ()
        variants = (v for sha, v in field.variants.items() if sha not in field.barred)
        return self._knob_record.trials(variants, self._store.failed_variants(), field.known.belief)

    def _archive(self, field: Field, parent: str) -> Sequence[ArchivedEdit]:
        """Single edits that were measured, with what each should bring on ``parent``."""
        belief = field.known.belief
        if belief is None or parent not in belief:
            return ()
        single = [
            variant
            for sha, variant in field.variants.items()
            if variant.is_single
            and sha not in field.barred
            and sha in belief
            and belief.is_scored(sha)
        ]
        carried = belief.carries(parent)
        effects = belief.edit_means([variant.sha for variant in single])
        return [
            ArchivedEdit(
                variant,
                effects[variant.sha] if variant.sha in carried else -effects[variant.sha],
                variant.sha in carried,
                functools.partial(self._before_and_after, variant),
            )
            for variant in single
        ]

    def _before_and_after(self, variant: Variant) -> tuple[Genome, Genome]:
        return self.genome(variant.parents[0]), self.genome(variant.sha)

    def commit(
        self, proposal: Proposal, manual: Manual, *, island: int | None = None
    ) -> Variant | Refusal:
        """Take in a proposal that was made a while ago, for an island, if it is still one."""
        variants = {v.sha: v for v in self._store.variants()}
        problem = self._problem(proposal, variants, manual)
        if problem is not None:
            return Refusal(proposal.operator, problem, proposal.calls)
        return self._commit(proposal, Lineage(variants.values()), manual, island)

    def _problem(
        self, proposal: Proposal, variants: Mapping[str, Variant], manual: Manual
    ) -> str | None:
        """What has happened since a proposal was made that forbids it; None if nothing has."""
        barred = self._store.barred()
        banned = next((variants[sha] for sha in proposal.parents if sha in barred), None)
        if banned is not None:
            return f"its parent {banned.name} was banned meanwhile"
        genome_hash = canonical_hash(proposal.genome)
        twin = next((v for v in variants.values() if v.genome_hash == genome_hash), None)
        if twin is not None:
            return f"{twin.name} was bred meanwhile and is the same genome"
        problems = rule_problems(manual, proposal.genome, self.baseline, self.contract)
        if problems:
            return f"it breaks the manual that is in force now: {problems[0].message}"
        return None

    def adopt(self, genome: Genome, *, idea: str, parent: Variant, manual: Manual) -> Variant:
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
        return self._commit(proposal, Lineage(self._store.variants()), manual, parent.island)

    def genome(self, sha: str) -> Genome:
        """A variant's files; the latest ones are kept in memory."""
        return self._read_genome(sha)

    def diff(self, variant: Variant) -> str:
        """What a variant changed in its first parent, unified; empty for the baseline."""
        return self._branches.diff(variant.parents[0], variant.sha) if variant.parents else ""

    def trailer(self, sha: str, key: str) -> str | None:
        """The last fact called ``key`` in the message of a variant's commit; None without one."""
        lines = reversed(self._branches.message(sha).splitlines())
        start = f"{key}: "
        return next((line.removeprefix(start) for line in lines if line.startswith(start)), None)

    @functools.cached_property
    def _metric(self) -> Metric:
        return self._store.metric()

    @functools.cached_property
    def baseline(self) -> Genome:
        """The genome that the run starts from."""
        return self.genome(self._store.run().baseline or "")

    def _asked_of(self, manual: Manual) -> dict[str, float]:
        """The operators that may be asked, with their weights."""
        allowed = self._weights(manual)
        busy = self._under_way() if MOST_UNDER_WAY.keys() & allowed.keys() else Counter[str]()
        return {
            name: weight
            for name, weight in allowed.items()
            if name in self._operators and busy[name] < MOST_UNDER_WAY.get(name, math.inf)
        }

    def _under_way(self) -> Counter[str]:
        """How many trials of each operator's offspring wait or run."""
        return Counter(
            self._store.variant(trial.variant).operator
            for status in (TrialStatus.QUEUED, TrialStatus.RUNNING)
            for trial in self._store.trials(status=status)
            if trial.purpose is Purpose.SCREEN
        )

    def _survivors(
        self,
        variants: Mapping[str, Variant],
        fitnesses: Mapping[str, Fitness],
        known: Knowledge,
        pinned: Sequence[str],
    ) -> list[tuple[str, Fitness]]:
        """Who may breed, by breeding value: fitness, and what the manual gives for less code."""
        manual = known.manual
        entries = [
            entry for entry in fitnesses.items() if entry[1].is_scored and entry[0] in variants
        ]
        ranked = sorted(entries, key=lambda entry: entry[1], reverse=True)
        # Lazily: after an edit of the manual every variant of a long run would be checked again.
        allowed = (entry for entry in ranked if self._may_breed(entry[0], manual))
        scored = dict(itertools.islice(allowed, RESERVE_REACH * self._settings.survivors))
        if pinned:
            own = [entry for entry in ranked if entry[0] in pinned]
            scored |= {entry[0]: entry[1] for entry in own if self._may_breed(entry[0], manual)}
        if not scored:  # nothing is known yet: the baseline breeds
            first = next(v for v in variants.values() if v.origin is Origin.BASELINE)
            return [(first.sha, fitnesses.get(first.sha, Fitness(None, 0.0, 0)))]
        values, sizes = scored, None
        if manual.simplicity_weight:
            sizes = {sha: code_size(self.genome(sha)) for sha in scored}
            values = breeding_values(
                scored,
                sizes,
                home_size=code_size(self.baseline),
                worth=manual.simplicity_weight * (known.sigma or 0.0),
            )
        best, niches = max(values, key=lambda sha: values[sha]), self._settings.niches
        return survivors(
            list(values.items()),
            self._settings.survivors,
            leanness=sizes,
            distance={sha: _line_distance(self.genome(sha), self.genome(best)) for sha in scored},
            cells=self._cells(scored) if niches else None,
            pinned=pinned,
        )

    def _cells(self, shas: Collection[str]) -> dict[str, Cell]:
        """The niches of those of whom enough is known."""
        home = self._store.run().baseline or ""
        outcomes: dict[str, list[Outcome]] = {sha: [] for sha in (*shas, home)}
        for trial in self._store.trials():
            if trial.variant in outcomes and trial.outcome is not None:
                outcomes[trial.variant].append(trial.outcome)
        values = {
            sha: described(found, code_size(self.genome(sha)), self._settings.niches)
            for sha, found in outcomes.items()
        }
        at_home = values[home]
        if at_home is None:
            return {}
        return {sha: cell(own, at_home) for sha, own in values.items() if own is not None}

    def _may_breed(self, sha: str, manual: Manual) -> bool:
        """False for a variant from before a rule that it breaks: its offspring would break it."""
        key = (manual.hash, sha)
        if key not in self._keeps_rules:
            problems = rule_problems(manual, self.genome(sha), self.baseline, self.contract)
            self._keeps_rules[key] = not problems
        return self._keeps_rules[key]

    def draw_parents(self, count: int, field: Field, rng: Generator) -> list[str]:
        """One or two commits, the fitter first; two never lie on one line of descent.

        Fewer than ``count`` if there are none such.
        """
        lineage = field.lineage
        if field.pinned and rng.random() < PINNED_DRAWS:
            first = str(rng.choice(list(field.pinned)))
        else:
            first = tournament(field.survivors, self._tournament_size, count=1, rng=rng)[0]
        if count == 1:
            return [first]
        kin = {first, *lineage.ancestors(first)}
        others = [
            (sha, _brought(first, sha, field.known.fitnesses, lineage))
            for sha, _ in field.survivors
            if sha not in kin and first not in lineage.ancestors(sha)
        ]
        if not others:
            return [first]
        second = tournament(others, self._tournament_size, count=1, rng=rng)[0]
        values = dict(field.survivors)
        return sorted((first, second), key=lambda sha: values[sha], reverse=True)

    @property
    def _tournament_size(self) -> int:
        """Smaller while the search is flat: others than the best breed, too."""
        size = self._settings.tournament
        return max(1, size // FLAT_SHARE) if self.is_flat() else size

    def _base(self, parents: Sequence[Variant], lineage: Lineage) -> Genome | None:
        """The last common ancestor of two parents."""
        if len(parents) < 2:
            return None
        ancestor = lineage.common_ancestor(parents[0].sha, parents[1].sha)
        return self.genome(ancestor) if ancestor else None

    def _commit(
        self,
        proposal: Proposal,
        lineage: Lineage,
        manual: Manual,
        island: int | None,
    ) -> Variant:
        """Objects, then ref, then row: a ref without a row is harmless, the reverse is not."""
        now = self._clock()
        parents = [lineage.variant(sha) for sha in proposal.parents]
        generation = generation_of(parents)
        name = f"g{generation:03d}-{self._store.next_serial():03d}"
        trailers = {
            "Operator": proposal.operator,
            "Variant": name,
            **proposal.trailers,
            ADDS: " ".join(proposal.adds),
            DROPS: " ".join(proposal.drops),
            SUGGESTION: proposal.suggestion or "",
            TRAILER: manual.hash[:HASH_DIGITS],
        }
        own = self._recurrence(proposal, lineage)
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
            suggestion=suggestion_number(proposal.suggestion),
            adds=proposal.adds,
            drops=proposal.drops,
            hunks=own.hunks,
            repeats=own.repeats,
            reverts=own.reverts,
            island=island,
        )
        self._store.add_variant(variant)
        return variant

    def _recurrence(self, proposal: Proposal, lineage: Lineage) -> Recurrence:
        """What of a proposal was tried before, in another lineage or in its own."""
        if len(proposal.parents) != 1 or proposal.adds or proposal.drops:
            return Recurrence()
        changed = hunks(self.genome(proposal.parents[0]), proposal.genome)
        return recurrence(
            changed,
            {variant.sha: variant.hunks for variant in self._store.variants()},
            lambda: lineage.edits(proposal.parents[0]),
        )


def _drawn(weights: Mapping[str, float], rng: Generator) -> str:
    """One of the names, each as often as its weight says."""
    total = sum(weights.values())
    return str(rng.choice(list(weights), p=[weight / total for weight in weights.values()]))


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
