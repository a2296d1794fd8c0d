"""What a structural edit is, where in a genome it may work, and how it is carried out.

An edit finds changes; one is drawn and made on the concrete syntax tree, so that every other byte
stays and git can merge it. Code that training never depends on — reports, dead branches for other
devices, the training loop's talk with the ruler — is left alone.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import libcst as cst
from numpy.random import Generator

from agents.structure.syntax import atom, calls, children, code, is_report, is_setup, nodes
from agents.structure.tidy import without_unused
from population import Genome, merge_files

Replacement = cst.CSTNode | cst.RemovalSentinel | cst.FlattenSentinel[cst.BaseStatement]

_RULER_CALLS = frozenset({"make_dataloader", "evaluate_bpb", "report"})
_SCHEDULE = re.compile(r".*(?:lr|sched|rate|decay|momentum|warm|anneal).*")
_OTHER_DEVICE = re.compile(r"""== ?["'](?:cuda|mps)["']|^\w*COMPILED?$""")


@dataclass(frozen=True, slots=True)
class Place:
    """A node and what it stands in, outermost first."""

    node: cst.CSTNode
    around: tuple[cst.CSTNode, ...]

    @property
    def function(self) -> cst.FunctionDef | None:
        """The innermost function around the node."""
        return next((n for n in reversed(self.around) if isinstance(n, cst.FunctionDef)), None)

    @property
    def owner(self) -> cst.ClassDef | None:
        """The innermost class around the node."""
        return next((n for n in reversed(self.around) if isinstance(n, cst.ClassDef)), None)

    @property
    def where(self) -> str:
        """For people: ``Block.forward``."""
        named = [n for n in self.around if isinstance(n, cst.ClassDef | cst.FunctionDef)]
        return ".".join(n.name.value for n in named) or "the top level"

    @property
    def is_forward(self) -> bool:
        """True inside what runs at every step of a model: no constructor, no initialisation."""
        return self.function is not None and not is_setup(self.function)

    @property
    def is_schedule(self) -> bool:
        """True inside a function of the budget's share: learning rates and their like."""
        return self.function is not None and bool(_SCHEDULE.fullmatch(self.function.name.value))


class Kind(StrEnum):
    """What of a genome an edit is about. Each kind is drawn equally often."""

    ATTENTION = "attention"
    NORMALISATION = "normalisation"
    ACTIVATION = "activation"
    INITIALISATION = "initialisation"
    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    BATCH = "batch"
    SHAPE = "shape"
    REGULARISATION = "regularisation"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Change:
    """One way to make an edit: nodes and what takes their place, and a line about it."""

    what: str
    replaced: Sequence[tuple[cst.CSTNode, Replacement]]


@dataclass(frozen=True, slots=True)
class Edit:
    """A structural edit.

    Attributes:
        name: In commits and tables.
        hypothesis: Why it might help, in one line.
        find: All the ways to make it on a module; chance is for sizes, not for places.
        kind: What it is about.
        weight: How often it is drawn, relative to the others of its kind.
    """

    name: str
    hypothesis: str
    find: Callable[[cst.Module, Generator], Iterable[Change]]
    kind: Kind
    weight: float = 1.0

    def apply(self, module: cst.Module, rng: Generator) -> "Edited | Unedited":
        """Make one of the changes, drawn at random."""
        changes = list(self.find(module, rng))
        if not changes:
            return Unedited("no place for it")
        return _made(changes[int(rng.integers(len(changes)))], module)

    def every(self, module: cst.Module, rng: Generator) -> "Iterator[Edited | Unedited]":
        """Make each of the changes, one at a time."""
        return (_made(change, module) for change in self.find(module, rng))


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit made.

    Attributes:
        text: After the edit.
        what: What was done, in one line.
        before: The text it was made on: with ``text``, the hunks that undo it.
    """

    text: str
    what: str
    before: str


@dataclass(frozen=True, slots=True)
class Unedited:
    """Why an edit was not made."""

    reason: str


def _made(change: Change, module: cst.Module) -> Edited | Unedited:
    edited = without_unused(module, module.visit(_Swap(change.replaced)))
    if edited is None:
        return Unedited("what it would leave unused is still reported on")
    return Edited(edited.code, change.what, module.code)


def apply_edit(edit: Edit, text: str, rng: Generator) -> Edited | Unedited:
    """Make ``edit`` somewhere in ``text``; a text that does not parse stays as it is."""
    try:
        module = _parsed(text)
    except cst.ParserSyntaxError as error:
        return Unedited(f"not Python: {error.message}")
    except RecursionError:
        return Unedited("nested too deeply")
    return edit.apply(module, rng)


def undone(edited: Edited, later: str) -> str | Unedited:
    """``later``, a descendant of ``edited.text``, without the edit; or why it cannot go alone.

    The edit's hunks are taken back by git's three-way merge: lines that were written since then
    stay, and where they touch the edit's own nothing is done.
    """
    texts = (edited.text, later, edited.before)
    merged = merge_files(*(Genome.single(text) for text in texts))
    if merged.genome is None:
        return Unedited(
            f"lines of {edited.what!r} were changed since, in {merged.conflicts} "
            f"{'place' if merged.conflicts == 1 else 'places'}"
        )
    if merged.genome.main == later:
        return Unedited(f"nothing of {edited.what!r} is left")
    return merged.genome.main


@functools.lru_cache(maxsize=2)
def _parsed(text: str) -> cst.Module:
    return cst.parse_module(text)


class _Swap(cst.CSTTransformer):
    """Puts the replacements in place; the nodes are told by identity."""

    def __init__(self, replaced: Sequence[tuple[cst.CSTNode, Replacement]]) -> None:
        super().__init__()
        self._replaced = {id(old): new for old, new in replaced}
        self._operands: set[int] = set()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.BaseExpression):
            self._operands.update(id(child) for child in children(node))
        return True

    def on_leave(  # type: ignore[override]  # libcst types each kind of node apart
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> Replacement:
        new = self._replaced.get(id(original_node), updated_node)
        if new is not updated_node and isinstance(new, cst.BaseExpression):
            return atom(new) if id(original_node) in self._operands else new
        return new


@functools.lru_cache(maxsize=2)
def places(module: cst.Module) -> tuple[Place, ...]:
    """Every node of the functions and classes that training depends on, outermost first."""
    found: list[Place] = []
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef | cst.ClassDef):
            found += _places_under(module, statement, ())
    return tuple(found)


def _places_under(
    module: cst.Module, node: cst.CSTNode, around: tuple[cst.CSTNode, ...]
) -> Iterator[Place]:
    if _is_out_of_bounds(module, node):
        return
    yield Place(node, around)
    elsewhere = None
    if isinstance(node, cst.If | cst.IfExp) and is_for_another_device(node.test):
        elsewhere = node.body
    for child in children(node):
        if child is not elsewhere:
            yield from _places_under(module, child, (*around, node))


def is_for_another_device(test: cst.BaseExpression) -> bool:
    """True for conditions that hold on a GPU, or compiled, alone."""
    return bool(_OTHER_DEVICE.search(code(test)))


def _is_out_of_bounds(module: cst.Module, node: cst.CSTNode) -> bool:
    match node:
        case cst.FunctionDef():
            return is_report(node) or bool(calls(node) & _RULER_CALLS) or _is_loop(node)
        case cst.ClassDef(bases=bases):  # its two halves must stay each other's derivative
            return any(module.code_for_node(base).endswith("Function") for base in bases)
        case cst.Annotation():
            return True
    return False


def _is_loop(function: cst.FunctionDef) -> bool:
    """True for what trains until the budget is used."""
    loops = (node for node in nodes(function) if isinstance(node, cst.While))
    return any("progress" in calls(loop.test) for loop in loops)
