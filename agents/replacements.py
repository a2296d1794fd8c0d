"""SEARCH/REPLACE blocks: read from a reply and applied to a genome, exactly once each. Pure.

A block that fits nowhere, or in two places, is refused, and the refusal shows its author the
nearest text. Nothing is guessed: a refused block costs a turn, a wrong guess costs a training.
"""

import difflib
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from population import Genome, one_line

_SEARCH = re.compile(r"<{5,9} ?SEARCH(?: (?P<path>.*)|\s*)")
_MIDDLE = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_FENCE = re.compile(r"(?P<marks>`{3,})(?P<kind>[^`]*)")
_BREAK = re.compile(r"\r\n|\n|\r")

_SHOWN_LINES = 12
_COMPARED_LINES = 40
_COMPARED_PLACES = 60
_COMPARED_CHARACTERS = 200  # of a line
_TOLD_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Block:
    """One replacement: whole lines to look for, whole lines to put there.

    Attributes:
        search: Lines without their ends.
        replace: Likewise; none to delete.
        path: Of the file; empty for the genome's entry.
    """

    search: tuple[str, ...]
    replace: tuple[str, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a reply was not applied, for its author to read."""

    reason: str


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text; a last one that is only ended is none, and so is an empty text."""
    if not text:
        return ()
    lines = _BREAK.split(text)
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def read_blocks(reply: str) -> list[Block] | Refused:
    """The blocks of a reply, in order; empty if it has none."""
    blocks: list[Block] = []
    search: list[str] | None = None
    replace: list[str] | None = None
    path = ""
    for number, line in enumerate(_BREAK.split(reply), start=1):
        head = _SEARCH.fullmatch(line)
        if head is not None:
            if search is not None:
                return Refused(f"reply line {number}: a block begins inside a block")
            search, replace, path = [], None, (head["path"] or "").rstrip()
        elif search is not None and replace is None and _MIDDLE.fullmatch(line):
            replace = []
        elif _REPLACE.fullmatch(line):
            if search is None or replace is None:
                return Refused(f"reply line {number}: a block ends that did not begin")
            blocks.append(Block(tuple(search), tuple(replace), path))
            search = replace = None
        elif replace is not None:
            replace.append(line)
        elif search is not None:
            search.append(line)
    if search is not None:
        return Refused("the last block has no end: was the reply cut off?")
    return blocks


def apply_blocks(genome: Genome, blocks: Sequence[Block]) -> Genome | Refused:
    """``genome`` with every block applied to its original text, or why some cannot be."""
    changed: dict[str, str] = {}
    problems: list[str] = []
    for path in dict.fromkeys(block.path or genome.entry for block in blocks):
        if path not in genome.files:
            problems.append(no_such_file(path, genome))
            continue
        own = [block for block in blocks if (block.path or genome.entry) == path]
        applied = _applied(genome.files[path], own)
        if isinstance(applied, str):
            changed[path] = applied
        else:
            problems += applied
        if len(problems) >= _TOLD_PROBLEMS:
            break
    if problems:
        return Refused("\n\n".join(problems[:_TOLD_PROBLEMS]))
    return Genome({**genome.files, **changed}, genome.entry)


def no_such_file(path: str, genome: Genome) -> str:
    """Why ``path`` cannot be changed."""
    known = ", ".join(sorted(genome.files))
    return f"there is no file {one_line(path)!r}; the genome has {known}"


def whole_file(reply: str) -> str | None:
    """The one fenced block of a reply that gives a whole file; None unless there is just one."""
    found = _fenced_texts(reply.replace("\r\n", "\n").split("\n"))
    return found[0] if len(found) == 1 else None


def _fenced_texts(lines: Sequence[str]) -> list[str]:
    """What stands in fences, each up to the next line of as many marks alone."""
    marks = [_FENCE.fullmatch(line) for line in lines]
    ends = {m["marks"]: i for i, m in enumerate(marks) if m is not None and _is_end(m)}
    found: list[str] = []
    begun: str | None = None
    start = 0
    for place, mark in enumerate(marks):
        if mark is None:
            continue
        if begun is None:
            if ends.get(mark["marks"], 0) > place:  # else it is never ended, and is no fence
                begun, start = mark["marks"], place + 1
        elif mark["marks"] == begun and _is_end(mark):
            found.append("".join(f"{line}\n" for line in lines[start:place]))
            begun = None
    return found


def _is_end(mark: re.Match[str]) -> bool:
    return not mark["kind"].strip(" \t")


def _applied(text: str, blocks: Sequence[Block]) -> str | list[str]:
    """The text with all blocks, or what is wrong with them."""
    lines = list(io.StringIO(text, newline=""))  # ends at line feeds and carriage returns alone
    bare = [line.rstrip("\r\n") for line in lines]
    newline = "\r\n" if text.count("\r\n") * 2 > len(lines) else "\n"
    problems: list[str] = []
    spots: list[tuple[int, int, Block]] = []
    for block in blocks:
        spot = _spot(bare, block)
        if isinstance(spot, Refused):
            problems.append(spot.reason)
            if len(problems) == _TOLD_PROBLEMS:  # to find the nearest text of each takes its time
                return problems
        else:
            spots.append((spot, spot + len(block.search), block))
    spots.sort(key=lambda s: s[:2])
    for (_, end, one), (start, _, other) in itertools.pairwise(spots):
        if start < end:
            shown = _shown(one.search), _shown(other.search)
            problems.append(f"two blocks replace the same lines:\n{shown[0]}\nand\n{shown[1]}")
    if problems:
        return problems
    for start, end, block in reversed(spots):
        lines[start:end] = [line + newline for line in block.replace]
    return "".join(lines)


def _spot(bare: Sequence[str], block: Block) -> int | Refused:
    """Index of the only place where the block fits."""
    wanted = list(block.search)
    if not any(line.strip() for line in wanted):
        return Refused("a SEARCH part is empty: give the lines that are to be replaced")
    size = len(wanted)
    found = [
        i
        for i in range(len(bare) - size + 1)
        if bare[i] == wanted[0] and list(bare[i : i + size]) == wanted
    ]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(str(i + 1) for i in found[:5])
        return Refused(
            f"a SEARCH part fits {len(found)} places, at lines {where}: add lines around it until "
            f"it fits one.\n{_shown(wanted)}"
        )
    near = _nearest(bare, wanted[:_COMPARED_LINES])
    nearest = _shown(bare[near : near + size])
    return Refused(
        f"a SEARCH part is nowhere in the file. It reads\n{_shown(wanted)}\nand the nearest text, "
        f"at line {near + 1}, reads\n{nearest}\nCopy the lines exactly, spaces included."
    )


def _nearest(bare: Sequence[str], wanted: Sequence[str]) -> int:
    """Index of the window most like what was wanted."""
    size = len(wanted)
    known = {line.strip() for line in wanted if line.strip()}
    is_known = [line.strip() in known for line in bare]
    shared = [sum(is_known[i : i + size]) for i in range(max(1, len(bare) - size + 1))]
    most = max(shared)
    places = [i for i, count in enumerate(shared) if count == most]
    if most:  # indented otherwise, or some lines of it: no need to look elsewhere
        places = places[:_COMPARED_PLACES]
    else:
        wanted = wanted[:_SHOWN_LINES]
    cut = [line[:_COMPARED_CHARACTERS] for line in bare]
    matcher = difflib.SequenceMatcher(
        autojunk=False, b="\n".join(line[:_COMPARED_CHARACTERS] for line in wanted)
    )
    best, place = -1.0, 0
    for i in places:
        matcher.set_seq1("\n".join(cut[i : i + len(wanted)]))
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
            ratio = matcher.ratio()
            if ratio > best:
                best, place = ratio, i
    return place


def _shown(lines: Sequence[str]) -> str:
    """At most twelve lines, indented as a quotation."""
    shown = [f"    {line[:160]}" for line in lines[:_SHOWN_LINES]]
    return "\n".join(shown if len(lines) <= _SHOWN_LINES else [*shown, "    …"])
