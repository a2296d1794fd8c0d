"""What people ask of a run: suggestions for its models, and marks on its variants (pure)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from population.untrusted import plain
from population.variant import Variant

#: Characters of a suggestion, at most.
SUGGESTION_LIMIT = 4_000
#: Who wrote a suggestion that came by a command; those of a file name it: ``ideas/NAME.md``.
PERSON = "person"
#: So many variants that took a suggestion up are enough.
ENOUGH = 3
#: A suggestion that was offered so often since it was last taken up is no longer pushed.
OFFERS = 6

_LABEL = re.compile(r"[Ss]?([0-9]{1,9})")


class SuggestionState(StrEnum):
    """What has become of a suggestion."""

    OPEN = "open"
    TAKEN = "taken"  # `ENOUGH` variants took it up
    WITHDRAWN = "withdrawn"  # by a person, or its file was changed or removed


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An idea of a person, for the operators that ask a language model.

    Attributes:
        id: From 1.
        text: What it says; `SUGGESTION_LIMIT` characters at most, nothing that a terminal obeys.
        author: ``person``, or the file that it came from: ``ideas/NAME.md``.
        at: When the engine took it in, in seconds since the epoch.
        is_withdrawn: True once it shall be offered no more.
        offer_count: Commissions that were offered it.
        under_way: Those of them that are open.
        variants: Commits of the variants that took it up, in order.
    """

    id: int
    text: str
    author: str
    at: float
    is_withdrawn: bool = False
    offer_count: int = 0
    under_way: int = 0
    variants: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How people, models and commits call it: ``S3``."""
        return suggestion_label(self.id)

    @property
    def source(self) -> str:
        """Which it is, and of whom: ``S3 by a person``, ``S4 from ideas/warmup.md``."""
        whose = "by a person" if self.author == PERSON else f"from {self.author}"
        return f"{self.label} {whose}"

    @property
    def state(self) -> SuggestionState:
        """What has become of it."""
        if self.is_withdrawn:
            return SuggestionState.WITHDRAWN
        return SuggestionState.TAKEN if len(self.variants) >= ENOUGH else SuggestionState.OPEN

    @property
    def is_tired(self) -> bool:
        """True if it was offered often enough in vain; each time it is taken up counts anew."""
        return self.offer_count >= OFFERS * (1 + len(self.variants))

    @property
    def is_offered(self) -> bool:
        """True if a next commission may be offered it.

        What is under way may yet take it up, so that it is not made a fourth time.
        """
        has_room = len(self.variants) + self.under_way < ENOUGH
        return self.state is SuggestionState.OPEN and has_room and not self.is_tired


def suggestion_label(number: int) -> str:
    """How the suggestion of this number is called: ``S3``."""
    return f"S{number}"


def suggestion_number(label: str | None) -> int | None:
    """The number of the suggestion that is called so; None if none can be."""
    found = _LABEL.fullmatch((label or "").strip())
    return int(found[1]) if found else None


def suggestion_text(text: str) -> str:
    """What of a person's words is kept: nothing that a terminal obeys or nobody sees; whole."""
    return "\n".join(line.rstrip() for line in plain(text).strip().splitlines())


class Mark(StrEnum):
    """How a variant stands with the people who own the run."""

    PINNED = "pinned"  # has a place among the survivors
    BANNED = "banned"  # breeds no more, and claims nothing
    BARRED = "barred"  # descends from a banned one, and is treated alike


@dataclass(frozen=True, slots=True)
class Marked:
    """A person's mark on a variant.

    Attributes:
        variant: Its commit.
        mark: ``pinned`` or ``banned``.
        at: Since when, in seconds since the epoch.
        note: Why, in one line; empty if unsaid.
    """

    variant: str
    mark: Mark
    at: float
    note: str = ""


def marks_of(marked: Mapping[str, Marked], variants: Iterable[Variant]) -> dict[str, Mark]:
    """How each variant stands; those without a mark are left out.

    Args:
        marked: Marks of people, by commit.
        variants: Of the run, parents before their children.
    """
    if not marked:
        return {}
    marks: dict[str, Mark] = {}
    barring = (Mark.BANNED, Mark.BARRED)
    for variant in variants:
        own = marked.get(variant.sha)
        if own is not None and own.mark is Mark.BANNED:
            marks[variant.sha] = Mark.BANNED
        elif any(marks.get(one) in barring for one in (*variant.parents, *variant.adds)):
            marks[variant.sha] = Mark.BARRED
        elif own is not None:
            marks[variant.sha] = own.mark
    return marks


def barred_by(marks: Mapping[str, Mark]) -> frozenset[str]:
    """Those that may not breed: banned ones, what descends from them or took their edits in.

    Whoever makes such an edit again is not barred: it is judged by itself.
    """
    return frozenset(sha for sha, mark in marks.items() if mark is not Mark.PINNED)
