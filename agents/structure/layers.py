"""How a genome's model is put together: its classes, their layers, and what trains them."""

import re
from collections.abc import Iterator

import libcst as cst

from agents.structure.edit import Place, places
from agents.structure.syntax import (
    called,
    code,
    dotted,
    nodes,
    number,
    plain_arguments,
    sole,
)

Layer = tuple[cst.SimpleStatementLine, cst.Call]

_TRAINERS = re.compile(
    r"(?:\w*[a-z_.])?(?:Adam\w*|NAdam|RAdam|Muon\w*|SGD|Lion|Adafactor|Adagrad|RMSprop|LBFGS|Rprop|"
    r"Shampoo|SOAP|\w*Optimizer)"
)


def layers_of(owner: cst.ClassDef) -> dict[str, Layer]:
    """By name, each ``self.x = nn.Something(…)`` of a class, with its line."""
    found: dict[str, Layer] = {}
    for node in nodes(owner):
        if not isinstance(node, cst.SimpleStatementLine):
            continue
        match sole(node):
            case cst.Assign(
                targets=[cst.AssignTarget(target=target)], value=cst.Call() as call
            ) if called(call).startswith("nn.") and dotted(target).startswith("self."):
                found[dotted(target).removeprefix("self.")] = (node, call)
    return found


def used_layer(place: Place) -> str | None:
    """``x`` of a call ``self.x(…)``."""
    name = called(place.node) if isinstance(place.node, cst.Call) else ""
    return name.removeprefix("self.") if name.startswith("self.") and name.count(".") == 1 else None


def classes(module: cst.Module) -> dict[str, cst.ClassDef]:
    """The module's own classes by name."""
    return {node.name.value: node for node in module.body if isinstance(node, cst.ClassDef)}


def constructor(owner: cst.ClassDef) -> cst.FunctionDef | None:
    """``__init__`` of a class."""
    functions = (node for node in owner.body.body if isinstance(node, cst.FunctionDef))
    return next((f for f in functions if f.name.value == "__init__"), None)


def stacks(module: cst.Module) -> Iterator[tuple[cst.ClassDef, cst.SimpleStatementLine, str, str]]:
    """Every ``self.x = nn.ModuleList(Block(…) for …)``: owner, line, ``x`` and ``Block``."""
    own = classes(module)
    for owner in own.values():
        for name, (line, call) in layers_of(owner).items():
            made = [c for c in nodes(call) if isinstance(c, cst.Call) and called(c) in own]
            is_many = any(
                isinstance(n, cst.For | cst.CompFor | cst.BinaryOperation) for n in nodes(call)
            )
            if called(call) in ("nn.ModuleList", "nn.Sequential") and len(made) == 1 and is_many:
                yield owner, line, name, called(made[0])


def is_attention(owner: cst.ClassDef) -> bool:
    """True for a class that weighs values: with torch's own attention, or with a softmax."""
    names = {called(node).rpartition(".")[2] for node in nodes(owner) if isinstance(node, cst.Call)}
    return bool(names & {"scaled_dot_product_attention", "softmax", "flex_attention"})


def trained_members(module: cst.Module) -> set[str]:
    """Classes each of whose parameters an optimizer is given: ``model.parameters()``, or of a part.

    A parameter that is put into one of these is trained. Matrices may be told apart from other
    parameters by their number of axes, so a new one has two.
    """
    own = classes(module)
    found: set[str] = set()
    for function in _building(module):
        for node in nodes(function):
            match node:
                case cst.Call(
                    func=cst.Attribute(
                        value=of, attr=cst.Name(value="parameters" | "named_parameters")
                    )
                ):
                    path = dotted(of).split(".")
                    if len(path) == 1 and path != [""]:
                        found |= set(own)
                    elif len(path) == 2:
                        for owner in own.values():
                            found |= _members(owner, path[1], own)
    return found


def _building(module: cst.Module) -> Iterator[cst.FunctionDef]:
    """Functions that make an optimizer."""
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef):
            made = (called(n) for n in nodes(statement) if isinstance(n, cst.Call))
            if any(_TRAINERS.fullmatch(name.rpartition(".")[2]) for name in made):
                yield statement


def _members(owner: cst.ClassDef, name: str, own: dict[str, cst.ClassDef]) -> set[str]:
    """Classes of what ``self.name`` is made of, down to the last."""
    found: set[str] = set()
    todo = {
        called(call)
        for node in nodes(owner)
        if isinstance(node, cst.Assign) and dotted(node.targets[0].target) == f"self.{name}"
        for call in nodes(node.value)
        if isinstance(call, cst.Call) and called(call) in own
    }
    while todo:
        each = todo.pop()
        found.add(each)
        made = {called(n) for n in nodes(own[each]) if isinstance(n, cst.Call)}
        todo |= (made & set(own)) - found
    return found


def stream_width(module: cst.Module) -> str | None:
    """The channels of the token embedding, if they are one for the whole module: ``WIDTH``."""
    for owner in classes(module).values():
        for _, call in layers_of(owner).values():
            sizes = plain_arguments(call)
            if called(call) == "nn.Embedding" and len(sizes) == 2 and is_constant(sizes[1]):
                return code(sizes[1])
    return None


def is_constant(node: cst.BaseExpression) -> bool:
    """True for numbers, knobs and arithmetic of these: the same wherever it stands."""
    named = [n for n in nodes(node) if isinstance(n, cst.Name)]
    return all(n.value.isupper() for n in named) and (bool(named) or number(node) is not None)


def steppings(module: cst.Module) -> Iterator[tuple[cst.FunctionDef, cst.BaseStatement]]:
    """Functions that train one step of ``model``, and the line of the optimizers' step in each."""
    for place in places(module):
        function = place.function
        if not isinstance(place.node, cst.IndentedBlock) or function is None:
            continue
        if place.around[-1] is not function or place.owner is not None:
            continue
        if "model" not in {p.name.value for p in function.params.params}:
            continue
        lines = place.node.body
        last = max((i for i, x in enumerate(lines) if "backward" in _methods(x)), default=None)
        if last is None or "step" in _methods(lines[last]):
            continue
        after = (line for line in lines[last + 1 :] if "step" in _methods(line))
        line = next(after, None)
        if isinstance(line, cst.BaseStatement):
            yield function, line


def _methods(node: cst.CSTNode) -> set[str]:
    return {
        n.func.attr.value
        for n in nodes(node)
        if isinstance(n, cst.Call) and isinstance(n.func, cst.Attribute)
    }
