"""Finding: one thing that was looked at, how it stands, and what to do about it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How a thing stands; a problem keeps a run from starting."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        name: What was looked at.
        level: How it stands.
        found: What there is, in one line.
        remedy: What to do; "" if nothing needs to be done.
        facts: The same as plain JSON values.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def can_start(findings: Iterable[Finding]) -> bool:
    """True if nothing keeps a run from starting."""
    return all(finding.level is not Level.PROBLEM for finding in findings)
