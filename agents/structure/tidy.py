"""Takes out submodules that an edit left without a use.

A submodule that no forward pass reads any more has parameters without gradients: it costs memory,
and optimizers that stack gradients fail on it. So its constructor goes, and with it the statements
and list elements that only served it.
"""

from collections.abc import Iterator

import libcst as cst

from agents.structure.syntax import is_setup, nodes


def without_unused_submodules(before: cst.Module, after: cst.Module) -> cst.Module:
    """``after`` without the submodules that ``before`` used and ``after`` does not."""
    orphans = (_submodules(before) & _used(before)) - _used(after)
    for _ in range(3):  # what served an orphan alone may be orphaned by its going
        if not orphans:
            return after
        after = without_attributes(after, orphans)
        orphans = (_submodules(after) & _used(before)) - _used(after)
    return after


def without_attributes(module: cst.Module, names: set[str]) -> cst.Module:
    """``module`` without the statements and elements that mention the attributes ``names``."""
    return module.visit(_Forget(names))


class _Forget(cst.CSTTransformer):
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
        return any(a in self._names for a in _attributes(node))


def _submodules(module: cst.Module) -> set[str]:
    """Names ``x`` of all ``self.x = …(…)`` in constructors."""
    found: set[str] = set()
    for function in _functions(module):
        if function.name.value == "__init__":
            found |= {name for node in nodes(function) if (name := _constructed(node))}
    return found


def _constructed(node: cst.CSTNode) -> str | None:
    """``x`` of ``self.x = …(…)``."""
    match node:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Attribute(value=cst.Name(value="self"), attr=x))],
            value=cst.Call() | cst.IfExp(),
        ):
            return x.value
    return None


def _used(module: cst.Module) -> set[str]:
    """Attributes that are read in what runs while training."""
    return {
        name
        for function in _functions(module)
        if not is_setup(function)
        for name in _attributes(function)
    }


def _functions(node: cst.CSTNode) -> Iterator[cst.FunctionDef]:
    return (n for n in nodes(node) if isinstance(n, cst.FunctionDef))


def _attributes(node: cst.CSTNode) -> Iterator[str]:
    return (n.attr.value for n in nodes(node) if isinstance(n, cst.Attribute))
