"""The normal form of Python text: what stays when comments, layout and names of locals go.

Locals and parameters of functions become numbers in order of appearance. Renaming is conservative:
two texts with one normal form do the same; two texts that do the same may well differ in it. So a
name stays as it is when anything outside its function could see it: a parameter that is anywhere
passed by keyword, a nested function, class or import, and everything in a file that looks at its
own names (``locals``, ``eval``, …).
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from population.syntax import Unreadable, read_tree

_SELF_AWARE = frozenset({"locals", "vars", "dir", "eval", "exec"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def normal_form(text: str, companions: Iterable[str] = ()) -> str | None:
    """The normal form of ``text``; None if it does not parse.

    Args:
        text: One file.
        companions: The genome's other files, which may call this one's functions.
    """
    tree = read_tree(text)
    if isinstance(tree, Unreadable):
        return None
    drop_docstrings(tree)
    if not any(isinstance(n, ast.Name) and n.id in _SELF_AWARE for n in ast.walk(tree)):
        others = [other for other in map(read_tree, companions) if isinstance(other, ast.Module)]
        _Renamer(_names_passed_by_keyword([tree, *others])).visit(tree)
    try:
        return ast.dump(tree, annotate_fields=False)
    except ValueError:  # an integer too long to be written in decimal
        return None


def drop_docstrings(tree: ast.Module) -> None:
    """Take every docstring out of ``tree``, in place; a body of nothing else becomes ``pass``."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant():
                node.kind = None
            case (
                ast.Module(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
                | ast.ClassDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
                | ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
                | ast.AsyncFunctionDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
            ):
                node.body = rest or [ast.Pass()]


def _names_passed_by_keyword(trees: Iterable[ast.Module]) -> frozenset[str] | None:
    """Names that appear as keywords in calls; None if a call unpacks a mapping: any may be."""
    nodes = (node for tree in trees for node in ast.walk(tree))
    keywords = [node.arg for node in nodes if isinstance(node, ast.keyword)]
    if None in keywords:
        return None
    return frozenset(k for k in keywords if k is not None)


@dataclass
class _Scope:
    """A scope and, for each name that ends the search for it here, the new name."""

    names: dict[str, str]
    is_class: bool = False


class _Renamer(ast.NodeTransformer):
    """Renames locals in place; scopes are resolved as Python resolves them."""

    def __init__(self, keywords: frozenset[str] | None) -> None:
        self._keywords = keywords
        self._scopes: list[_Scope] = []
        self._scope_count = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._visit_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for outer in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outer)
        # What a class binds are attributes: they keep their names, and functions inside the
        # class do not see them.
        self._within(_Scope({name: name for name in bindings(node.body)}, True), node.body)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return self._visit_comprehension(node, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        return self._visit_comprehension(node, [node.elt])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        return self._visit_comprehension(node, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self._visit_comprehension(node, [node.key, node.value])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._resolve(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._scopes[-1].names.get(node.arg, node.arg)
        return node  # its annotation was visited outside

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._resolve(name) for name in node.names]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name is not None:
            node.name = self._resolve(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        if node.name is not None:
            node.name = self._resolve(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        if node.name is not None:
            node.name = self._resolve(node.name)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        if node.rest is not None:
            node.rest = self._resolve(node.rest)
        return self.generic_visit(node)

    def _visit_function(self, node: _Function) -> ast.AST:
        for outer in _evaluated_outside(node):
            self.visit(outer)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        arguments = _arguments(node.args)
        bound = {argument.arg: self._may_rename(argument.arg) for argument in arguments}
        for name, may_change in bindings(body).items():
            bound[name] = may_change and bound.get(name, True)
        self._within(self._new_scope(bound), [*arguments, *body])
        return node

    def _may_rename(self, parameter: str) -> bool:
        if self._keywords is None or parameter in self._keywords:
            return False
        return not parameter.startswith("__")

    def _visit_comprehension(self, node: _Comprehension, results: list[ast.expr]) -> ast.AST:
        first, *others = node.generators
        self.visit(first.iter)
        targets = [g.target for g in node.generators]
        bound = {name: True for t in targets for name in _stored_names(ast.walk(t))}
        rest = [first.target, *first.ifs, *others]
        self._within(self._new_scope(bound), [*rest, *results])
        return node

    def _new_scope(self, bound: dict[str, bool]) -> _Scope:
        self._scope_count += 1
        return _Scope(
            {
                name: f"${self._scope_count}.{number}" if may_change else name
                for number, (name, may_change) in enumerate(bound.items())
            }
        )

    def _within(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        for node in nodes:
            self.visit(node)
        self._scopes.pop()

    def _resolve(self, name: str) -> str:
        for depth, scope in enumerate(reversed(self._scopes)):
            if name in scope.names and not (scope.is_class and depth):
                return scope.names[name]
        return name


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [*plain, *(a for a in (arguments.vararg, arguments.kwarg) if a is not None)]


def _evaluated_outside(node: _Function) -> Iterator[ast.expr]:
    """Decorators, defaults and annotations belong to the scope around the function."""
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default is not None)
    yield from (a.annotation for a in _arguments(node.args) if a.annotation is not None)
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
        if node.returns is not None:
            yield node.returns


def _own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a scope in source order, without what nested scopes bind for themselves."""
    for node in body:
        yield node
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _own_nodes(_evaluated_outside(node))
            case ast.ClassDef():
                yield from _own_nodes([*node.decorator_list, *node.bases, *node.keywords])
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                yield from _walruses(node)
            case _:
                yield from _own_nodes(ast.iter_child_nodes(node))


def _walruses(node: ast.AST) -> Iterator[ast.AST]:
    """A walrus inside a comprehension binds in the function around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.NamedExpr):
            yield child.target
        if not isinstance(child, ast.Lambda):
            yield from _walruses(child)


def _stored_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id


def bindings(body: Iterable[ast.AST]) -> dict[str, bool]:
    """Names that ``body`` binds in its own scope, and whether each may be renamed."""
    free: list[str] = []
    fixed: list[str] = []
    outer: set[str] = set()
    for node in _own_nodes(body):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                (fixed if name.startswith("__") else free).append(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                free.append(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                free.append(name)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                fixed.append(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                fixed += [alias.asname or alias.name.partition(".")[0] for alias in names]
            case ast.Global(names=names):
                fixed += names
            case ast.Nonlocal(names=names):
                outer.update(names)
    bound = dict.fromkeys(free, True) | dict.fromkeys(fixed, False)
    return {name: may_change for name, may_change in bound.items() if name not in outer}
