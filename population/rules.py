"""What a manual's rules mean for a genome: imports, and what the baseline has that must stay.

Pure. The limits on parameters and memory need a machine: a trial's supervisor checks those.
"""

import ast
import functools
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from population.canonical import bindings, drop_docstrings
from population.contract import Contract, Problem, with_line
from population.errors import did_you_mean
from population.genome import Genome, contract_problems, knobs
from population.manual import Manual
from population.syntax import Unreadable, read_tree

BEGIN_FROZEN = "# frozen"
END_FROZEN = "# end frozen"


class _Part(NamedTuple):
    """One statement or file that an entry of ``frozen`` stands for; ``form`` is what must stay."""

    path: str
    form: str
    line: int


def rule_problems(
    manual: Manual, genome: Genome, baseline: Genome, task: Contract | None = None
) -> list[Problem]:
    """What keeps ``genome`` out of a run with this manual; empty if nothing does.

    The contract with the manual's imports, then what is frozen. Total over any text.

    Args:
        manual: In force.
        genome: Any.
        baseline: What is frozen is compared with.
        task: What the run's task asks of genomes; by default that of a language model.
    """
    problems = contract_problems(genome, manual.contract(task or Contract()))
    if any(problem.rule in ("parse", "size") for problem in problems):
        return problems
    return problems + list(_frozen_problems(manual, genome, baseline))


def frozen_mistake(manual: Manual, baseline: Genome) -> str | None:
    """What is wrong with ``frozen`` for this baseline, in two sentences; None if nothing is.

    A name or file that the baseline does not have could never be held to.
    """
    for entry in manual.frozen:
        if not _parts(entry, baseline):
            hint = did_you_mean(entry, _names(baseline))
            return f"frozen names {entry!r}, which the baseline does not have. {hint}"
    for path, text in baseline.files.items():
        lines = [line.strip() for line in text.splitlines()]
        marks = [line for line in lines if line in (BEGIN_FROZEN, END_FROZEN)]
        if marks != [BEGIN_FROZEN, END_FROZEN] * (len(marks) // 2):
            return (
                f"the baseline's {path} has `{BEGIN_FROZEN}` and `{END_FROZEN}` lines that do not "
                "pair. Each region begins with the one and ends with the other"
            )
    return None


def frozen_knobs(manual: Manual, genome: Genome, path: str | None = None) -> frozenset[str]:
    """Knobs of a file, by default the entry, that offspring must leave as they are."""
    path = path or genome.entry
    text = genome.files[path]
    present = knobs(text)
    if any(fnmatchcase(path, entry) for entry in manual.frozen):
        return frozenset(present)
    within = {name for region in _regions(text) for name in knobs(region)}
    return frozenset(present) & (within | set(manual.frozen))


def frozen_lines(manual: Manual, genome: Genome, path: str) -> frozenset[int]:
    """Lines of a file, from 1, that offspring of ``genome`` must leave as they are."""
    text = genome.files[path]
    lines = text.splitlines()
    if any(fnmatchcase(path, entry) for entry in manual.frozen):
        return frozenset(range(1, len(lines) + 1))
    tree = _tree(text) if path.endswith(".py") else None
    body = tree.body if tree is not None else []
    found: set[int] = set()
    for entry in manual.frozen:
        for statement in _statements(body, entry.split(".")):
            found.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    inside = False
    for number, line in enumerate(lines, 1):
        inside = inside or line.strip() == BEGIN_FROZEN
        if inside:
            found.add(number)
        inside = inside and line.strip() != END_FROZEN
    return frozenset(found)


def _frozen_problems(manual: Manual, genome: Genome, baseline: Genome) -> Iterator[Problem]:
    for entry in manual.frozen:
        wanted, found = _parts(entry, baseline), _parts(entry, genome)
        if [part[:2] for part in wanted] == [part[:2] for part in found]:
            continue
        line = found[0].line if found else 0
        problem = Problem("frozen", line, f"{entry} is frozen: keep it as the baseline has it")
        yield with_line(problem, genome.files[found[0].path]) if found else problem
    for path, text in baseline.files.items():
        regions = _regions(text)
        if regions != _regions(genome.files.get(path, "")):
            yield Problem(
                "frozen",
                0,
                f"{path}: what stands between `{BEGIN_FROZEN}` and `{END_FROZEN}` is frozen: keep "
                "it as the baseline has it, byte for byte",
            )


@functools.lru_cache(maxsize=512)
def _parts(entry: str, genome: Genome) -> tuple[_Part, ...]:
    """What an entry stands for in a genome: files if it looks like a path, else statements."""
    if entry in genome.files or entry.endswith(".py") or set(entry) & set("*?[/"):
        matching = (path for path in sorted(genome.files) if fnmatchcase(path, entry))
        return tuple(_Part(path, _file_form(path, genome.files[path]), 0) for path in matching)
    return tuple(
        _Part(path, _dump(statement), statement.lineno)
        for path, tree in _trees(genome)
        for statement in _statements(tree.body, entry.split("."))
    )


def _file_form(path: str, text: str) -> str:
    tree = _tree(text) if path.endswith(".py") else None
    return text if tree is None else _dump(tree)


def _trees(genome: Genome) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(genome.files):
        tree = _tree(genome.files[path]) if path.endswith(".py") else None
        if tree is not None:
            yield path, tree


@functools.lru_cache(maxsize=32)
def _tree(text: str) -> ast.Module | None:
    """The tree without docstrings; nobody may change it."""
    tree = read_tree(text)
    if isinstance(tree, Unreadable):
        return None
    drop_docstrings(tree)
    return tree


def _statements(body: Iterable[ast.stmt], parts: Sequence[str]) -> Iterator[ast.stmt]:
    """The statements of a scope that say what the dotted name ``parts`` is.

    Whole ones: a name that is bound inside an ``if`` depends on all of it. A function that could
    rebind the name by ``global`` counts, and so does an assignment to an attribute from outside.
    """
    head, *rest = parts
    for statement in body:
        if rest and isinstance(statement, ast.ClassDef) and statement.name == head:
            yield from _statements(statement.body, rest)
        elif head in bindings([statement]) or _reaches_in(statement, parts):
            yield statement


def _reaches_in(statement: ast.stmt, parts: Sequence[str]) -> bool:
    dotted = ".".join(parts)
    for node in ast.walk(statement):
        match node:
            case ast.Global(names=names) if parts[0] in names:
                return True
            case ast.Attribute(ctx=ast.Store() | ast.Del()) if _dotted(node) == dotted:
                return True
    return False


def _dotted(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            before = _dotted(owner)
            return None if before is None else f"{before}.{name}"
    return None


def _dump(node: ast.AST) -> str:
    try:
        return ast.dump(node)
    except (
        ValueError
    ):  # an integer too long to be written in decimal: no two of them are told apart
        return "(an enormous integer)"


def _regions(text: str) -> list[str]:
    """Text between the marks of frozen regions, marks included; one without end goes to the end."""
    regions: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if not inside and line.strip() == BEGIN_FROZEN:
            inside = True
            regions.append("")
        if inside:
            regions[-1] += line
        if line.strip() == END_FROZEN:
            inside = False
    return regions


def _names(genome: Genome) -> Iterator[str]:
    """Everything that an entry of ``frozen`` could stand for."""
    for _, tree in _trees(genome):
        yield from bindings(tree.body)
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef):
                yield from (f"{statement.name}.{name}" for name in bindings(statement.body))
    yield from genome.files
