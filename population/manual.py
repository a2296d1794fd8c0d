"""Manual: a run's program.md, read strictly. Its front matter holds rules, its prose advice.

The only import of PyYAML. Reading is total: any text gives a `Manual` or a `ManualError` that
names the line. What the rules mean for a genome is in ``rules``; for a run, in
``evolution.manuals``.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeGuard

import yaml

from population.contract import Contract
from population.errors import EvolveError, did_you_mean
from population.metric import Direction
from population.records import Json

#: More than any manual that people read; what is longer was not meant to be one.
MAX_CHARACTERS = 200_000
MAX_FRONT_CHARACTERS = 16_384
_MAX_DEPTH = 4
_MOST_ENTRIES = 500

_PARTS = re.compile(
    r"\A\ufeff?---[ \t]*\n(?P<front>.*?)^---[ \t]*$\n?(?P<prose>.*)\Z", re.DOTALL | re.MULTILINE
)
_BUDGET = re.compile(
    r"(?P<number>\d[\d_]{0,30}(?:\.\d{1,9})?(?:e\d{1,2})?) ?(?P<unit>s|min|h|tokens)", re.ASCII
)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_WORD = re.compile(r"[\w.*?\[\]!/ -]{1,200}")


class ManualError(EvolveError):
    """A manual that cannot be read, or that does not fit its run."""


@dataclass(frozen=True, slots=True)
class ManualLimits:
    """What a genome may need at home depth; None is no limit.

    Attributes:
        parameters_millions: Parameters of its model.
        memory_mb: Resident memory of its trainer.
    """

    parameters_millions: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class NamedBudget:
    """A trial's budget as a manual names it: ``amount`` of ``unit``, ``s`` or ``tokens``."""

    amount: float
    unit: str

    def __str__(self) -> str:
        whole = self.amount.is_integer() and self.amount < 1e15
        return f"{int(self.amount) if whole else repr(self.amount)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Manual:
    """What a run's program.md says.

    Attributes:
        text: All of it, as written.
        metric: What the score must be called; None is whatever the run's metric is.
        direction: Which way it must be better; None likewise.
        budget: What one trial may spend; None leaves it to settings and profile.
        frozen: Names and files that offspring keep as the baseline has them.
        imports: Modules that a genome may import beside the standard library; None is torch and
            the ruler, and for a script of the user's own whatever it likes.
        limits: On parameters and memory.
        simplicity_weight: What a tenth less code is worth to selection, in sigma of the score.
        operators: Those that may be asked; None is all.
    """

    text: str = ""
    metric: str | None = None
    direction: Direction | None = None
    budget: NamedBudget | None = None
    frozen: tuple[str, ...] = ()
    imports: tuple[str, ...] | None = None
    limits: ManualLimits = ManualLimits()
    simplicity_weight: float = 0.1
    operators: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str, source: str = "program.md") -> "Manual":
        """Read ``text``; ``source`` is what a refusal calls it.

        Raises:
            ManualError: In three parts, with the line.
        """
        return _Reading(text, source).manual()

    @property
    def prose(self) -> str:
        """What follows the front matter."""
        found = _PARTS.match(self.text.replace("\r\n", "\n"))
        return found["prose"] if found else self.text

    @property
    def hash(self) -> str:
        """SHA-256 of the text: the manual's name wherever it is recorded."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def contract(self, task: Contract) -> Contract:
        """What genomes must keep: what the task asks of them, with the manual's imports."""
        return replace(task, imports=self.imports)

    def line_of(self, key: str) -> int:
        """The line of a key of the front matter; 1 if it is not there."""
        found = re.search(rf"^{re.escape(key)}[ \t]*:", self.text, re.MULTILINE)
        return self.text.count("\n", 0, found.start()) + 1 if found else 1

    def rules(self) -> dict[str, Json]:
        """The front matter as plain values, defaults included."""
        return {
            "metric": self.metric,
            "direction": None if self.direction is None else str(self.direction),
            "budget": "profile" if self.budget is None else str(self.budget),
            "frozen": list(self.frozen),
            "imports": None if self.imports is None else list(self.imports),
            "limits": {
                "parameters_millions": self.limits.parameters_millions,
                "memory_mb": self.limits.memory_mb,
            },
            "simplicity_weight": self.simplicity_weight,
            "operators": "all" if self.operators is None else list(self.operators),
        }


class _Reading:
    """One reading of one text: what every refusal must know."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source

    def manual(self) -> Manual:
        """The manual that the text is."""
        if len(self._text) > MAX_CHARACTERS:
            found = f"the manual has {len(self._text)} characters"
            self._refuse(1, found, f"At most {MAX_CHARACTERS} are read")
        parts = _PARTS.match(self._text.replace("\r\n", "\n"))
        if parts is None:
            needed = (
                "A manual begins with a line `---`, its rules, and a second line `---`; rules that "
                "are left out have their defaults"
            )
            self._refuse(1, "there is no front matter", needed)
        if len(parts["front"]) > MAX_FRONT_CHARACTERS:
            found = f"the front matter has {len(parts['front'])} characters"
            needed = f"At most {MAX_FRONT_CHARACTERS} are read; advice belongs below it"
            self._refuse(1, found, needed)
        return Manual(text=self._text, **self._fields(parts["front"]))

    def _fields(self, front: str) -> dict[str, Any]:
        """The fields of a manual that the front matter sets."""
        try:
            self._check_events(front)
            loader = yaml.SafeLoader(front)
            root = loader.get_single_node()
        except yaml.YAMLError as error:
            needed = "Rules are plain YAML, one `key: value` a line"
            self._refuse(
                _line(error, front), f"the front matter is broken: {_words(error)}", needed
            )
        if root is None:
            return {}
        fields: dict[str, Any] = {}
        for key, node, line in self._entries(root, _KEYS, 1):
            if key == "limits":
                fields[key] = self._limits(loader, node, line)
            else:
                fields[key] = self._value(loader, key, node, line, _KEYS[key])
        return fields

    def _limits(self, loader: yaml.SafeLoader, node: yaml.Node, line: int) -> ManualLimits:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return ManualLimits()
        entries = self._entries(node, _LIMITS, line)
        return ManualLimits(
            **{
                name: self._value(loader, f"limits.{name}", below, where, _limit)
                for name, below, where in entries
            }
        )

    def _check_events(self, front: str) -> None:
        """Refuse what a manual has no use for, before anything is built of it."""
        depth = 0
        for event in yaml.parse(front, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 2 if event.start_mark is not None else 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                self._refuse(
                    line, f"values are nested {depth} levels deep", "Two levels are enough"
                )
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                self._refuse(line, "there is an anchor or alias (`&`, `*`)", "Write the value out")
            if getattr(event, "tag", None):
                self._refuse(line, "there is a tag (`!`)", "Values need no tags")

    def _entries(
        self, node: yaml.Node, known: Mapping[str, object], line: int
    ) -> Iterator[tuple[str, yaml.Node, int]]:
        """Key, value and line of each pair of a mapping; each key known, and there once."""
        if not isinstance(node, yaml.MappingNode):
            needed = f"Pairs `key: value` of these keys are: {', '.join(known)}"
            self._refuse(line, "there is something else than `key: value`", needed)
        seen: set[str] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 2
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "(no word)"
            if key not in known:
                self._refuse(line, f"the key {key[:60]!r} is unknown", did_you_mean(key, known))
            if key in seen:
                self._refuse(line, f"{key} is set a second time", "Each key stands once")
            seen.add(key)
            yield key, value_node, line

    def _value(
        self,
        loader: yaml.SafeLoader,
        key: str,
        node: yaml.Node,
        line: int,
        read: Callable[[Any], Any],
    ) -> Any:  # noqa: ANN401 - each key has a type of its own
        try:
            value = loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self._refuse(line, f"{key} cannot be read: {_words(error)}", "Write a plain value")
        try:
            return read(value)
        except ValueError as error:
            self._refuse(line, f"{key} is {repr(value)[:80]}", str(error))

    def _refuse(self, line: int, found: str, needed: str) -> NoReturn:
        stop = "" if needed.endswith(("?", ".")) else "."
        raise ManualError(
            f"{self._source}, line {line}: {found}. {needed}{stop} Mend the line and save the file."
        )


# --- what each key may be: a value, or a ValueError that says what is needed ---------------------


def _metric(value: object) -> str | None:
    if value is None or (isinstance(value, str) and _WORD.fullmatch(value)):
        return value
    raise ValueError("The name of the run's metric is needed, such as val_bpb")


def _direction(value: object) -> Direction | None:
    if value is None or value in tuple(Direction):
        return None if value is None else Direction(str(value))
    raise ValueError("It is minimize or maximize")


def _budget(value: object) -> NamedBudget | None:
    if value is None or value == "profile":
        return None
    found = _BUDGET.fullmatch(value.strip()) if isinstance(value, str) else None
    amount = float(found["number"].replace("_", "")) if found else 0.0
    if found is None or not (0 < amount < math.inf):
        raise ValueError('It is profile, or an amount such as "9 s", "5 min" or "200_000 tokens"')
    if found["unit"] == "tokens":
        return NamedBudget(amount, "tokens")
    return NamedBudget(amount * _SECONDS[found["unit"]], "s")


def _frozen(value: object) -> tuple[str, ...]:
    return _words_of(value, _WORD, 'a list of names or files: [DEPTH, "Block.forward", data.py]')


def _imports(value: object) -> tuple[str, ...]:
    return _words_of(value, _MODULE, "a list of modules: [torch, prepare, numpy]")


def _operators(value: object) -> tuple[str, ...] | None:
    if value is None or value == "all":
        return None
    names = _words_of(value, _WORD, "all, or a list of operators: [knob, structure]")
    if not names:
        raise ValueError("At least one operator is needed, or all")
    return names


def _weight(value: object) -> float:
    if _is_number(value) and 0 <= value <= 10:
        return float(value)
    raise ValueError("A number from 0 to 10 is needed; 0 gives simpler code no preference")


def _limit(value: object) -> float | None:
    if value is None or (_is_number(value) and 0 < value <= 1e9):
        return None if value is None else float(value)
    raise ValueError("A number above 0 is needed, or null for no limit")


def _words_of(value: object, pattern: re.Pattern[str], needed: str) -> tuple[str, ...]:
    entries = [] if value is None else value
    if isinstance(entries, list) and len(entries) <= _MOST_ENTRIES:
        words = [entry for entry in entries if isinstance(entry, str) and pattern.fullmatch(entry)]
        if len(words) == len(entries):
            return tuple(dict.fromkeys(words))
    raise ValueError(f"It is {needed}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "metric": _metric,
    "direction": _direction,
    "budget": _budget,
    "frozen": _frozen,
    "imports": _imports,
    "limits": _limit,
    "simplicity_weight": _weight,
    "operators": _operators,
}
_LIMITS = {"parameters_millions": _limit, "memory_mb": _limit}


def _line(error: yaml.YAMLError, front: str) -> int:
    """The line of the whole text that a complaint of the front matter is about."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 2
    return front.count("\n", 0, getattr(error, "position", None) or 0) + 2


def _words(error: Exception) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    return " ".join(str(problem or error).split())[:120]
