"""Takes out what an edit left without a use: local values, and submodules with their parameters.

A submodule that no forward pass reads any more has parameters without gradients: it costs memory,
and optimizers that stack gradients fail on it. So its constructor goes, and with it the statements
and list elements that only served it.
"""

import functools
from collections.abc import Iterator, Sequence

import libcst as cst

from agents.structure.syntax import children, is_report, is_setup, nodes, sole

_ROUNDS = 5  # what served an orphan alone is orphaned by its going


def without_unused(before: cst.Module, after: cst.Module) -> cst.Module | None:
    """``after`` without the values and submodules that ``before`` used and ``after`` does not.

    None if a report still reads one of them: it would fail when training is over.
    """
    used = _used(before)
    for _ in range(_ROUNDS):
        idle = _idle_locals(before, after)
        after = after.visit(_ForgetLocals(idle)) if idle else after
        orphans = (_submodules(after) & used) - _used(after)
        if orphans & _reported(after):
            return None
        if not orphans:
            break
        after = after.visit(_ForgetAttributes(orphans))
    return after


# --- local values --------------------------------------------------------------------------------


def _idle_locals(before: cst.Module, after: cst.Module) -> dict[str, set[str]]:
    """By function, locals that were read and are no longer."""
    once = _reads_by_function(before)
    return {
        key: idle
        for key, function in _functions(after)
        if (idle := (once.get(key, set()) - _reads(function)) & _assigned(function))
    }


@functools.lru_cache(maxsize=2)
def _reads_by_function(module: cst.Module) -> dict[str, set[str]]:
    return {key: _reads(function) for key, function in _functions(module)}


class _ForgetLocals(cst.CSTTransformer):
    """Removes assignments to idle locals."""

    def __init__(self, idle: dict[str, set[str]]) -> None:
        super().__init__()
        self._idle = idle
        self._around: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._around.append(node.name.value)
        return True

    def on_leave(  # type: ignore[override]  # libcst types each kind of node apart
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.RemovalSentinel:
        idle = self._idle.get(".".join(self._around), set())
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            self._around.pop()
        assigned = sole(original_node)
        if isinstance(assigned, cst.Assign) and _all_one_of(assigned.targets, idle):
            return cst.RemoveFromParent()
        if isinstance(updated_node, cst.Assign):  # `a = b = …` keeps the other
            kept = [t for t in updated_node.targets if not _all_one_of([t], idle)]
            return updated_node.with_changes(targets=kept or updated_node.targets)
        return updated_node


def _all_one_of(targets: Sequence[cst.AssignTarget], names: set[str]) -> bool:
    found = (t.target.value if isinstance(t.target, cst.Name) else None for t in targets)
    return all(name in names for name in found)


def _reads(function: cst.FunctionDef) -> set[str]:
    """Names that are read, not only assigned."""
    targets = {id(name) for name in _target_names(function)}
    return {
        node.value
        for node in nodes(function.body)
        if isinstance(node, cst.Name) and id(node) not in targets
    }


def _assigned(function: cst.FunctionDef) -> set[str]:
    return {name.value for name in _target_names(function)}


def _target_names(function: cst.FunctionDef) -> Iterator[cst.Name]:
    for node in nodes(function.body):
        if isinstance(node, cst.AssignTarget) and isinstance(node.target, cst.Name):
            yield node.target


# --- submodules ----------------------------------------------------------------------------------


class _ForgetAttributes(cst.CSTTransformer):
    """Removes the statements and elements that mention any of some attributes."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def on_leave(  # type: ignore[override]  # libcst types each kind of node apart
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.RemovalSentinel:
        match updated_node:
            case cst.SimpleStatementLine():  # by now without the elements that went
                is_gone = self._mentions(updated_node)
            case cst.Element():
                is_gone = self._mentions(original_node)
            case cst.If(test=head, orelse=None) | cst.For(iter=head, orelse=None):
                is_gone = self._mentions(head)
            case _:
                is_gone = False
        return cst.RemoveFromParent() if is_gone else updated_node

    def _mentions(self, node: cst.CSTNode) -> bool:
        return any(name in self._names for name in _attributes(node, is_asking_use=True))


def _submodules(module: cst.Module) -> set[str]:
    """Names ``x`` of all ``self.x = …(…)`` in constructors."""
    return {
        name
        for _, function in _functions(module)
        if function.name.value == "__init__"
        for node in nodes(function)
        if (name := _constructed(node))
    }


def _constructed(node: cst.CSTNode) -> str | None:
    match node:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Attribute(value=cst.Name(value="self"), attr=x))],
            value=cst.Call() | cst.IfExp(),
        ):
            return x.value
    return None


@functools.lru_cache(maxsize=2)
def _used(module: cst.Module) -> set[str]:
    """Attributes that training reads; only to ask whether one is there is no use."""
    return {
        name
        for _, function in _functions(module)
        if not is_setup(function) and not is_report(function)
        for name in _attributes(function)
    }


def _reported(module: cst.Module) -> set[str]:
    """Attributes that reports read."""
    return {
        name
        for _, function in _functions(module)
        if is_report(function)
        for name in _attributes(function)
    }


def _attributes(node: cst.CSTNode, *, is_asking_use: bool = False) -> Iterator[str]:
    asked: set[int] = set()
    if not is_asking_use:
        asked = {id(n.left) for n in nodes(node) if isinstance(n, cst.Comparison) and _asks(n)}
    return (
        n.attr.value for n in nodes(node) if isinstance(n, cst.Attribute) and id(n) not in asked
    )


def _asks(comparison: cst.Comparison) -> bool:
    return isinstance(comparison.comparisons[0].operator, cst.Is | cst.IsNot)


def _functions(
    node: cst.CSTNode, around: tuple[str, ...] = ()
) -> Iterator[tuple[str, cst.FunctionDef]]:
    """Every function with its dotted name."""
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        around = (*around, node.name.value)
    if isinstance(node, cst.FunctionDef):
        yield ".".join(around), node
    if isinstance(node, cst.Module | cst.FunctionDef | cst.ClassDef | cst.IndentedBlock):
        for child in children(node):
            yield from _functions(child, around)
