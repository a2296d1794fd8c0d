"""Where a genome says how far a short window looks, so that every use of it changes at once.

A window is a number that masks of several makes, for several devices, and choices between kernels
are drawn up from. It is changed where it is computed; where some use would not follow, not at all.
"""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Place, places
from agents.structure.syntax import called, code, dotted, expression, is_report, nodes

_CALLERS = 4  # a window is handed on from function to function no more often than this


def find_windows(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """``(age >= 0) & (age < window)``: the band gets wider or narrower, and stays causal."""
    told: set[int] = set()
    for place in places(module):
        match place.node:
            case cst.BinaryOperation(
                left=cst.Comparison() as one, operator=cst.BitAnd(), right=cst.Comparison() as other
            ):
                for part, causal in ((one, other), (other, one)):
                    limit = _limit(part, place)
                    if limit is None or _limit(causal, place) is not None:
                        continue
                    sites = _sites(limit, place.function, module)
                    factor = float(f"{2 ** rng.normal(0, 0.8):.2g}")
                    if sites and not told & {id(site) for site in sites}:
                        told |= {id(site) for site in sites}
                        replaced = [
                            (site, expression(f"max(1, int({{w}} * {factor}))", w=site))
                            for site in sites
                        ]
                        yield Change(f"windows × {factor} in {place.where}", replaced)


def _limit(comparison: cst.Comparison, place: Place) -> cst.Name | cst.Attribute | None:
    """``window`` of ``age < window``, where the window is one number: no tensor of positions."""
    limit = _below(comparison)
    if limit is None or place.function is None:
        return None
    name = dotted(limit)
    is_number = re.search(rf"\b{re.escape(name)} = (?:int|max|min|round)\(", code(place.function))
    is_size = re.search(r"window|span|short|band", name, re.IGNORECASE)
    is_given = name in _parameters(place.function) or "." in name
    return limit if is_number or name.isupper() or (is_size and is_given) else None


def _below(node: cst.CSTNode) -> cst.Name | cst.Attribute | None:
    match node:
        case cst.Comparison(
            comparisons=[
                cst.ComparisonTarget(
                    operator=cst.LessThan() | cst.LessThanEqual(),
                    comparator=cst.Name() | cst.Attribute() as limit,
                )
            ]
        ):
            return limit
    return None


def _parameters(function: cst.FunctionDef) -> list[str]:
    return [p.name.value for p in (*function.params.params, *function.params.kwonly_params)]


def _sites(
    limit: cst.BaseExpression,
    function: cst.FunctionDef | None,
    module: cst.Module,
    callers: int = _CALLERS,
) -> list[cst.BaseExpression]:
    """What to scale so that the window changes wherever it is used; nothing if that is unknown."""
    name = dotted(limit)
    if function is None or not callers:
        return []
    if not isinstance(limit, cst.Name) or name.isupper():
        return _limits(name, _outside_reports(module))
    match [n for n in nodes(function.body) if name in _stored(n)]:
        case []:
            return _handed_in(name, function, module, callers)
        case [cst.Assign(targets=[cst.AssignTarget(target=cst.Name())], value=value)]:
            return _only(value, module)
    return []


def _handed_in(
    name: str, function: cst.FunctionDef, module: cst.Module, callers: int
) -> list[cst.BaseExpression]:
    """The same of a parameter: where its one caller has it from."""
    calls = [n for n in nodes(module) if isinstance(n, cst.Call) and _calls(n, function, module)]
    if name not in _parameters(function) or not calls:
        return _limits(name, list(nodes(function.body)))
    given = _given(calls[0], name, function) if len(calls) == 1 else None
    if isinstance(given, cst.Name):
        return _sites(given, _around(calls[0], module), module, callers - 1)
    return [] if given is None or isinstance(given, cst.Attribute) else _only(given, module)


def _stored(node: cst.CSTNode) -> set[str]:
    match node:
        case cst.Assign(targets=targets):
            found = [n for target in targets for n in nodes(target.target)]
        case cst.AugAssign(target=target) | cst.NamedExpr(target=target):
            found = [target]
        case cst.For(target=target) | cst.CompFor(target=target):
            found = list(nodes(target))
        case _:
            return set()
    return {n.value for n in found if isinstance(n, cst.Name)}


def _only(value: cst.BaseExpression, module: cst.Module) -> list[cst.BaseExpression]:
    """An expression that stands nowhere else: elsewhere it might be the same window."""
    return [value] if code(module).count(code(value)) == 1 else []


def _outside_reports(module: cst.Module) -> list[cst.CSTNode]:
    reports = [n for n in nodes(module) if isinstance(n, cst.FunctionDef) and is_report(n)]
    told = {id(n) for report in reports for n in nodes(report)}
    return [n for n in nodes(module) if id(n) not in told]


def _limits(name: str, scope: list[cst.CSTNode]) -> list[cst.BaseExpression]:
    """Every ``… < name`` of a scope, if the name is read for nothing else there."""
    kind, last = cst.Attribute if "." in name else cst.Name, name.rpartition(".")[2]
    targets = {id(n.target) for n in scope if isinstance(n, cst.AssignTarget)}
    reads = [
        n
        for n in scope
        if isinstance(n, kind) and id(n) not in targets and dotted(n).rpartition(".")[2] == last
    ]
    limits = [limit for n in scope if (limit := _below(n)) is not None and dotted(limit) == name]
    return list(limits) if {id(n) for n in reads} == {id(n) for n in limits} else []


def _calls(call: cst.Call, function: cst.FunctionDef, module: cst.Module) -> bool:
    name = function.name.value
    if name == "__init__":
        owner = next(n for n in module.body if any(each is function for each in nodes(n)))
        name = owner.name.value if isinstance(owner, cst.ClassDef) else name
    return called(call).rpartition(".")[2] == name


def _given(call: cst.Call, name: str, function: cst.FunctionDef) -> cst.BaseExpression | None:
    """What a call hands in as a parameter."""
    names = [p for p in _parameters(function) if p != "self"]
    for place, argument in enumerate(call.args):
        if argument.star:
            return None
        told = argument.keyword.value if argument.keyword else names[place]
        if told == name:
            return argument.value
    return None


def _around(call: cst.Call, module: cst.Module) -> cst.FunctionDef | None:
    """The innermost function that a call stands in."""
    functions = [n for n in nodes(module) if isinstance(n, cst.FunctionDef)]
    return next((f for f in functions[::-1] if any(n is call for n in nodes(f))), None)
