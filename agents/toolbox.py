"""Looks: what a model may find out before it answers. Each use gives a text, bounded and fenced.

What needs the run — its store, its boxes — is handed in as a ``Desk``; where it has no such thing,
the tool is not offered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.answers import changed
from agents.conversation import Look
from agents.forms import EDITS, FILES, form, text_of
from agents.model import Tool
from agents.offspring import offspring_problem
from agents.operator import Context
from agents.replacements import Refused
from population import Genome, fenced, one_line
from population.records import Json

#: Lines of a file that one look shows.
LINES = 400
#: Characters of what a look gives.
CHARACTERS = 16_000
_NAME_CHARACTERS = 80

READ_FILE = Tool(
    "read_file",
    f"Read up to {LINES} lines of a file: of the genome, or one that goes with it, such as "
    "prepare.py. The genome's own text stands in the question already.",
    form(
        path=text_of("The file."),
        first_line={"type": "integer", "description": "Where to begin; 1 is the first line."},
    ),
)
LOOKUP = Tool(
    "lookup",
    "Look a variant of this run up: who made it and why, its score with its error, how it ended, "
    "and its diff against its parent.",
    form(variant=text_of("Its name, such as g003-012, or the beginning of its commit.")),
)
LINT = Tool(
    "lint",
    "Check an offspring without training it: whether the edits apply, the contract and the manual "
    "are kept, and it is new. For when you are unsure; the answer is checked in any case.",
    form(edits=EDITS, files=FILES),
)
SMOKE_RUN = Tool(
    "smoke_run",
    "Train an offspring for about two seconds in its box, and see whether it trains at all, how "
    "fast, and with how much memory. It says nothing of the score.",
    form(edits=EDITS, files=FILES),
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run has for models that want to look. Its functions are asked from several threads.

    Attributes:
        lookup: What is known of a variant, by name or commit; says so if there is none such.
        smoke: What a short training of a genome came to; None where there can be none.
        files: Texts by path that go with every genome and are not part of it.
    """

    lookup: Callable[[str], str] | None = None
    smoke: Callable[[Genome], str] | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def looks(context: Context, desk: Desk) -> list[Look]:
    """The looks that a proposal of ``context`` may take; edits are of its first parent."""
    parent, *mates = [parent.genome for parent in context.parents]

    def made(arguments: Mapping[str, Json]) -> Genome | Refused:
        genome = changed(parent, arguments, may_rewrite=bool(mates))
        if isinstance(genome, Refused):
            return genome
        problem = offspring_problem(genome, context)
        return genome if problem is None else Refused(problem)

    def read_file(arguments: Mapping[str, Json]) -> str:
        return file_text({**desk.files, **parent.files}, arguments)

    def lint(arguments: Mapping[str, Json]) -> str:
        genome = made(arguments)
        return _fence(genome.reason) if isinstance(genome, Refused) else "Nothing is wrong with it."

    found = [Look(READ_FILE, read_file)]
    if desk.lookup is not None:
        found.append(Look(LOOKUP, _lookup(desk.lookup)))
    found.append(Look(LINT, lint))
    if desk.smoke is not None:
        found.append(Look(SMOKE_RUN, _smoke(desk.smoke, made)))
    return found


def file_text(files: Mapping[str, str], arguments: Mapping[str, Json]) -> str:
    """Some lines of one of ``files``, or which there are."""
    path, first = arguments.get("path"), arguments.get("first_line")
    if not isinstance(path, str) or path not in files:
        told = one_line(path, _NAME_CHARACTERS) if isinstance(path, str) else "that is no text"
        return f"There is no file {told!r}. There is {', '.join(sorted(files))}."
    lines = files[path].splitlines()
    asked = first if isinstance(first, int) else 1
    start = min(max(0, asked - 1), max(0, len(lines) - 1))
    shown = lines[start : start + LINES]
    text = "\n".join(shown)
    where = f"lines {start + 1} to {start + len(shown)} of {len(lines)}"
    return f"`{one_line(path)}`, {where}:\n\n{_fence(text)}"


def _lookup(lookup: Callable[[str], str]) -> Callable[[Mapping[str, Json]], str]:
    def use(arguments: Mapping[str, Json]) -> str:
        variant = arguments.get("variant")
        if not isinstance(variant, str) or not variant.strip():
            return "variant must be a name such as g003-012."
        return _fence(lookup(one_line(variant, _NAME_CHARACTERS)))

    return use


def _smoke(
    smoke: Callable[[Genome], str], made: Callable[[Mapping[str, Json]], Genome | Refused]
) -> Callable[[Mapping[str, Json]], str]:
    def use(arguments: Mapping[str, Json]) -> str:
        genome = made(arguments)
        if isinstance(genome, Refused):
            return _fence(f"not run: {genome.reason}")
        return _fence(smoke(genome))

    return use


def _fence(text: str) -> str:
    return fenced(text, limit=CHARACTERS)
