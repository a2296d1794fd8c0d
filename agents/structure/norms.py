"""Edits of normalisation: less of it, more of it, another kind, another place."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.syntax import brief, called, code, expression, without_arguments
from agents.structure.ways import HEADS, attention_ways

_NORM = re.compile(
    r"(?:(?:F|nn\.functional|torch\.nn\.functional)\.)?(?:rms_?norm|layer_?norm|l2_?norm|norm)"
    r"|self\.(?:\w*norm\w*|ln_?\w*)",
    re.IGNORECASE,
)
_KINDS = ("F.rms_norm", "F.layer_norm")
_MODULES = ("nn.LayerNorm", "nn.RMSNorm")


def norm_argument(place: Place) -> cst.BaseExpression | None:
    """What is normalised, if the place is a normalisation that keeps its argument's shape."""
    node = place.node
    if isinstance(node, cst.Call) and node.args and _NORM.fullmatch(called(node)):
        return node.args[0].value
    return None


def _find_norms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    for place in places(module):
        inner = norm_argument(place)
        in_helper = place.function is not None and "norm" in place.function.name.value
        if inner is not None and not in_helper:
            yield Change(f"no {brief(place.node)} in {place.where}", [(place.node, inner)])


def _helper(module: cst.Module) -> str | None:
    """A top-level function of one argument that normalises."""
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef) and "norm" in statement.name.value:
            parameters = statement.params.params
            if len([p for p in parameters if p.default is None]) == 1:
                return statement.name.value
    return None


def residual(node: cst.CSTNode) -> tuple[cst.BaseExpression, cst.Call] | None:
    """``x`` and ``self.f(…)`` of ``x + self.f(…)``."""
    match node:
        case cst.BinaryOperation(left=x, operator=cst.Add(), right=cst.Call() as call) if called(
            call
        ).startswith("self."):
            return x, call
    return None


def _find_places_for_norms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    helper = _helper(module)
    if helper is None:
        return
    for place in places(module):
        found = residual(place.node)
        if found is not None and place.is_forward:
            new = expression(f"{helper}({{x}})", x=found[1])
            yield Change(f"{helper}() of {brief(found[1])}", [(found[1], new)])
    for ways in attention_ways(module):
        if ways.softmaxes:
            continue  # attention written out has no query to normalise
        back = ".to({x}.dtype)" if ways.has_flex else ""
        for name in HEADS:
            heads = ways.heads(name) or []
            if heads and not any(_is_normed(x, helper, ways.place) for x in heads):
                replaced = [(x, expression(f"{helper}({{x}}){back}", x=x)) for x in heads]
                yield Change(f"{helper}() of {brief(heads[0])} before attention", replaced)


def _is_normed(node: cst.BaseExpression, helper: str, place: Place) -> bool:
    text = code(place.function) if place.function is not None else ""
    if isinstance(node, cst.Call) and called(node) == helper:
        return True
    return re.search(rf"\b{re.escape(code(node))} = {helper}\(", text) is not None


def _find_prenorms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``x + self.f(norm(x), …)`` becomes ``norm(x + self.f(x, …))``."""
    for place in places(module):
        found = residual(place.node)
        if found is None or not found[1].args:
            continue
        x, call = found
        inner = call.args[0].value
        if isinstance(inner, cst.Call) and inner.args and _NORM.fullmatch(called(inner)):
            bare = call.with_changes(
                args=[call.args[0].with_changes(value=inner.args[0].value), *call.args[1:]]
            )
            total = expression("{x} + {y}", x=x, y=bare)
            new = inner.with_changes(args=[inner.args[0].with_changes(value=total)])
            yield Change(f"{brief(call)} normalised after, not before", [(place.node, new)])


def _find_kinds(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    for place in places(module):
        if isinstance(place.node, cst.Call) and called(place.node) in _MODULES:
            other = next(kind for kind in _MODULES if kind != called(place.node))
            bare = without_arguments(place.node, "bias")
            new_call = bare.with_changes(func=cst.parse_expression(other))
            yield Change(
                f"{called(place.node)} → {other} in {place.where}", [(place.node, new_call)]
            )
        if isinstance(place.node, cst.Call) and called(place.node) in _KINDS:
            old = called(place.node)
            new = next(kind for kind in _KINDS if kind != old)
            yield Change(
                f"{old} → {new} in {place.where}",
                [(place.node.func, cst.parse_expression(new))],
            )


EDITS = (
    Edit(
        "drop_norm",
        "one normalisation less is faster, and may not be missed",
        _find_norms,
        Kind.NORMALISATION,
    ),
    Edit(
        "add_norm",
        "a steadier scale may train faster",
        _find_places_for_norms,
        Kind.NORMALISATION,
        weight=0.7,
    ),
    Edit(
        "post_norm",
        "normalised streams keep every layer's say alike",
        _find_prenorms,
        Kind.NORMALISATION,
        weight=0.5,
    ),
    Edit(
        "swap_norm",
        "another normalisation",
        _find_kinds,
        Kind.NORMALISATION,
        weight=0.5,
    ),
)
