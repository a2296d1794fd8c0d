"""Briefing: what the run knows that bears on one proposal, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Effect:
    """One edit of a lineage and what it did.

    Attributes:
        variant: Name.
        operator: Who made it.
        hypothesis: Why.
        gain: In bpb against its parent, positive is better; None if unknown.
        sd: Standard deviation of ``gain``; None if unknown.
    """

    variant: str
    operator: str
    hypothesis: str
    gain: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class FailedTry:
    """A variant that gave no score.

    Attributes:
        variant: Name.
        trial: Number.
        kind: Class of the failure, e.g. ``out_of_memory``.
        message: What it said last.
        diff: Against its parent, unified.
    """

    variant: str
    trial: int
    kind: str
    message: str
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An idea of a person; ``id`` is how the store and the lineage call it."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Briefing:
    """What an operator may be told beside its parents. Everything is data; empty is unknown.

    Attributes:
        lineage: Edits from the baseline to the first parent, oldest first.
        failures: Latest first.
        curves: By variant: rows of a short table, column to number (``progress``, ``loss``,
            ``grad_norm``, ``steps_per_second``, ``memory_mb``, ``mfu``).
        tuner: State of the knob tuner, in words.
        hardware: Facts of the machine, in words.
        suggestions: Of people, the oldest unanswered first.
        under_way: Hypotheses that others work on now, or that wait for a score.
        lessons: The run's page of lessons, Markdown.
        borrowed: Edits of other lineages that worked, best first.
    """

    lineage: Sequence[Effect] = ()
    failures: Sequence[FailedTry] = ()
    curves: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    tuner: str = ""
    hardware: str = ""
    suggestions: Sequence[Suggestion] = ()
    under_way: Sequence[str] = ()
    lessons: str = ""
    borrowed: Sequence[Effect] = ()
