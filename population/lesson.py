"""Lessons: what a run has learnt, in a line or two, with the trials that say so."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: Characters of a lesson that a model wrote; one of a person may be longer.
LESSON_CHARACTERS = 400
PERSON_CHARACTERS = 4_000
#: Who wrote a lesson: distilled from trials here, or by somebody who owns the run.
LIBRARIAN, PERSON = "librarian", "person"
#: What the source of a lesson of another run begins with.
EARLIER = "earlier run "
#: Of the confidence that a lesson had in an earlier run, a new one begins with this part: another
#: baseline, budget or data may have changed what it says.
CARRIED_CONFIDENCE = 0.5
#: What a lesson of a person is given that says nothing of confidence.
PERSON_CONFIDENCE = 0.8


class Claim(StrEnum):
    """What a lesson says the edits of its evidence do, taken together."""

    HELPS = "helps"
    HURTS = "hurts"
    NONE = "none"  # it says neither


class LessonState(StrEnum):
    """Whether a lesson is told."""

    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson.

    Attributes:
        text: What was learnt.
        source: ``librarian``, ``person``, or ``earlier run <name>``.
        confidence: From 0 to 1.
        at: When it was written, in seconds since the epoch.
        evidence: Numbers of the trials that say so.
        claim: What it says of the edits of those trials.
        state: Whether it is told.
        retired_at: When it was retired; None if it was not.
        reason: Why it was retired; empty if it was not.
        call: The call that it came from; None if from none.
        id: From 1; 0 before it is stored.
    """

    text: str
    source: str
    confidence: float
    at: float
    evidence: tuple[int, ...] = ()
    claim: Claim = Claim.NONE
    state: LessonState = LessonState.ACTIVE
    retired_at: float | None = None
    reason: str = ""
    call: int | None = None
    id: int = 0

    @property
    def name(self) -> str:
        """How people and models call it: ``L7``."""
        return f"L{self.id}"

    @property
    def is_active(self) -> bool:
        """True if it is told."""
        return self.state is LessonState.ACTIVE

    @property
    def is_a_persons(self) -> bool:
        """True if somebody wrote it, or wrote it anew: no model retires it."""
        return self.source == PERSON

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts lessons: the most confident and the most evidenced first, then the oldest."""
        return (-self.confidence, -len(self.evidence), self.id)


class LessonChanges(NamedTuple):
    """What a change of the lessons came to, as they are kept now."""

    added: list[Lesson]
    changed: list[Lesson]
    retired: list[Lesson]
