"""Genome: the files of a variant, its knobs, its canonical hash and the contract it keeps.

Pure text in, values out: nothing is imported, run or written. The rules of the contract live in
``contract``, the normal form behind the hash in ``canonical``.
"""

import ast
import functools
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from population.canonical import normal_form
from population.contract import Contract, Problem, file_problems, genome_problems, with_line
from population.errors import EvolveError
from population.gate import gate_problems
from population.syntax import Unreadable, read_tree

__all__ = [
    "MAIN",
    "Contract",
    "Genome",
    "GenomeError",
    "KnobValue",
    "Problem",
    "canonical_hash",
    "contract_problems",
    "knobs",
    "literal_value",
    "rewritten",
    "set_knobs",
]

MAIN = "train.py"

KnobValue: TypeAlias = "int | float | bool | str | tuple[KnobValue, ...] | None"

#: Bits of an integer that counts as a knob; nothing that anyone would turn is larger.
MOST_KNOB_BITS = 256

_KNOB_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class GenomeError(EvolveError):
    """A genome cannot be what was asked of it; the text says what to do next."""


@dataclass(frozen=True)
class Genome:
    """A small set of text files, one of which is what a trial starts; immutable and hashable.

    Attributes:
        files: Text by relative path with forward slashes; copied, read-only.
        entry: Path of the file that a trial starts.

    Raises:
        GenomeError: No entry, or a path that leaves the genome's own folder.
    """

    files: Mapping[str, str]
    entry: str = MAIN

    def __post_init__(self) -> None:
        if self.entry not in self.files:
            raise GenomeError(
                f"The genome holds {sorted(self.files)}, but every genome needs {self.entry}. "
                f"Add {self.entry}, or name the file that trains the model {self.entry}."
            )
        for path in self.files:
            if not _stays_inside(path):
                raise GenomeError(
                    f"The genome holds a file at {path!r}, but paths must be relative and stay "
                    "inside the genome's folder. Use a plain relative path."
                )
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    @classmethod
    def single(cls, text: str) -> "Genome":
        """The genome that is ``train.py`` alone."""
        return cls({MAIN: text})

    @property
    def main(self) -> str:
        """The text of the entry: ``train.py`` unless the genome says otherwise."""
        return self.files[self.entry]

    @property
    def sources(self) -> list[str]:
        """Paths of its Python files, in order: what operators may change."""
        return sorted(path for path in self.files if path.endswith(".py"))

    def with_main(self, text: str) -> "Genome":
        """The same genome with another text of its entry."""
        return self.with_file(self.entry, text)

    def with_file(self, path: str, text: str) -> "Genome":
        """The same genome with another text of one file."""
        return Genome({**self.files, path: text}, self.entry)

    def __hash__(self) -> int:
        return hash(frozenset(self.files.items()))

    def __reduce__(self) -> tuple[type["Genome"], tuple[dict[str, str], str]]:
        return Genome, (dict(self.files), self.entry)


def knobs(text: str) -> dict[str, KnobValue]:
    """The knobs of ``text``: every top-level ``ALL_CAPS = literal``, in order.

    Arithmetic of numbers counts as a literal (``2**16``). Of several assignments to one name the
    last counts. A text that does not parse has none.
    """
    return {name: value for name, (value, _) in _assignments(text).items()}


def set_knobs(text: str, changes: Mapping[str, KnobValue]) -> str:
    """``text`` with other knob values; every other byte stays, trailing comments too.

    Raises:
        GenomeError: A name that is no knob of ``text``, or a value that has no literal.
    """
    found = _assignments(text)
    unknown = sorted(set(changes) - set(found))
    if unknown:
        raise GenomeError(
            f"{', '.join(unknown)} cannot be set: the genome has the knobs "
            f"{', '.join(found) or '(none)'}. Use one of these, or add the knob to the genome "
            "as a top-level ALL_CAPS = literal."
        )
    changed = [
        (found[name][1], value)
        for name, value in changes.items()
        if type(found[name][0]) is not type(value) or repr(found[name][0]) != repr(value)
    ]
    return rewritten(text, changed)


def rewritten(text: str, changes: Sequence[tuple[ast.expr, KnobValue]]) -> str:
    """``text`` with other literals in place of some of its expressions; every other byte stays.

    Args:
        text: What the expressions were parsed from.
        changes: Expressions, none inside another, and what each becomes.

    Raises:
        GenomeError: A value that has no literal.
    """
    lines = text.encode("utf-8", "surrogatepass").splitlines(keepends=True)
    # From the end backwards, so that earlier positions stay true.
    for node, value in sorted(changes, key=lambda change: _start(change[0]), reverse=True):
        first, start = _start(node)
        last, end = (node.end_lineno or first) - 1, node.end_col_offset or start
        source = (lines[first][start:] if first != last else lines[first][start:end]).decode()
        before, after = lines[first][:start], lines[last][end:]
        lines[first : last + 1] = [before + _literal(value, source).encode() + after]
    return b"".join(lines).decode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=256)
def canonical_hash(genome: Genome) -> str:
    """SHA-256 of what the genome means: comments, layout, docstrings and names of locals aside.

    A file that does not parse counts with its text.
    """
    digest = hashlib.sha256()
    for path in sorted(genome.files):
        text = genome.files[path]
        others = [genome.files[p] for p in genome.files if p != path and p.endswith(".py")]
        form = normal_form(text, others) if path.endswith(".py") else None
        kind, content = ("text", text) if form is None else ("tree", form)
        data = content.encode("utf-8", "surrogatepass")
        digest.update(f"{path!r} {kind} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def contract_problems(genome: Genome, contract: Contract | None = None) -> list[Problem]:
    """What keeps the genome from being trained at all; empty if it keeps the contract.

    Total over any text. It finds mistakes, not malice: forged scores are the scorer's business.

    Args:
        genome: Any.
        contract: What it must keep; by default that of a language model's ``train.py``.
    """
    return list(_contract_problems(genome, contract or Contract()))


@functools.lru_cache(maxsize=128)
def _contract_problems(genome: Genome, contract: Contract) -> tuple[Problem, ...]:
    modules = {PurePosixPath(p).with_suffix("").as_posix().replace("/", ".") for p in genome.files}
    problems: list[Problem] = []
    trees: dict[str, ast.Module] = {}
    for path, text in genome.files.items():
        if not path.endswith(".py"):
            continue
        found = file_problems(text, modules, contract)
        own = list(found.problems)
        if found.tree is not None:
            trees[path] = found.tree
            if not contract.is_script:
                own += sorted(gate_problems(found.tree, text), key=lambda problem: problem.line)
        prefix = "" if path == genome.entry else f"{path}: "
        shown = (with_line(problem, text) for problem in own)
        problems += [problem._replace(message=prefix + problem.message) for problem in shown]
    if genome.entry in trees and not contract.is_script:
        has_knobs = bool(knobs(genome.main))
        whole = genome_problems(trees[genome.entry], list(trees.values()), has_knobs)
        problems += [with_line(problem, genome.main) for problem in whole]
    return tuple(problems)


def _stays_inside(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)


def knob_statements(text: str) -> dict[str, ast.stmt]:
    """The statement behind each of `knobs`, by name."""
    return {name: found.statement for name, found in _assigned(text).items()}


def _assignments(text: str) -> dict[str, tuple[KnobValue, ast.expr]]:
    return {name: (found.value, found.node) for name, found in _assigned(text).items()}


class _Assigned(NamedTuple):
    value: KnobValue
    node: ast.expr
    statement: ast.stmt


@functools.lru_cache(maxsize=128)  # a genome's text is asked again and again while it breeds
def _assigned(text: str) -> dict[str, _Assigned]:
    tree = read_tree(text)
    found: dict[str, _Assigned] = {}
    for statement in [] if isinstance(tree, Unreadable) else tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as node)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node)
            ) if _KNOB_NAME.fullmatch(name):
                try:
                    found[name] = _Assigned(literal_value(node), node, statement)
                except (ValueError, ArithmeticError, TypeError):
                    continue  # computed: not a knob
    return found


def literal_value(node: ast.expr) -> KnobValue:
    """The value of a literal, arithmetic of numbers included.

    Raises:
        ValueError: It is none, or an integer of more than ``MOST_KNOB_BITS``; so do the errors of
            arithmetic.
    """
    match node:
        case ast.Constant(value=int() as value) if value.bit_length() > MOST_KNOB_BITS:
            raise ValueError("beyond what anyone would turn")
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Tuple(elts=elements):
            return tuple(literal_value(element) for element in elements)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp():
            return _arithmetic(node)
    raise ValueError("not a literal")


def _number(node: ast.expr) -> int | float:
    value = literal_value(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    return value


def _arithmetic(node: ast.BinOp) -> int | float:
    left, right = _number(node.left), _number(node.right)
    result: int | float
    match node.op:
        case ast.Add():
            result = left + right
        case ast.Sub():
            result = left - right
        case ast.Mult():
            result = left * right
        case ast.Div():
            result = left / right
        case ast.FloorDiv():
            result = left // right
        case ast.Pow() if abs(right) <= 64 and (left > 0 or isinstance(right, int)):
            result = left**right
        case _:
            raise ValueError("not the arithmetic of a literal")
    if abs(result) > 2**MOST_KNOB_BITS:
        raise ValueError("beyond any number a genome needs")
    return result


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno - 1, node.col_offset


def _literal(value: KnobValue, source: str = "") -> str:
    match value:
        case bool() | None:
            return repr(value)
        case str():
            text = repr(value)
            return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
        case tuple():
            inner = ", ".join(_literal(element) for element in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case float() if not math.isfinite(value):
            raise GenomeError(
                f"A knob was to be set to {value}, but a knob is a literal and this has none. "
                "Choose a finite number."
            )
        case int() if source.startswith("2**") and value > 1 and value & (value - 1) == 0:
            return f"2**{value.bit_length() - 1}"
        case int() if "_" in source:
            return f"{value:_}"
        case int() | float():
            return repr(value)
    raise GenomeError(
        f"A knob was to be set to a {type(value).__name__}, but knobs are numbers, strings, "
        "truths, None or tuples of these. Choose such a value."
    )
