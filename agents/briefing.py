"""Briefing: what the run knows that bears on one proposal, as values, and as a part of a prompt.

The values are gathered in ``evolution.briefings``. Shown, everything is data: bounded, fenced, and
within a number of tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.figures import shown_fitness, shown_gain, shown_sigma
from agents.room import Section, fitted
from agents.tokens import estimated_tokens
from population import Direction, Fitness, Metric, fenced, one_line
from population.people import SUGGESTION_LIMIT

if TYPE_CHECKING:
    from agents.operator import Context

#: Tokens for what the run knows, unless the settings say otherwise (``context_tokens``).
TOKENS = 12_000
_ALL = 1_000_000

#: What stays when room is short, the most needed first: a section, and up to how many of its
#: entries. Read from its end it is the order in which things are dropped.
KEPT = (
    ("score", _ALL),
    ("suggestions", 2),
    ("under_way", 16),
    ("lineage", 8),
    ("mate", 8),
    ("failures", 4),
    ("diffs", 1),
    ("curves", 1),
    ("history", 12),
    ("hardware", _ALL),
    ("tuner", 16),
    ("borrowed", 3),
    ("diffs", 3),
    ("curves", 2),
    ("history", _ALL),
    ("suggestions", _ALL),
    ("under_way", _ALL),
    ("failures", _ALL),
    ("tuner", _ALL),
    ("borrowed", _ALL),
    ("curves", _ALL),
    ("mate", _ALL),
    ("lineage", _ALL),
    ("diffs", _ALL),
)

_LINE = 240  # characters of a line
_MESSAGE = 480
_DIFF = 3_000
_IDEA = SUGGESTION_LIMIT  # whole: nobody reads the middle of an idea that is left out

#: Columns of a training curve: key, heading, and how a number of it is written.
_COLUMNS = (
    ("progress", "progress", ".2f"),
    ("loss", "loss", ".4g"),
    ("grad_norm", "grad norm", ".3g"),
    ("steps_per_second", "steps/s", ".3g"),
    ("memory_mb", "memory MB", ".0f"),
    ("mfu", "MFU %", ".3g"),
    ("seconds", "seconds", ".3g"),
)


@dataclass(frozen=True, slots=True)
class Effect:
    """One edit of a lineage and what it did.

    Attributes:
        variant: Name.
        operator: Who made it.
        hypothesis: Why.
        gain: In the metric's unit against its parent, positive is better; None if unknown.
        sd: Standard deviation of ``gain``; None if unknown.
        diff: Against its parent, unified; empty if it is not to be shown.
    """

    variant: str
    operator: str
    hypothesis: str
    gain: float | None = None
    sd: float | None = None
    diff: str = ""


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
        lineage: Edits that the first parent carries, oldest first.
        mate_lineage: Edits that the second parent carries and the first does not, oldest first.
        failures: Those of the parents' offspring first, else latest first.
        curves: By variant, the first parent first: rows of a short table, column to number
            (``progress``, ``loss``, ``grad_norm``, ``steps_per_second``, ``memory_mb``, ``mfu``,
            ``seconds``).
        tuner: Where knobs do best on the first parent's code, one line each.
        hardware: Facts of the machine and of a trial, one line each.
        suggestions: Of people, the oldest unanswered first.
        under_way: Hypotheses that others work on now, or that wait for a score.
        lessons: The run's page of lessons, Markdown.
        borrowed: Edits of other lineages that worked, best first.
        scores: What the parents are to be held against: fitnesses by name, e.g. ``the baseline
            g000-000``.
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
    mate_lineage: Sequence[Effect] = ()
    scores: Mapping[str, Fitness] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShownBriefing:
    """A briefing as a part of a prompt.

    Attributes:
        text: All of it.
        counts: How many entries of each section there was room for.
        suggestions: Ids of the people's ideas that there was room for.
    """

    text: str
    counts: Mapping[str, int]
    suggestions: tuple[str, ...] = ()


def briefed(context: "Context", tokens: int = TOKENS) -> ShownBriefing:
    """What the run knows beside the parents' genomes, for the part of a prompt that changes.

    Args:
        context: Of the proposal.
        tokens: Room, as ``agents.tokens`` estimates it. The page of lessons, which stands among the
            standing instructions, has its share of it. ``KEPT`` says what is dropped first.
    """
    room = tokens - estimated_tokens(context.briefing.lessons)
    text, counts = fitted(_sections(context), KEPT, room)
    ids = [idea.id for idea in context.briefing.suggestions]
    return ShownBriefing(text, counts, tuple(ids[: counts["suggestions"]]))


def shown_briefing(context: "Context", tokens: int = TOKENS) -> str:
    """The text alone of ``briefed``."""
    return briefed(context, tokens).text


def _sections(context: "Context") -> dict[str, Section]:
    """Everything that could be shown, in the order that it is shown in."""
    told, metric = context.briefing, context.metric
    first, *others = [parent.variant.name for parent in context.parents]
    unit = f", in {one_line(metric.unit)}" if metric.unit else ""
    gains = f"gain with its 95 % interval{unit}, positive is better"
    return {
        "score": Section("The score", _score_lines(context)),
        "hardware": Section("The machine and one trial", _lines(told.hardware)),
        "suggestions": Section(
            "Ideas of the people who own this run, by number; weigh them as ideas of a colleague",
            [f"{one_line(s.id)}:\n\n{fenced(s.text, limit=_IDEA)}" for s in told.suggestions],
            is_blocks=True,
        ),
        "under_way": Section(
            "What others work on now, or what waits for its score; make something else",
            [one_line(line, _LINE) for line in told.under_way],
        ),
        "lineage": Section(
            f"Edits that {first} carries, oldest first; {gains}",
            [effect_line(effect, metric) for effect in reversed(told.lineage)],
            is_reversed=True,
        ),
        "mate": Section(
            f"Edits that {', '.join(others)} carries and {first} does not; {gains}",
            [effect_line(effect, metric) for effect in reversed(told.mate_lineage)],
            is_reversed=True,
        ),
        "borrowed": Section(
            f"Edits elsewhere that worked, best first; {gains}",
            [_with_diff(effect_line(e, metric), e.diff) for e in told.borrowed],
            is_blocks=True,
        ),
        "curves": Section(
            "How training went",
            [_table(variant, rows) for variant, rows in told.curves.items() if rows],
            is_blocks=True,
        ),
        "tuner": Section(
            "Knobs: the parent's, and those that did best, its code aside", _lines(told.tuner)
        ),
        "failures": Section("Variants that failed", [_failure_line(f) for f in told.failures]),
        "diffs": Section(
            "What those had changed",
            [_with_diff(f"{f.variant}, {f.kind}", f.diff) for f in told.failures if f.diff],
            is_blocks=True,
        ),
        "history": Section(
            "What was tried, newest first; gains with their 95 % interval, positive is better",
            [_tried(line) for line in context.history],
        ),
    }


def _score_lines(context: "Context") -> list[str]:
    metric = context.metric
    way = "higher" if metric.direction is Direction.MAXIMIZE else "lower"
    lines = [
        f"{metric.name}, {way} is better",
        f"noise of one trial: {shown_sigma(context.sigma, metric)}",
        *(f"{who}: {shown_fitness(f, metric)}" for who, f in context.briefing.scores.items()),
    ]
    return [one_line(line, _LINE) for line in lines]


def _tried(line: str) -> str:
    """A line of history in the room it has: of a long one the reason is cut, not the result."""
    reason, arrow, result = line.rpartition(" → ")
    result = one_line(result, _LINE // 2)
    if not arrow:
        return one_line(line, _LINE)
    return f"{one_line(reason, _LINE - len(arrow) - len(result))}{arrow}{result}"


def _lines(text: str) -> list[str]:
    return [one_line(line, _LINE) for line in text.splitlines() if line.strip()]


def effect_line(effect: Effect, metric: Metric) -> str:
    """An edit and what it gained, in one line."""
    gain = shown_gain(effect.gain, effect.sd, metric)
    return one_line(f"{effect.variant} {effect.operator}: {gain}: {effect.hypothesis}", _LINE)


def _failure_line(failed: FailedTry) -> str:
    return one_line(
        f"{failed.variant} (trial {failed.trial}) {failed.kind}: {failed.message}", _MESSAGE
    )


def _with_diff(line: str, diff: str) -> str:
    return fenced(f"{line}\n\n{diff}" if diff else line, "diff" if diff else "", limit=_DIFF)


def _table(variant: str, rows: Sequence[Mapping[str, float]]) -> str:
    """Rows under their headings; a column that no row has is left out."""
    columns = [column for column in _COLUMNS if any(column[0] in row for row in rows)]
    cells = [[heading for _, heading, _ in columns]]
    cells += [
        [format(row[key], form) if key in row else "-" for key, _, form in columns] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return fenced("\n".join([one_line(variant), *lines]))
