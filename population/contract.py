"""The contract a genome keeps so that it can be trained and scored: a lint over its syntax trees.

It finds honest mistakes before any training is paid for; ``gate`` looks for what no honest genome
has. Neither is a defence: what a genome does at run time is contained and scored elsewhere.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from population.syntax import Unreadable, quiet_parser, read_tree
from population.untrusted import one_line

RULER = "prepare"

# Processes, networks, foreign code and the import machinery have no place in a genome.
_FORBIDDEN_STDLIB = re.compile(
    "asyncio|builtins|cgi|code|codeop|concurrent|ctypes|dbm|ensurepip|fcntl|ftplib|http|imaplib|imp|"
    "importlib|marshal|mmap|multiprocessing|nntplib|pickle|pkgutil|poplib|posix|pty|runpy|"
    "selectors|shelve|shutil|site|smtplib|socket|socketserver|sqlite3|ssl|subprocess|telnetlib|"
    "tempfile|urllib|venv|webbrowser|wsgiref|xmlrpc|zipimport"
)
_FORBIDDEN_TORCH = ("torch.distributed", "torch.hub", "torch.multiprocessing", "torch.utils.cpp_")


@dataclass(frozen=True, slots=True)
class Contract:
    """What the genomes of a run must keep.

    Attributes:
        is_script: True for a script of the user's own: it must be Python, and no more.
        imports: Modules that may be imported beside the ruler, the genome's own files and the
            harmless standard library. A name covers what lies below it, but what is forbidden by
            itself (``torch.distributed``, ``subprocess``, …) only by its own name. None is torch,
            and for a script everything.
    """

    is_script: bool = False
    imports: tuple[str, ...] | None = None

    @property
    def allowed_imports(self) -> tuple[str, ...]:
        """What may be imported, as far as it is said."""
        return ("torch", RULER) if self.imports is None else self.imports


class Problem(NamedTuple):
    """One breach of the contract, or of a rule of the manual.

    Attributes:
        rule: Its name: ``size parse knobs build_model main_guard imports dataloader evaluation``,
            ``blob table dynamic protocol`` of the gate, or ``frozen``.
        line: Where in the file, from 1; 0 for the file as a whole.
        message: What was found and what is needed, in one line, with the text of that line.
    """

    rule: str
    line: int
    message: str


class Checked(NamedTuple):
    """What one file looks like by itself: its tree, if it has one, and its problems."""

    tree: ast.Module | None
    problems: list[Problem]


def file_problems(text: str, genome_modules: Collection[str], contract: Contract) -> Checked:
    """Rules that hold for every file: it compiles, and imports only what it may."""
    tree = read_tree(text)
    if isinstance(tree, Unreadable):
        return Checked(None, [Problem(tree.rule, tree.line, tree.message)])
    try:
        with quiet_parser():
            compile(text, "genome", "exec", dont_inherit=True)
    except SyntaxError as error:  # e.g. a `return` outside of any function
        return Checked(None, [Problem("parse", error.lineno or 0, f"not Python: {error.msg}")])
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return Checked(None, [Problem("parse", 0, f"cannot be compiled: {error}")])
    if contract.is_script and contract.imports is None:
        return Checked(tree, [])
    return Checked(tree, list(_import_problems(tree, genome_modules, contract)))


def with_line(problem: Problem, text: str) -> Problem:
    """``problem`` with the line of ``text`` that it names, bounded and plain."""
    lines = re.split(r"\r\n|\r|\n", text)  # as the parser counts them
    is_told = 0 < problem.line <= len(lines)
    shown = one_line(lines[problem.line - 1], 100) if is_told else ""
    return problem._replace(message=f"{problem.message} | {shown}") if shown else problem


def genome_problems(
    main: ast.Module, trees: Sequence[ast.Module], has_knobs: bool
) -> Iterator[Problem]:
    """Rules that hold for the genome as a whole; ``main`` is the tree of its entry."""
    if not has_knobs:
        yield Problem("knobs", 0, "no knob: write a block of top-level ALL_CAPS = literal")
    yield from _build_model_problems(main)
    if not any(_is_main_guard(statement) for statement in main.body):
        yield Problem("main_guard", 0, 'no `if __name__ == "__main__":` at the top level')
    called = {_called_name(node) for tree in trees for node in ast.walk(tree)}
    if "make_dataloader" not in called:
        yield Problem("dataloader", 0, "make_dataloader() of prepare is never called")
    if "evaluate_bpb" not in called:
        yield Problem("evaluation", 0, "evaluate_bpb() of prepare is never called")


def _build_model_problems(main: ast.Module) -> Iterator[Problem]:
    found = [s for s in main.body if isinstance(s, ast.FunctionDef) and s.name == "build_model"]
    if not found:
        yield Problem("build_model", 0, "no top-level function build_model()")
        return
    arguments = found[-1].args
    required = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    if required or None in arguments.kw_defaults:
        yield Problem(
            "build_model", found[-1].lineno, "build_model() must be callable without arguments"
        )


def _import_problems(
    tree: ast.Module, genome_modules: Collection[str], contract: Contract
) -> Iterator[Problem]:
    named = ", ".join(dict.fromkeys([*contract.allowed_imports, RULER]))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules: Iterable[str] = [alias.name for alias in names]
            case ast.ImportFrom(level=level) if level:
                yield Problem("imports", node.lineno, "relative import: a genome is no package")
                continue
            case ast.ImportFrom(module=str(module), names=names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Name(id="__import__"):
                yield Problem("imports", node.lineno, "__import__: use an import statement")
                continue
            case _:
                continue
        refused = next((m for m in modules if not _may_import(m, genome_modules, contract)), None)
        if refused is not None:
            yield Problem(
                "imports",
                node.lineno,
                f"imports {refused}: only {named} and the harmless standard library may be",
            )


def _may_import(module: str, genome_modules: Collection[str], contract: Contract) -> bool:
    top = module.partition(".")[0]
    if top in (RULER, "__future__") or top in {m.partition(".")[0] for m in genome_modules}:
        return True
    granted = [name for name in contract.allowed_imports if f"{module}.".startswith(f"{name}.")]
    if granted:
        # The longest name counts: `torch` does not grant `torch.distributed`, that name does.
        return not _is_forbidden(module) or any(_is_forbidden(name) for name in granted)
    is_public = top in sys.stdlib_module_names and not top.startswith("_")
    return is_public and not _is_forbidden(module)


def _is_forbidden(module: str) -> bool:
    """True for what is refused unless it is named by itself."""
    top = module.partition(".")[0]
    return _FORBIDDEN_STDLIB.fullmatch(top) is not None or module.startswith(_FORBIDDEN_TORCH)


def _is_main_guard(statement: ast.stmt) -> bool:
    match statement:
        case ast.If(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])):
            sides = {ast.unparse(left), ast.unparse(right)}
            return sides == {"__name__", "'__main__'"}
    return False


def _called_name(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return None
