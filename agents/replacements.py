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

from population import MAIN, Genome

_SEARCH = re.compile(r"<{5,9} ?SEARCH ?(?P<path>\S*)\s*")
_MIDDLE = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_FENCE = re.compile(r"^(?P<marks>`{3,})[^\n`]*\n(?P<text>.*?)^(?P=marks)[ \t]*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """One replacement: whole lines to look for, whole lines to put there."""

    search: tuple[str, ...]
    replace: tuple[str, ...]
    path: str = MAIN


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a reply was not applied, for its author to read."""

    reason: str


def read_blocks(reply: str) -> list[Block] | Refused:
    """The blocks of a reply, in order; empty if it has none."""
    blocks: list[Block] = []
    search: list[str] | None = None
    replace: list[str] | None = None
    path = MAIN
    for number, line in enumerate(re.split(r"\r\n|\n|\r", reply), start=1):
        head = _SEARCH.fullmatch(line)
        if head is not None:
            if search is not None:
                return Refused(f"reply line {number}: a block begins inside a block")
            search, replace, path = [], None, head["path"] or MAIN
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
    """``genome`` with every block applied to its original text, or why one cannot be."""
    files = dict(genome.files)
    for path in dict.fromkeys(block.path for block in blocks):
        if path not in files:
            return Refused(f"there is no file {path!r}; the genome has {', '.join(sorted(files))}")
        applied = _applied(files[path], [block for block in blocks if block.path == path])
        if isinstance(applied, Refused):
            return applied
        files[path] = applied
    return Genome(files)


def whole_file(reply: str) -> str | None:
    """The one fenced block of a reply that gives a whole file; None unless there is just one."""
    found = [match["text"] for match in _FENCE.finditer(reply.replace("\r\n", "\n") + "\n")]
    return found[0] if len(found) == 1 else None


def _applied(text: str, blocks: Sequence[Block]) -> str | Refused:
    lines = list(io.StringIO(text, newline=""))  # ends at line feeds and carriage returns alone
    bare = [line.rstrip("\r\n") for line in lines]
    newline = "\r\n" if text.count("\r\n") * 2 > len(lines) else "\n"
    spots: list[tuple[int, int, Block]] = []
    for block in blocks:
        spot = _spot(bare, block)
        if isinstance(spot, Refused):
            return spot
        spots.append((spot, spot + len(block.search), block))
    spots.sort(key=lambda s: s[:2])
    for (_, end, one), (start, _, other) in itertools.pairwise(spots):
        if start < end:
            shown = _shown(one.search), _shown(other.search)
            return Refused(f"two blocks replace the same lines:\n{shown[0]}\nand\n{shown[1]}")
    for start, end, block in reversed(spots):
        lines[start:end] = [line + newline for line in block.replace]
    return "".join(lines)


def _spot(bare: Sequence[str], block: Block) -> int | Refused:
    """Index of the only place where the block fits."""
    wanted = list(block.search)
    if not any(line.strip() for line in wanted):
        return Refused("a SEARCH part is empty: give the lines that are to be replaced")
    size = len(wanted)
    found = [i for i in range(len(bare) - size + 1) if list(bare[i : i + size]) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(str(i + 1) for i in found[:5])
        return Refused(
            f"a SEARCH part fits {len(found)} places, at lines {where}: add lines around it until "
            f"it fits one.\n{_shown(wanted)}"
        )
    near = _nearest(bare, wanted)
    nearest = _shown(bare[near : near + size])
    return Refused(
        f"a SEARCH part is nowhere in the file. It reads\n{_shown(wanted)}\nand the nearest text, "
        f"at line {near + 1}, reads\n{nearest}\nCopy the lines exactly, spaces included."
    )


def _nearest(bare: Sequence[str], wanted: Sequence[str]) -> int:
    """Index of the window most like what was wanted."""
    text = "\n".join(wanted)
    matcher = difflib.SequenceMatcher(autojunk=False, b=text)
    best, place = -1.0, 0
    for i in range(max(1, len(bare) - len(wanted) + 1)):
        matcher.set_seq1("\n".join(bare[i : i + len(wanted)]))
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
            ratio = matcher.ratio()
            if ratio > best:
                best, place = ratio, i
    return place


def _shown(lines: Sequence[str]) -> str:
    """At most twelve lines, indented as a quotation."""
    shown = [f"    {line[:160]}" for line in lines[:12]]
    return "\n".join(shown if len(lines) <= 12 else [*shown, "    …"])
