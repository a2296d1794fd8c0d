"""What a critic says: of a proposal before it is trained, and of a verdict after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Judgement(StrEnum):
    """What a critic makes of a proposal."""

    PASS = "pass"
    WARN = "warn"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Critique:
    """A reading of a proposal before it is trained.

    Attributes:
        commission: That the proposal was made for.
        judgement: What it comes to.
        reasons: Each in a line.
        at: Seconds since the epoch.
        was_exempt: True if it was rejected and is trained all the same, so that the critic's own
            precision is known.
        call: The call that it came from; None if from none.
        variant: Commit of the variant that the proposal became; None if it became none.
    """

    commission: int
    judgement: Judgement
    reasons: Sequence[str]
    at: float
    was_exempt: bool = False
    call: int | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """An edit that may be behind a verdict: a line of a diff or a variant, and why."""

    edit: str
    why: str


@dataclass(frozen=True, slots=True)
class VerdictReading:
    """A verdict explained in words. It changes nothing of the verdict.

    Attributes:
        label: Of the verdict.
        champion: Commit of the variant that it is on.
        explanation: A paragraph.
        suspects: Edits that may be behind it; none if none is.
        at: Seconds since the epoch.
        commission: That it was made for.
        call: The call that it came from; None if from none.
    """

    label: str
    champion: str
    explanation: str
    suspects: Sequence[Suspect]
    at: float
    commission: int
    call: int | None = None
