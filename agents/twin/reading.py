"""What the author takes from a request: fenced genomes and diffs, names, and what it may use."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from population import MAIN, Genome, GenomeError, Manual, ManualError

_FENCE = re.compile(
    r"(?:^[^\n`]*`(?P<path>[\w./-]+\.\w+)`[^\n`]*\n\n?)?"
    r"^(?P<marks>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=marks)[ \t]*$",
    re.M | re.S,
)
_ROLE = re.compile(r"^# Your role: (?P<name>.+)$", re.M)
_TRIAL = re.compile(r"(?:\btrials? #?|#)(?P<number>\d+)\b", re.I)
_VARIANT = re.compile(r"\bg\d{3,}-\d{3,}\b")
_LESSON = re.compile(r"\[(L\d+)\]")
_SUGGESTION = re.compile(r"^\W*(?P<id>S\d+)\b", re.M)
_SET = re.compile(r"\bset (?P<name>[A-Z][A-Z0-9_]*) to (?P<value>[-+]?[\d.]+(?:e[-+]?\d+)?)\b")

INNER_TOOLS = ("read_file", "lookup", "lint", "smoke_run")


class Reading:
    """One request, read.

    Attributes:
        tools: Names of the tools.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._system = "\n\n".join(_texts(request.get("system", [])))
        turns = [(turn["role"], _texts(turn["content"])) for turn in request["messages"]]
        self._user = ["\n\n".join(texts) for role, texts in turns if role == "user"]
        self._turn_count = len(turns)
        self.tools = frozenset(tool["name"] for tool in request.get("tools", []))

    @property
    def role(self) -> str:
        """Who is asked, as the standing instructions call it."""
        found = _ROLE.search(self._system)
        return found["name"].strip().lower() if found else ""

    @property
    def is_first(self) -> bool:
        """True if the conversation begins."""
        return self._turn_count == 1

    @property
    def inner_tools(self) -> list[str]:
        """Tools to look around with; none when the conversation is under way."""
        return [name for name in INNER_TOOLS if name in self.tools and self.is_first]

    def answer(self, forms: Sequence[str]) -> str | None:
        """The form of the answer: of several that are offered, the one that was named last."""
        offered = [name for name in forms if name in self.tools]
        return max(offered, key=lambda name: self._asked.rfind(f"`{name}`"), default=None)

    @property
    def wants_less(self) -> bool:
        """True if the question is for simpler code."""
        return "minim" in self.role or "simplif" in self._asked[-1_500:].lower()

    @property
    def wants_repair(self) -> bool:
        """True if a genome has failed."""
        return "repair" in self.role

    @cached_property
    def genomes(self) -> list[Genome]:
        """Genomes of the first question, in order."""
        found: list[dict[str, str]] = [{}]
        for fence in _FENCE.finditer(self._user[0]):
            path = fence["path"]
            if path is None or fence["kind"] not in ("python", ""):
                continue
            if path in found[-1]:
                found.append({})
            found[-1][path] = fence["text"]
        return [genome for files in found if (genome := _genome(files)) is not None]

    @cached_property
    def diffs(self) -> list[str]:
        """Unified diffs of the first question."""
        return [f["text"] for f in _FENCE.finditer(self._user[0]) if f["kind"] == "diff"]

    @cached_property
    def manual(self) -> Manual:
        """The run's manual, if it is shown whole; otherwise one without rules."""
        for fence in _FENCE.finditer(self._system):
            if fence["kind"] == "markdown" and fence["text"].startswith("---\n"):
                try:
                    return Manual.parse(fence["text"])
                except ManualError:
                    continue
        return Manual()

    @property
    def setting(self) -> tuple[str, float] | None:
        """The knob that was last said to be set, and to what: an idea to be carried out."""
        found = list(_SET.finditer(self._asked))
        return (found[-1]["name"], float(found[-1]["value"])) if found else None

    @property
    def trials(self) -> list[int]:
        """Numbers of trials that are spoken of."""
        found = (int(found["number"]) for text in self._user for found in _TRIAL.finditer(text))
        return list(dict.fromkeys(found))

    @property
    def lessons(self) -> list[str]:
        """Numbers of lessons that are shown, as ``L7``."""
        found = (name for text in self._user for name in _LESSON.findall(text))
        return list(dict.fromkeys(found))

    @property
    def variants(self) -> list[str]:
        """Names of variants that are spoken of."""
        return list(dict.fromkeys(name for text in self._user for name in _VARIANT.findall(text)))

    @property
    def suggestion(self) -> str:
        """The first suggestion of a person; empty if there is none."""
        found = _SUGGESTION.search(self._asked)
        return found["id"] if found else ""

    @cached_property
    def _asked(self) -> str:
        """All that was asked, without the code in it."""
        asked = "\n\n".join(self._user)
        return _FENCE.sub(lambda f: "" if f["path"] else f["text"], asked)


def _texts(content: str | list[Mapping[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [text for block in content for text in _text(block)]


def _text(block: Mapping[str, Any]) -> Iterator[str]:
    if block["type"] == "text":
        yield block["text"]
    elif block["type"] == "tool_result":
        yield from _texts(block.get("content", ""))


def _genome(files: Mapping[str, str]) -> Genome | None:
    sources = [path for path in files if path.endswith(".py")]
    if not sources:
        return None
    try:
        return Genome(files, MAIN if MAIN in files else sources[0])
    except GenomeError:
        return None
