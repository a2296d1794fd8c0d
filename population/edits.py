"""Edits: what a variant changed, in parts that are known again in another lineage.

A hunk is a run of lines that became others, in one function of one file, or a knob that got another
value. Comments, docstrings and layout aside, and wherever in the function it stands: so the same
idea had twice is one edit, measured twice. Pure; knows genomes, nothing of git.
"""

import ast
import contextlib
import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from population.canonical import drop_docstrings
from population.genome import Genome, canonical_hash, knob_statements, knobs
from population.syntax import read_tree

_BLOCK = re.compile(r"( *)(?:async def|def|class) (\w+)")
_INDENT = 4  # of a level, in normal layout
#: Hexadecimal digits of a hunk's name: two of a million hunks share one in 10⁷ runs once.
DIGITS = 16
#: Pairs of equal lines of two texts, beyond which they are not compared line by line: hundreds of
#: equal lines each take the matcher minutes. The shipped genome with an edit has some 340.
MOST_PAIRS = 100_000


@dataclass(frozen=True, slots=True)
class Hunk:
    """A run of lines that became others, or a knob that got another value.

    Attributes:
        path: Of the file.
        place: Function or class, by its qualified name; empty at the top level. For a knob
            ``NAME =``.
        after: The line before it in that place where it removes nothing, or adds nothing: what
            else would say where it stands?
        removed: Lines that went, indented as they are in that place.
        added: Lines that came.
        number: Of several such hunks of one change, which one.
    """

    path: str
    place: str
    after: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    number: int = 0

    @property
    def name(self) -> str:
        """The same for the same hunk on any genome."""
        said = [self.path, self.place, self.after, self.removed, self.added, self.number]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:DIGITS]

    @property
    def undoing(self) -> "Hunk":
        """The hunk that takes it out again."""
        return replace(self, removed=self.added, added=self.removed)


def hunks(before: Genome, after: Genome) -> list[Hunk]:
    """What ``after`` changed in ``before``, file by file; nothing where both do the same."""
    found: list[Hunk] = []
    times = Counter[Hunk]()
    for path in sorted({*before.files, *after.files}):
        texts = before.files.get(path, ""), after.files.get(path, "")
        for hunk in _of_file(path, *texts) if texts[0] != texts[1] else ():
            found.append(replace(hunk, number=times[hunk]))
            times[hunk] += 1
    if not found and (old := canonical_hash(before)) != (new := canonical_hash(after)):
        found.append(Hunk("", "", "", (old,), (new,)))  # what no line says
    return found


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a variant's edit is in terms of edits that were made before.

    Attributes:
        repeats: Commits of variants whose own edit it makes again.
        reverts: Commits of variants whose own edit it takes out again.
        hunks: Names of the hunks that are new: its own edit.
    """

    repeats: tuple[str, ...] = ()
    reverts: tuple[str, ...] = ()
    hunks: tuple[str, ...] = ()


def recurrence(
    changed: Iterable[Hunk],
    known: Mapping[str, Sequence[str]],
    carried: Callable[[], Collection[str]],
) -> Recurrence:
    """Which known edits a change is made of; what is left is new.

    An edit counts as made again where all its hunks are there, and it is not carried already; as
    taken out, where it is carried and all hunks are there that undo it. The largest ones are taken
    first; of equal ones the earliest that is made again, the latest that is taken out. No hunk
    counts twice.

    Args:
        changed: What a variant changed in its parent.
        known: Names of the hunks of each variant's own edit, by commit, in order of birth.
        carried: Tells the commits of the variants whose edits the parent carries; asked only where
            something was made, or undone, before.
    """
    left = {hunk.name: hunk for hunk in changed}
    undone = {hunk.undoing.name: name for name, hunk in left.items()}
    alike = [
        (sha, names)
        for sha, names in known.items()
        if names and (all(n in left for n in names) or all(n in undone for n in names))
    ]
    has = carried() if alike else ()
    alike = [item for item in alike if item[0] not in has] + [
        item for item in reversed(alike) if item[0] in has
    ]
    repeats, reverts = list[str](), list[str]()
    for sha, names in sorted(alike, key=lambda item: -len(item[1])):
        wanted = {undone.get(name, "") for name in names} if sha in has else {*names}
        if left.keys() >= wanted:
            (reverts if sha in has else repeats).append(sha)
            left = {name: hunk for name, hunk in left.items() if name not in wanted}
    return Recurrence(tuple(repeats), tuple(reverts), tuple(sorted(left)))


def _of_file(path: str, before: str, after: str) -> Iterator[Hunk]:
    old, new = _Lines.of(path, before), _Lines.of(path, after)
    shared = old.knobs.keys() & new.knobs.keys()
    for name in sorted(shared):
        one, other = old.knobs[name], new.knobs[name]
        if one != other:
            yield Hunk(path, f"{name} =", "", (one,), (other,))
    yield from _of_lines(path, old.without(shared), new.without(shared))


Line = tuple[str, str]  # place, text


def _of_lines(path: str, old: Sequence[Line], new: Sequence[Line]) -> Iterator[Hunk]:
    times = Counter(old)
    if sum(count * times[line] for line, count in Counter(new).items()) > MOST_PAIRS:
        yield Hunk(path, "", "", tuple(text for _, text in old), tuple(text for _, text in new))
        return
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, start, end, new_start, new_end in blocks:
        if tag == "equal":
            continue
        removed, added = old[start:end], new[new_start:new_end]
        place = (removed or added)[0][0]
        before = old[start - 1] if start else (place, "")
        is_one_sided = not (removed and added)
        yield Hunk(
            path,
            place,
            before[1] if is_one_sided and before[0] == place else "",
            tuple(text for _, text in removed),
            tuple(text for _, text in added),
        )


@dataclass(frozen=True, slots=True)
class _Lines:
    """A file in normal layout: its lines with their places, and its knobs, as literals.

    Attributes:
        lines: In order; with each that sets a knob goes the knob's name.
        knobs: By name.
    """

    lines: Sequence[tuple[Line, str]]
    knobs: Mapping[str, str]

    @classmethod
    def of(cls, path: str, text: str) -> "_Lines":
        tree = read_tree(text) if path.endswith(".py") else None
        if isinstance(tree, ast.Module):
            # An integer too long to be written in decimal; nesting as deep as Python can write.
            with contextlib.suppress(ValueError, RecursionError):
                return cls._of_python(text, tree)
        raw = (line.rstrip() for line in text.splitlines())
        return cls([(("", line), "") for line in raw if line], {})

    @classmethod
    def _of_python(cls, text: str, tree: ast.Module) -> "_Lines":
        setters = {_position(statement): name for name, statement in knob_statements(text).items()}
        drop_docstrings(tree)
        lines: list[tuple[Line, str]] = []
        for statement in tree.body:
            name = setters.get(_position(statement), "")
            lines += [(line, name) for line in _placed(ast.unparse(statement))]
        return cls(lines, {name: repr(value) for name, value in knobs(text).items()})

    def without(self, names: Collection[str]) -> list[Line]:
        """The lines but for those that set one of these knobs."""
        return [line for line, name in self.lines if name not in names]


def _position(statement: ast.stmt) -> tuple[int, int]:
    return statement.lineno, statement.col_offset


def _placed(text: str) -> Iterator[Line]:
    """Lines with the function or class that each stands in, indented as they are in there."""
    inside: list[tuple[int, str]] = []
    for line in text.splitlines():
        body = line.lstrip(" ")
        if not body:
            continue
        indent = len(line) - len(body)
        while inside and inside[-1][0] >= indent:
            inside.pop()
        outer = inside[-1][0] + _INDENT if inside else 0
        yield ".".join(name for _, name in inside), " " * (indent - outer) + body
        if (block := _BLOCK.match(line)) is not None:
            inside.append((indent, block[2]))
