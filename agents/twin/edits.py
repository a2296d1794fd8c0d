"""The author's ideas: changes that real operators make, new each time, as edits of the text."""

import difflib
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from numpy.random import Generator

from agents.builtin import KnobEdit, StructureEdit
from agents.literals import LiteralEdit
from agents.operator import Context, Operator, Parent, Proposal
from population import (
    Contract,
    Genome,
    Manual,
    Origin,
    Variant,
    canonical_hash,
    code_size,
    knobs,
    set_knobs,
)
from population.syntax import Unreadable, read_tree

_DRAWS = 12
_STRUCTURE = 0.3  # how often a change is one of the structure
_HUNK = re.compile(r"^@@[^\n]*\n(?P<body>(?:[ +\-\\][^\n]*\n?|\n)*)", re.M)


@dataclass(frozen=True, slots=True)
class Idea:
    """A genome that the author proposes, and why."""

    genome: Genome
    hypothesis: str


class Span(NamedTuple):
    """Lines ``i1`` to ``i2`` of one text became ``j1`` to ``j2`` of another."""

    i1: int
    i2: int
    j1: int
    j2: int


@dataclass(frozen=True, slots=True)
class Replacement:
    """Lines of one file, and what takes their place; no line feed at their ends."""

    path: str
    search: str
    replace: str


class Ideas:
    """Never has the same idea twice. Safe for several threads."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def change(
        self, genome: Genome, manual: Manual, rng: Generator, *, is_less: bool = False
    ) -> Idea | None:
        """A change of one genome; with ``is_less`` one that leaves less code, if there is one."""
        other: Idea | None = None
        for draw in range(_DRAWS):
            wants_structure = is_less or rng.random() < _STRUCTURE
            idea = self._operate(
                _operator(genome, wants_structure and draw < 8), genome, manual, rng
            )
            if idea is None:
                continue
            if not is_less or code_size(idea.genome) < code_size(genome):
                return idea if self._is_new(idea) else None
            other = idea
        return other if other and self._is_new(other) else None

    def setting(self, genome: Genome, name: str, value: float) -> Idea | None:
        """The genome with another value of a knob; None if it has no such number."""
        old = knobs(genome.main).get(name)
        if isinstance(old, bool) or not isinstance(old, int | float):
            return None
        changed = genome.with_main(set_knobs(genome.main, {name: type(old)(value)}))
        idea = Idea(changed, f"{name} {old} → {value:g}")
        is_other = canonical_hash(changed) != canonical_hash(genome)
        return idea if is_other and self._is_new(idea) else None

    def union(self, first: Genome, second: Genome, manual: Manual, rng: Generator) -> Idea | None:
        """Some of what ``second`` has, put into ``first``."""
        one, other = first.main.splitlines(keepends=True), second.main.splitlines(keepends=True)
        matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
        hunks = [code for code in matcher.get_opcodes() if code[0] != "equal"]
        for _ in range(_DRAWS if hunks else 0):
            taken = [hunk for hunk in hunks if rng.random() < 0.5] or hunks[:1]
            lines = list(one)
            for _, i1, i2, j1, j2 in reversed(taken):
                lines[i1:i2] = other[j1:j2]
            genome = first.with_main("".join(lines))
            idea = Idea(genome, f"{len(taken)} of {len(hunks)} changes of the second parent")
            is_between = len(taken) < len(hunks) and _compiles(genome.main)
            if is_between and self._is_new(idea):
                return idea
        return self.change(second if hunks else first, manual, rng)

    def repair(
        self, genome: Genome, diffs: Sequence[str], manual: Manual, rng: Generator
    ) -> Idea | None:
        """The genome without one of its last changes; then another knob, so that it is new."""
        for before, after in (hunk for diff in diffs for hunk in _hunks(diff)):
            if after and genome.main.count(after) == 1:
                undone = genome.with_main(genome.main.replace(after, before))
                if not _compiles(undone.main):
                    continue
                idea = Idea(undone, "undoes what failed")
                return idea if self._is_new(idea) else self.change(undone, manual, rng)
        return self.change(genome, manual, rng)

    def _operate(
        self, operator: Operator, genome: Genome, manual: Manual, rng: Generator
    ) -> Idea | None:
        with self._lock:
            seen = frozenset(self._seen)
        script = Contract(is_script=True)
        context = Context(
            parents=[Parent(_variant(genome), genome)],
            baseline=genome,
            seen=seen,
            rng=rng,
            manual=manual,
            contract=manual.contract(Contract() if _is_builtin(genome) else script),
        )
        made = operator.propose(context)
        return Idea(made.genome, made.hypothesis) if isinstance(made, Proposal) else None

    def _is_new(self, idea: Idea) -> bool:
        """Remember ``idea``; False if it was had before."""
        name = canonical_hash(idea.genome)
        with self._lock:
            is_new = name not in self._seen
            self._seen.add(name)
        return is_new


def replacements(before: Genome, after: Genome) -> list[Replacement]:
    """What makes ``after`` of ``before``: each part to look for is in its file exactly once."""
    return [
        found
        for path, text in after.files.items()
        for found in _in_file(path, _lines(before.files[path]), _lines(text))
    ]


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _in_file(path: str, old: list[str], new: list[str]) -> Iterator[Replacement]:
    codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    spans = [Span(*ends) for kind, *ends in codes if kind != "equal"]
    at = 0
    while at < len(spans):
        span = spans[at]
        if _is_fit(old, new, span) or (span.i1, span.i2) == (0, len(old)):
            at += 1
            continue
        at = _widen(spans, at, len(old))
    for i1, i2, j1, j2 in spans:
        yield Replacement(path, "\n".join(old[i1:i2]), "\n".join(new[j1:j2]))


def _widen(spans: list[Span], at: int, end: int) -> int:
    """Give span ``at`` a line more on each side, or the change it touches; where it is then."""
    i1, i2, j1, j2 = spans[at]
    if i2 < (spans[at + 1].i1 if at + 1 < len(spans) else end):
        i2, j2 = i2 + 1, j2 + 1
    elif at + 1 < len(spans):
        _, i2, _, j2 = spans.pop(at + 1)
    if i1 > (spans[at - 1].i2 if at else 0):
        i1, j1 = i1 - 1, j1 - 1
    elif at:
        at -= 1
        i1, _, j1, _ = spans.pop(at)
    spans[at] = Span(i1, i2, j1, j2)
    return at


def _is_fit(old: Sequence[str], new: Sequence[str], span: Span) -> bool:
    """True if what is looked for is there once, and neither side is blank."""
    search, replace = old[span.i1 : span.i2], new[span.j1 : span.j2]
    return _count(old, search) == 1 and bool("".join(search).strip() and "".join(replace).strip())


def _count(lines: Sequence[str], part: Sequence[str]) -> int:
    size = len(part)
    return sum(lines[i : i + size] == part for i in range(len(lines) - size + 1)) if size else 0


def _operator(genome: Genome, wants_structure: bool) -> Operator:
    if not _is_builtin(genome):
        return KnobEdit() if knobs(genome.main) else LiteralEdit()
    return StructureEdit() if wants_structure else KnobEdit()


def _is_builtin(genome: Genome) -> bool:
    """True for a genome under the built-in contract; False for a script of someone's own."""
    return "def build_model(" in genome.main


def _compiles(text: str) -> bool:
    return not isinstance(read_tree(text), Unreadable)


def _hunks(diff: str) -> Iterator[tuple[str, str]]:
    """Text before and after, of each hunk of a unified diff."""
    for hunk in _HUNK.finditer(diff):
        lines = [line for line in hunk["body"].splitlines(keepends=True) if line[0] != "\\"]
        before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
        after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
        yield before, after


def _variant(genome: Genome) -> Variant:
    """A name for a genome of which nothing but the text is known."""
    name = canonical_hash(genome)
    return Variant(
        sha=name[:40],
        name="g000-000",
        generation=0,
        parents=(),
        origin=Origin.BASELINE,
        operator="baseline",
        hypothesis="",
        genome_hash=name,
        created_at=0.0,
    )
