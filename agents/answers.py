"""Answers: how what models hand in is read.

It is hostile until then: any arguments give a value or ``Refused``, never an exception. Servers
without tools, and coding agents, answer in words: SEARCH/REPLACE blocks, a whole file, or the
form's JSON in the text. Pure.
"""

import difflib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agents.forms import SUBMIT_VARIANT
from agents.model import Reply, Tool
from agents.nesting import is_deep, read_json
from agents.replacements import (
    Block,
    Refused,
    apply_blocks,
    lines_of,
    no_such_file,
    read_blocks,
    whole_file,
)
from population import Genome, one_line
from population.records import Json

#: A whole file that keeps less of the parent than this is no mutation of it.
KEPT_SHARE = 0.5
HYPOTHESIS_CHARACTERS = 200
_MOST_CHARACTERS = 2_000_000  # of all texts of an answer
# Where an object may stand among other words.
_WORDS_CHARACTERS, _OPENINGS = 200_000, 200

# Each holds to its line, and no part of it may begin where the one before could go on: a reply of
# any length is read in one pass.
_HYPOTHESIS = re.compile(r"^[^\w\n]*HYPOTHESIS[^\w\n:]*:[^\w\n]*(?P<text>\w.*)$", re.M | re.I)
_GAIN = re.compile(
    r"^[^\w\n]*EXPECTED[_ ]GAIN[^\w\n:]*:[^\w\n.+-]*(?P<number>[-+]?[\d.]+(?:e[-+]?\d+)?)",
    re.M | re.I,
)
_SUGGESTION = re.compile(r"^[^\w\n]*SUGGESTION[^\w\n:]*:[^\w\n]*(?P<id>\w+)[^\w\n]*$", re.M | re.I)


@dataclass(frozen=True, slots=True)
class Draft:
    """What an answer proposes, before it is held against contract and history.

    Attributes:
        genome: The offspring.
        hypothesis: One line.
        expected_gain: In the metric's unit, positive is better; None if unsaid.
        suggestion: The person's idea it says to take up; empty if none.
    """

    genome: Genome
    hypothesis: str
    expected_gain: float | None = None
    suggestion: str = ""


def arguments_of(reply: Reply, tool: Tool) -> Mapping[str, Json] | None:
    """What ``reply`` gives ``tool``: by its use, or as the JSON object in its text; None if not."""
    use = reply.use_of(tool)
    if use is not None:
        return use.arguments
    fenced = whole_file(reply.text)
    properties = tool.parameters["properties"]
    assert isinstance(properties, Mapping)
    for text in (reply.text, fenced or ""):
        try:
            value = read_json(text)
        except ValueError:
            continue
        if isinstance(value, dict) and not value.keys().isdisjoint(properties):
            return value
    return _object_in(reply.text, properties)


def _object_in(text: str, properties: Collection[str]) -> Mapping[str, Json] | None:
    """The last JSON object among other words that has one of the properties."""
    decoder, text = json.JSONDecoder(), text[-_WORDS_CHARACTERS:]
    found: Mapping[str, Json] | None = None
    place = -1
    for _ in range(_OPENINGS):
        place = text.find("{", place + 1)
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if not is_deep(value) and not value.keys().isdisjoint(properties):
            found, place = value, end - 1
    return found


def read_variant(reply: Reply, parent: Genome, *, may_rewrite: bool = False) -> Draft | Refused:
    """What a reply makes of ``parent``.

    Args:
        reply: Any.
        parent: What its edits apply to.
        may_rewrite: True to take a whole file that keeps little of the parent, as a crossover's
            may; a mutation of that size is several ideas at once, or a file typed from memory.
    """
    arguments = arguments_of(reply, SUBMIT_VARIANT)
    if arguments is None:
        return _in_words(reply.text, parent, may_rewrite=may_rewrite)
    genome = changed(parent, arguments, may_rewrite=may_rewrite)
    if isinstance(genome, Refused):
        return genome
    return Draft(
        genome=genome,
        hypothesis=hypothesis_of(arguments.get("hypothesis")),
        expected_gain=number_of(arguments.get("expected_gain")),
        suggestion=suggestion_of(arguments.get("suggestion")),
    )


def changed(
    parent: Genome, arguments: Mapping[str, Json], *, may_rewrite: bool = False
) -> Genome | Refused:
    """``parent`` with the ``edits`` and ``files`` of an answer; all of them, or why not."""
    edits = _records(arguments.get("edits"), "edits", ("path", "search", "replace"))
    files = _records(arguments.get("files"), "files", ("path", "text"))
    for part in (edits, files):
        if isinstance(part, Refused):
            return part
    assert not isinstance(edits, Refused)
    assert not isinstance(files, Refused)
    if not edits and not files:
        return Refused("the answer changes nothing: edits and files are both empty")
    if sum(len(text) for record in (*edits, *files) for text in record.values()) > _MOST_CHARACTERS:
        return Refused(f"the answer has more than {_MOST_CHARACTERS} characters")
    texts = {record["path"] or parent.entry: record["text"] for record in files}
    problem = next(_file_problems(parent, edits, files, may_rewrite=may_rewrite), None)
    if problem is not None:
        return Refused(problem)
    blocks = [
        Block(lines_of(edit["search"]), lines_of(edit["replace"]), edit["path"]) for edit in edits
    ]
    applied = apply_blocks(parent, blocks)
    if isinstance(applied, Refused):
        return applied
    return Genome({**applied.files, **texts}, parent.entry)


def hypothesis_of(value: Json) -> str:
    """A hypothesis, in one line; what is none counts as not given."""
    line = one_line(value, HYPOTHESIS_CHARACTERS) if isinstance(value, str) else ""
    return line or "(none given)"


def number_of(value: Json) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def suggestion_of(value: Json) -> str:
    """The id of a suggestion, as it was shown; empty if that is none."""
    return value.strip()[:HYPOTHESIS_CHARACTERS] if isinstance(value, str) else ""


def hypothesis_in(text: str) -> str:
    """The hypothesis that is stated in ``text``."""
    found = _HYPOTHESIS.search(text)
    return hypothesis_of(found["text"] if found else None)


def gain_in(text: str) -> float | None:
    """The expected gain that is stated in ``text``."""
    found = _GAIN.search(text)
    try:
        return number_of(float(found["number"])) if found else None
    except ValueError:
        return None


def suggestion_in(text: str) -> str:
    """The suggestion that ``text`` says to take up."""
    found = _SUGGESTION.search(text)
    return found["id"] if found else ""


def _in_words(text: str, parent: Genome, *, may_rewrite: bool) -> Draft | Refused:
    """SEARCH/REPLACE blocks, or the whole entry in one fence."""
    blocks = read_blocks(text)
    if isinstance(blocks, Refused):
        return blocks
    if blocks:
        genome = apply_blocks(parent, blocks)
    else:
        whole = whole_file(text)
        if whole is None:
            return Refused(
                f"the reply has no use of {SUBMIT_VARIANT.name}, no SEARCH/REPLACE block and not "
                "one fenced file"
            )
        genome = changed(parent, {"files": [{"path": "", "text": whole}]}, may_rewrite=may_rewrite)
    if isinstance(genome, Refused):
        return genome
    return Draft(genome, hypothesis_in(text), gain_in(text), suggestion_in(text))


def _records(value: Json, name: str, keys: Sequence[str]) -> list[dict[str, str]] | Refused:
    """A list of objects that have these texts; one that is left out is empty."""
    if value is None:
        return []
    wanted = f"{name} must be a list of objects with the texts {', '.join(keys)}"
    if not isinstance(value, Sequence) or isinstance(value, str):
        return Refused(f"{wanted}, but it is {_kind(value)}")
    records: list[dict[str, str]] = []
    for number, item in enumerate(value, start=1):
        if not isinstance(item, Mapping):
            return Refused(f"{wanted}, but its entry {number} is {_kind(item)}")
        wrong = next((key for key in keys if not isinstance(item.get(key), str)), None)
        if wrong is not None:
            found = _kind(item[wrong]) if wrong in item else "not there"
            return Refused(f"{wanted}, but {wrong} of its entry {number} is {found}")
        records.append({key: str(item[key]) for key in keys})
    return records


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {bool: "a truth", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "a list" if isinstance(value, Sequence) else "an object")


def _file_problems(
    parent: Genome,
    edits: Sequence[Mapping[str, str]],
    files: Sequence[Mapping[str, str]],
    *,
    may_rewrite: bool,
) -> Iterator[str]:
    """What is wrong with files that are given whole."""
    edited = {edit["path"] or parent.entry for edit in edits}
    given: set[str] = set()
    for record in files:
        path, text = record["path"] or parent.entry, record["text"]
        if path not in parent.files:
            yield no_such_file(path, parent)
        elif path in given or path in edited:
            yield f"{path} is given twice: once as a whole file is enough, or by edits alone"
        elif not text.strip():
            yield f"{path} is given whole, and is empty"
        elif not may_rewrite and _kept(parent.files[path], text) < KEPT_SHARE:
            yield (
                f"{path} is given whole, and less than half of it is the parent's: change what the "
                "idea needs and nothing else, by edits"
            )
        given.add(path)


def _kept(before: str, after: str) -> float:
    """How many lines two texts have in common, as a share of both: 0 to 1."""
    lines = before.splitlines(), after.splitlines()
    return difflib.SequenceMatcher(None, *lines, autojunk=False).quick_ratio()
