"""Ablations: leave out a term, a factor, a call, a statement or an optional part.

What does not earn its keep costs steps; at a fixed budget a cheaper step is worth much.
"""

import itertools
import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.syntax import (
    brief,
    called,
    calls,
    children,
    code,
    dotted,
    nodes,
    plain_arguments,
    same,
    sole,
)

# Where a number or a shape is wanted, a sum or a product is no matter of the model's.
_SIZES = re.compile(
    "view|reshape|size|arange|zeros|ones|full|empty|Linear|Embedding|range|split|chunk|int|min|max|"
    "expand|repeat|narrow|unflatten|rms_norm|layer_norm"
)
_NEEDED = re.compile(
    "backward|step|zero_grad|super|__init__|register_buffer|next|append|setdefault|update|stack|"
    "unbind|_foreach_copy_|copy_|sub_|add_|manual_seed|print"
)

_NEUTRAL = frozenset(
    {"transpose", "view", "reshape", "permute", "flatten", "contiguous", "float", "to"}
)


def _is_of_the_model(place: Place) -> bool:
    """True where values are computed, not sizes, indices, conditions or schedules."""
    if not place.is_forward or place.is_schedule:
        return False
    for outer, inner in itertools.pairwise((*place.around, place.node)):
        match outer:
            case cst.Subscript() | cst.Comparison() | cst.Param() | cst.Raise():
                return False
            case cst.For() if inner is not outer.body:
                return False
            case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name))):
                if _SIZES.fullmatch(name) and inner is not outer.func:
                    return False
    return True


def _find_terms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    for place in places(module):
        match place.node:
            case cst.BinaryOperation(
                left=left, operator=cst.Add() | cst.Subtract(), right=right
            ) if _is_of_the_model(place) and not (_is_plain(left) or _is_plain(right)):
                for kept, lost in ((left, right), (right, left)):
                    if not _is_stream(lost, kept, place) and not _mentions(kept, "decay"):
                        what = f"no {brief(lost)} in {place.where}"
                        yield Change(what, [(place.node, kept)])


def _find_factors(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    for place in places(module):
        match place.node:
            case cst.BinaryOperation(
                left=left, operator=cst.Multiply() | cst.Divide() as operator, right=right
            ) if _is_of_the_model(place):
                pairs = [(left, right)]
                if isinstance(operator, cst.Multiply):
                    pairs = [p for p in (*pairs, (right, left)) if not _mentions(p[0], "lr")]
                for kept, lost in pairs:
                    is_rate = dotted(lost).isupper() or _mentions(lost, "lr")
                    if not is_rate and not _is_plain(kept) and not _is_weight(kept, lost):
                        what = f"no factor {brief(lost)} in {place.where}"
                        yield Change(what, [(place.node, kept)])


def _is_plain(node: cst.BaseExpression) -> bool:
    """True for numbers and knobs, and arithmetic of these alone: nothing that is computed."""
    return isinstance(node, cst.BaseString) or all(
        dotted(n).isupper() for n in nodes(node) if isinstance(n, cst.Name)
    )


def _is_weight(kept: cst.BaseExpression, lost: cst.BaseExpression) -> bool:
    """True where what would be kept is the weight, and what would go is what it weighs."""
    both_names = isinstance(kept, cst.Name) and isinstance(lost, cst.Name)
    return both_names or (isinstance(kept, cst.Subscript) and code(kept).startswith("self."))


def _is_stream(lost: cst.BaseExpression, kept: cst.BaseExpression, place: Place) -> bool:
    """True where the value that goes on would go: ``x`` of ``x = x + y``, or a bare parameter."""
    parameters = place.function.params.params if place.function is not None else ()
    if dotted(lost) in {p.name.value for p in parameters}:
        return True
    goes_on = {
        target.target.value
        for outer in place.around
        if isinstance(outer, cst.Assign)
        for target in outer.targets
        if isinstance(target.target, cst.Name)
    }
    return bool(goes_on & _names(lost)) and not goes_on & _names(kept)


def _names(node: cst.CSTNode) -> set[str]:
    """Names whose values are read; ``y`` of ``x.to(y.dtype)`` is not."""
    match node:
        case cst.Name(value=name):
            return {name}
        case cst.Attribute(attr=cst.Name(value="dtype" | "device" | "shape")):
            return set()
    return {name for child in children(node) for name in _names(child)}


def _mentions(node: cst.BaseExpression, word: str) -> bool:
    return any(isinstance(n, cst.Name) and word in n.value for n in nodes(node))


def _find_calls(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``helper(x, …)`` becomes ``x``, for the genome's own helpers."""
    helpers = {
        statement.name.value
        for statement in module.body
        if isinstance(statement, cst.FunctionDef) and "norm" not in statement.name.value
    }
    for place in places(module):
        if not isinstance(place.node, cst.Call) or not _is_of_the_model(place):
            continue
        arguments = plain_arguments(place.node)
        if called(place.node) in helpers and arguments and "(" in code(arguments[0]):
            what = f"no {called(place.node)}() of {brief(arguments[0])} in {place.where}"
            yield Change(what, [(place.node, arguments[0])])


def _find_statements(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Statements that change what is already there: without them the old value goes on."""
    for place in places(module):
        if not isinstance(place.node, cst.IndentedBlock) or not place.is_forward:
            continue
        if any(isinstance(outer, cst.For) for outer in place.around):
            continue  # a loop's body is what the loop is for
        known = _parameters(place)
        for line in place.node.body:
            targets = _targets(line)
            is_needed = any(map(_NEEDED.fullmatch, calls(line))) or calls(line) <= _NEUTRAL
            if _changes_only(line, targets, known) and not is_needed:
                what = f"without {brief(line)} in {place.where}"
                yield Change(what, [(line, cst.RemoveFromParent())])
            known |= targets


def _parameters(place: Place) -> set[str]:
    if place.function is None or place.around[-1] is not place.function:
        return set()  # inside a loop or a branch: what it starts from is not looked up
    parameters = place.function.params
    return {p.name.value for p in (*parameters.params, *parameters.kwonly_params)}


def _targets(line: cst.CSTNode) -> set[str]:
    """Names that a statement assigns, branches and loops included."""
    return {
        name.value
        for node in nodes(line)
        if isinstance(node, cst.AssignTarget | cst.AugAssign)
        for name in nodes(node.target)
        if isinstance(name, cst.Name)
    }


def _changes_only(line: cst.CSTNode, targets: set[str], known: set[str]) -> bool:
    if isinstance(line, cst.If):
        return bool(targets) and targets <= known and line.orelse is None
    return isinstance(sole(line), cst.Assign | cst.AugAssign) and targets <= known


def _find_optional_parts(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``self.x = … if condition else None``: with None for all that share the condition."""
    for place in places(module):
        if not isinstance(place.node, cst.ClassDef):
            continue
        by_condition: dict[str, list[cst.IfExp]] = {}
        for node in nodes(place.node):
            match node:
                case cst.Assign(
                    targets=[cst.AssignTarget(target=cst.Attribute(value=cst.Name(value="self")))],
                    value=cst.IfExp(test=test, orelse=cst.Name(value="None")) as part,
                ):
                    by_condition.setdefault(code(test), []).append(part)
        for condition, parts in by_condition.items():
            yield Change(
                f"nothing that needs {condition} in {place.node.name.value}",
                [(part, cst.Name("None")) for part in parts],
            )


def _find_optional_steps(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``f(x) if condition else x`` becomes ``x``."""
    for place in places(module):
        match place.node:
            case cst.IfExp(test=test, body=body, orelse=orelse) if place.is_forward:
                arguments = [a.value for a in body.args] if isinstance(body, cst.Call) else []
                is_compiling = "COMPILE" in code(test).upper()
                is_default = _is_plain(orelse)
                if not (is_compiling or is_default) and any(same(a, orelse) for a in arguments):
                    what = f"no {brief(body)} if {brief(test)} in {place.where}"
                    yield Change(what, [(place.node, orelse)])


EDITS = (
    Edit(
        "drop_term",
        "a term that does not earn its keep costs steps",
        _find_terms,
        Kind.SPEED,
        weight=2,
    ),
    Edit(
        "drop_factor",
        "a factor that does not earn its keep costs steps",
        _find_factors,
        Kind.SPEED,
        weight=1.5,
    ),
    Edit(
        "drop_call",
        "a transformation that is not needed costs steps",
        _find_calls,
        Kind.SPEED,
    ),
    Edit(
        "drop_statement",
        "a step that is not needed costs time",
        _find_statements,
        Kind.SPEED,
        weight=1.5,
    ),
    Edit(
        "drop_option",
        "what can be turned off may not be worth its time",
        _find_optional_steps,
        Kind.SPEED,
    ),
    Edit(
        "drop_part",
        "an optional part costs parameters and steps",
        _find_optional_parts,
        Kind.SPEED,
        weight=0.7,
    ),
)
