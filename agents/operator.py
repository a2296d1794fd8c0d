"""Operators: parents in, proposal out. What each one knows is handed to it, and no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from numpy.random import Generator

from agents.briefing import Briefing
from agents.files import Place
from agents.knob_scales import KnobTrial
from population import Contract, Fitness, Genome, KnobValue, Manual, Metric, Origin, Variant


@dataclass(frozen=True, slots=True)
class Parent:
    """A variant offered for breeding."""

    variant: Variant
    genome: Genome
    fitness: Fitness | None = None


@dataclass(frozen=True, slots=True)
class ArchivedEdit:
    """What one variant of the run changed in its parent, and what that would bring elsewhere.

    Attributes:
        variant: Whose edit it is.
        gain: That is believed of it on the parent at hand, in the metric's unit: of having it, or
            of a carried one, of being without it.
        is_carried: True if the parent at hand has it.
        genomes: The files before and after the edit.
    """

    variant: Variant
    gain: float
    is_carried: bool
    genomes: Callable[[], tuple[Genome, Genome]]


@dataclass(frozen=True, slots=True)
class TriedKnobs:
    """Where a variant of the run has its knobs, and what that is worth.

    Attributes:
        values: By place.
        fitness: What is believed of these knobs with the code of the parent at hand, in the
            metric's unit, lower is better; None if they gave no score.
    """

    values: Mapping[Place, KnobValue]
    fitness: float | None


@dataclass(frozen=True, slots=True)
class Context:
    """What an operator is shown.

    Attributes:
        parents: One parent, or two for a crossover; the fitter one first.
        base: Genome of the parents' last common ancestor; None with one parent.
        baseline: Genome the run started from.
        seen: Canonical hashes of every genome of the run: an exact repeat is refused.
        rng: All chance an operator may use.
        manual: The run's manual in force: rules that an offspring keeps, and advice.
        sigma: Seed noise of one trial, in the metric's unit; None until it is known.
        metric: What the score is; fitnesses are kept so that lower is better.
        history: What was tried, newest first, one line each: operator, hypothesis, effect or
            failure.
        contract: What offspring must keep.
        briefing: What the run knows beside that, for language models.
        intent: What a mutation is meant to be (``agents.intents.Intent``), and stays whatever the
            run learns meanwhile; empty to let the operator draw. Of a repair it names the trial.
        known: Ideas that count as known to whoever has ideas first; None for what history and
            briefing say now.
        knob_trials: What the run's turns of knobs brought, oldest first.
        archive: Single edits of the whole run that were measured.
        tried_knobs: Knobs of all variants that can be compared with the first parent, oldest first.
    """

    parents: Sequence[Parent]
    baseline: Genome
    seen: frozenset[str]
    rng: Generator
    base: Genome | None = None
    manual: Manual = field(default_factory=Manual)
    sigma: float | None = None
    history: Sequence[str] = ()
    contract: Contract = field(default_factory=Contract)
    briefing: Briefing = field(default_factory=Briefing)
    intent: str = ""
    metric: Metric = field(default_factory=Metric)
    known: Sequence[str] | None = None
    knob_trials: Sequence[KnobTrial] = ()
    archive: Callable[[], Sequence[ArchivedEdit]] = tuple
    tried_knobs: Callable[[], Sequence[TriedKnobs]] = tuple


@dataclass(frozen=True, slots=True)
class Proposal:
    """An operator's genome and reason.

    Attributes:
        genome: The offspring.
        parents: Commits, in order; two make a merge commit.
        origin: Mutation or crossover.
        operator: Name of the operator.
        hypothesis: One line: what changed and why it should help.
        expected_gain: In bpb, positive is better; None if unsaid.
        trailers: Further facts for the commit message, e.g. ``{"Knob": "MATRIX_LR"}``.
        cost_usd: Dollars the proposal cost.
        calls: Rows of the calls it came from.
        suggestion: The person's idea it took up (``Suggestion.id``); None if none.
        adds: Commits of variants whose own edits it has beside those of its parents.
        drops: Commits of variants whose own edits its parents have and it has not.
    """

    genome: Genome
    parents: tuple[str, ...]
    origin: Origin
    operator: str
    hypothesis: str
    expected_gain: float | None = None
    trailers: Mapping[str, str] = field(default_factory=dict)
    cost_usd: float = 0.0
    calls: tuple[int, ...] = ()
    suggestion: str | None = None
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operator had nothing to propose: ordinary news, with the reason and what it cost."""

    operator: str
    reason: str
    calls: tuple[int, ...] = ()


class Operator(Protocol):
    """Makes offspring."""

    @property
    def name(self) -> str:
        """How the operator is called in settings, commits and tables."""
        ...

    @property
    def parent_count(self) -> int:
        """1 for a mutation, 2 for a crossover."""
        ...

    def propose(self, context: Context) -> Proposal | Refusal:
        """Make one offspring of ``context.parents``, or say why not.

        The genome differs from its parents, keeps the contract and the manual's rules
        (``population.rule_problems`` is empty), and is not in ``context.seen``.
        """
        ...
