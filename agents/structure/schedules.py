"""Edits of what is a function of the budget's share: learning rates, momentum, decay."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.syntax import brief, called, code, expression, nodes, number

_SHAPES = {
    "squared": "{x} ** 2",
    "square root": "{x} ** 0.5",
    "1 − square root": "1 - (1 - {x}) ** 0.5",
    "smooth step": "{x} * {x} * (3 - 2 * {x})",
    "cosine": "0.5 - 0.5 * math.cos(math.pi * {x})",
}
_WHOLE = {
    "linear": "1 - {s}",
    "cosine": "0.5 + 0.5 * math.cos(math.pi * {s})",
    "1 − square root": "1 - {s} ** 0.5",
    "1 − square": "1 - {s} ** 2",
    "geometric": "0.03 ** {s}",
}
_SHARE = re.compile(r"share|progress|frac(?:tion)?|done|used|elapsed|pct|portion")
_RATE = re.compile(r".*(?:lr|rate|sched|warm|anneal).*")


# --- shapes --------------------------------------------------------------------------------------


def _find_shapes(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Shares of a schedule — ``min(1, …)`` and ``1 - share`` — bent to another shape."""
    for place, share in _parts(module):
        for name, template in _usable(_SHAPES, module):
            new = expression(template, x=share)
            yield Change(f"{brief(share)}: {name} in {place.where}", [(share, new)])


def _find_holds(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """What rises or falls with the budget stays where it starts."""
    for place, share in _parts(module):
        is_rising = isinstance(share, cst.Call) and "1 -" not in code(share)
        held = "0.0" if is_rising else "1.0"
        if not _returns(place, share):
            new = cst.parse_expression(held)
            yield Change(f"{brief(share)} held at {held} in {place.where}", [(share, new)])


def _parts(module: cst.Module) -> Iterator[tuple[Place, cst.BaseExpression]]:
    for place in places(module):
        if place.function is not None and place.is_schedule:
            share = _share(place, place.function)
            if share is not None:
                yield place, share


def _share(place: Place, function: cst.FunctionDef) -> cst.BaseExpression | None:
    parameters = {p.name.value for p in function.params.params}
    match place.node:
        case cst.Call(func=cst.Name(value="min"), args=[a, b]) if 1 in (
            number(a.value),
            number(b.value),
        ):
            return place.node
        case cst.BinaryOperation(
            left=cst.Integer(value="1"), operator=cst.Subtract(), right=cst.Name(value=name)
        ) if name in parameters and not isinstance(place.around[-1], cst.BinaryOperation):
            return place.node
        case cst.BinaryOperation(operator=cst.Multiply(), right=cst.BinaryOperation() as inner):
            match inner:
                case cst.BinaryOperation(
                    left=cst.Integer(value="1"), operator=cst.Subtract(), right=cst.Name(value=name)
                ) if name in parameters:
                    return inner
    return None


def _usable(shapes: dict[str, str], module: cst.Module) -> Iterator[tuple[str, str]]:
    has_math = _imports_math(module)
    return ((n, t) for n, t in shapes.items() if has_math or "math." not in t)


def _imports_math(module: cst.Module) -> bool:
    return any(code(line) == "import math" for line in module.body[:40])


def _returns(place: Place, share: cst.BaseExpression) -> bool:
    """True where the share is all that a function gives back, or a name that it does."""
    return any(isinstance(n, cst.Return) and n.value is share for n in place.around)


# --- what a schedule gives back ------------------------------------------------------------------


def _results(module: cst.Module) -> Iterator[tuple[cst.FunctionDef, cst.BaseExpression, str]]:
    """What functions of the budget's share alone give back last, and what that share is called."""
    for statement in module.body:
        if not isinstance(statement, cst.FunctionDef) or not _RATE.fullmatch(statement.name.value):
            continue
        parameters = statement.params.params
        share = _share_name(statement)
        match statement.body.body[-1]:
            case cst.SimpleStatementLine(body=[cst.Return(value=cst.BaseExpression() as result)]):
                if share is not None and len(parameters) <= 1 and not _is_compound(result):
                    yield statement, result, share


def _is_compound(result: cst.BaseExpression) -> bool:
    return isinstance(result, cst.Tuple | cst.Dict | cst.List)


def _share_name(function: cst.FunctionDef) -> str | None:
    """The parameter that is the share, or the local that the ruler's clock is asked for."""
    for parameter in function.params.params:
        if _SHARE.fullmatch(parameter.name.value):
            return parameter.name.value
    for node in nodes(function):
        match node:
            case cst.Assign(
                targets=[cst.AssignTarget(target=cst.Name(value=name))], value=cst.Call() as call
            ) if called(call).rpartition(".")[2] == "progress":
                return name
    return None


def _find_warmups(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Rates rise over a first share of the budget, on top of what they do now."""
    for function, result, share in _results(module):
        over = float(rng.choice([0.01, 0.02, 0.05, 0.1]))
        new = expression(f"{{r}} * min(1.0, 0.02 + {share} / {over})", r=result)
        yield Change(f"{function.name.value} rises over {over} of the budget", [(result, new)])


def _find_floors(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Rates never fall below a share of themselves, drawn on a logarithmic scale."""
    for function, result, _ in _results(module):
        floor = float(f"{10 ** rng.uniform(-2.3, -0.5):.2g}")
        new = expression(f"max({{r}}, {floor})", r=result)
        yield Change(f"{function.name.value} stays above {floor}", [(result, new)])


def _find_wholes(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Another curve from the first step to the last."""
    for function, result, share in _results(module):
        for name, template in _usable(_WHOLE, module):
            new = expression(template, s=cst.Name(share))
            if code(new) != code(result):
                yield Change(f"{function.name.value}: {name}, all the way", [(result, new)])


def _find_cycles(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Rates swing about what they were, a few times in the budget."""
    for function, result, share in _results(module):
        if _imports_math(module):
            count, depth = int(rng.choice([2, 3, 5])), float(rng.choice([0.1, 0.3, 0.5]))
            template = f"{{r}} * (1 + {depth} * math.sin({2 * count} * math.pi * {share}))"
            new = expression(template, r=result)
            what = f"{function.name.value} swings by {depth} of itself, {count} times"
            yield Change(what, [(result, new)])


EDITS = (
    Edit(
        "bend_schedule",
        "the same start and end, another way between",
        _find_shapes,
        Kind.SCHEDULE,
        weight=1.5,
    ),
    Edit(
        "hold_schedule", "what changes over time may not need to", _find_holds, Kind.SCHEDULE, 0.7
    ),
    Edit("swap_schedule", "another curve for the rates", _find_wholes, Kind.SCHEDULE),
    Edit("add_warmup", "first gradients are the least to be trusted", _find_warmups, Kind.SCHEDULE),
    Edit(
        "floor_schedule", "last steps that are too small teach nothing", _find_floors, Kind.SCHEDULE
    ),
    Edit("swing_schedule", "now and then a larger step", _find_cycles, Kind.SCHEDULE, 0.5),
)
