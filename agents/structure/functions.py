"""Edits of the functions a model is made of: activations, saturations, casts."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, is_for_another_device, places
from agents.structure.syntax import (
    argument,
    brief,
    called,
    calls,
    dotted,
    expression,
    keyword,
    nodes,
    number,
    plain_arguments,
    same,
)

_ACTIVATIONS = ("relu", "gelu", "silu", "leaky_relu", "elu", "softplus", "hardswish", "mish")
_FUNCTIONAL = ("F", "nn.functional", "torch.nn.functional", "torch")
_LIBRARY = "torch.nn.functional"
_CHEAPER = {
    "tanh": (f"{_LIBRARY}.hardtanh({{x}})", f"{_LIBRARY}.softsign({{x}})"),
    "sigmoid": (f"{_LIBRARY}.hardsigmoid({{x}})", f"({_LIBRARY}.softsign({{x}}) + 1) / 2"),
    "gelu": (f'{_LIBRARY}.gelu({{x}}, approximate="tanh")', f"{_LIBRARY}.relu({{x}})"),
    "silu": (f"{_LIBRARY}.hardswish({{x}})", f"{_LIBRARY}.relu({{x}})"),
}


# --- activations ---------------------------------------------------------------------------------


def _squared(node: cst.CSTNode) -> cst.BaseExpression | None:
    """``x`` of ``x.square()``, ``torch.square(x)`` and ``x ** 2``."""
    match node:
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="square")), args=[]):
            return inner
        case cst.Call(args=[cst.Arg(value=inner)]) if called(node) == "torch.square":
            return inner
        case cst.BinaryOperation(left=inner, operator=cst.Power(), right=cst.Integer(value="2")):
            return inner
    return None


def _activation(node: cst.CSTNode) -> tuple[str, str, cst.BaseExpression] | None:
    """Library prefix, name and argument of an activation's call."""
    if not isinstance(node, cst.Call) or not node.args:
        return None
    prefix, _, name = called(node).rpartition(".")
    if name in _ACTIVATIONS and prefix in _FUNCTIONAL:
        return (prefix if prefix != "torch" else "torch.nn.functional", name, node.args[0].value)
    return None


def _find_activations(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    in_squares: set[int] = set()
    for place in places(module):
        node = place.node
        inner = _squared(node)
        found = _activation(inner if inner is not None else node)
        if found is None or id(node) in in_squares:
            continue
        if inner is not None:
            in_squares.add(id(inner))
        library, old, argument = found
        now = f"{old}²" if inner is not None else old
        for name in (*_ACTIVATIONS, "relu²"):
            if name != now:
                square = ".square()" if name.endswith("²") else ""
                template = f"{library}.{name.rstrip('²')}({{x}}){square}"
                yield Change(
                    f"{now} → {name} in {place.where}",
                    [(node, expression(template, x=argument))],
                )
    for place in places(module):  # activations that are modules
        if isinstance(place.node, cst.Call) and called(place.node) in _ACTIVATION_MODULES:
            old = called(place.node)
            for new in _ACTIVATION_MODULES:
                if new != old:
                    yield Change(f"{old} → {new} in {place.where}", [(place.node, _call(new))])


_ACTIVATION_MODULES = ("nn.ReLU", "nn.GELU", "nn.SiLU", "nn.Mish", "nn.Hardswish")


def _call(name: str) -> cst.BaseExpression:
    return cst.parse_expression(f"{name}()")


# --- saturations ---------------------------------------------------------------------------------


class _Saturation(NamedTuple):
    """``cap * tanh(x / cap)``, in either order; ``call`` is the tanh."""

    x: cst.BaseExpression
    cap: cst.BaseExpression
    call: cst.Call


def _saturation(node: cst.CSTNode) -> _Saturation | None:
    if not (isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply)):
        return None
    for cap, call in ((node.left, node.right), (node.right, node.left)):
        if not (isinstance(call, cst.Call) and called(call).endswith("tanh") and call.args):
            continue
        match call.args[0].value:
            case cst.BinaryOperation(left=x, operator=cst.Divide(), right=divisor) if same(
                divisor, cap
            ):
                return _Saturation(x, cap, call)
    return None


def _find_saturations(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    helpers = _saturating_helpers(module)
    inside: set[int] = set()
    for place in places(module):
        node = place.node
        whole = _saturation(node)
        inner = whole.x if whole is not None else _bounded(place, helpers)
        if inner is None or id(node) in inside:
            continue
        if whole is not None:
            inside.add(id(whole.call))
        match place.around[-1]:  # `bound(x) if limit else x` goes whole
            case cst.IfExp(test=test, orelse=orelse) as choice if same(
                orelse, inner
            ) or is_for_another_device(test):
                node = choice
        yield Change(f"no {brief(place.node)} in {place.where}", [(node, inner)])


def _saturating_helpers(module: cst.Module) -> set[str]:
    """How the genome's own bounding functions are called: without weights, through tanh or so."""
    found: set[str] = set()
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef | cst.ClassDef):
            is_plain = not any(dotted(n) == "self" for n in nodes(statement))
            if is_plain and calls(statement) & {"tanh", "tanh_", "clamp", "clamp_", "hardtanh"}:
                name = statement.name.value
                found.add(name if isinstance(statement, cst.FunctionDef) else f"{name}.apply")
    return found


def _bounded(place: Place, helpers: set[str]) -> cst.BaseExpression | None:
    """``x`` of ``torch.tanh(x)``, ``torch.sigmoid(x)`` and the genome's own bounds of one value."""
    match place.node:
        case cst.Call(args=[cst.Arg(keyword=None, value=inner)]) if place.is_forward:
            name = called(place.node)
            is_bound = name in helpers or re.fullmatch(r"(torch|F)\.(tanh|sigmoid)", name)
            return inner if is_bound and number(inner) is None else None
    return None


def _find_cheaper(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    inside: set[int] = set()
    for place in places(module):
        node = place.node
        whole = _saturation(node)
        templates: tuple[str, ...] = ()
        parts: dict[str, cst.BaseExpression] = {}
        if whole is not None:
            inside.add(id(whole.call))
            templates = ("{x}.clamp(-{c}, {c})", "{x} / (1 + ({x} / {c}).abs())")
            parts = {"x": whole.x, "c": whole.cap}
        elif isinstance(node, cst.Call) and plain_arguments(node) and id(node) not in inside:
            prefix, _, name = called(node).rpartition(".")
            if prefix in _FUNCTIONAL and place.is_forward:
                templates = _CHEAPER.get(name, ())
                parts = {"x": plain_arguments(node)[0]}
        for template in templates:
            new = expression(template, **parts)
            yield Change(f"{brief(node)} → {brief(new)}", [(node, new)])


_IN_PLACE = ("relu", "leaky_relu", "elu", "hardtanh", "relu6")


def _find_in_place(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``F.relu(self.up(x))`` writes over what a layer made, which nothing else reads."""
    for place in places(module):
        node = place.node
        if isinstance(node, cst.Call) and len(node.args) == 1 and place.is_forward:
            prefix, _, name = called(node).rpartition(".")
            made = node.args[0].value
            is_fresh = isinstance(made, cst.Call) and called(made).startswith("self.")
            if name in _IN_PLACE and prefix in _FUNCTIONAL[:-1] and is_fresh:
                extra = argument("inplace", cst.Name("True"))
                new = node.with_changes(args=[*node.args, extra])
                yield Change(f"{brief(node)} in place in {place.where}", [(node, new)])
        modules = ("nn.ReLU", "nn.LeakyReLU", "nn.ELU")
        if isinstance(node, cst.Call) and called(node) in modules and not node.args:
            new = node.with_changes(args=[argument("inplace", cst.Name("True"))])
            yield Change(f"{called(node)} in place in {place.where}", [(node, new)])


# --- precision -----------------------------------------------------------------------------------


def _find_casts(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    for place in places(module):
        match place.node:
            case cst.Call(
                func=cst.Attribute(value=inner, attr=cst.Name(value="float" | "bfloat16")), args=[]
            ) if place.is_forward:
                what = f"no cast of {brief(inner)} in {place.where}"
                yield Change(what, [(place.node, inner)])


def _find_dtypes(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Full precision where a variable says half; autocast off where nothing else relies on it."""
    for place in places(module):
        if dotted(place.node) in _HALVES and isinstance(place.around[-1], cst.IfExp | cst.Assign):
            full = cst.parse_expression("torch.float32")
            what = f"{dotted(place.node)} → torch.float32 in {place.where}"
            yield Change(what, [(place.node, full)])
        if isinstance(place.node, cst.Call) and called(place.node) == "torch.autocast":
            mentions = [n for n in nodes(module) if dotted(n) in _HALVES]
            enabled = keyword(place.node, "enabled")
            if len(mentions) <= 1 and enabled is None:
                off = argument("enabled", cst.Name("False"))
                new = place.node.with_changes(args=[*place.node.args, off])
                yield Change(f"autocast off in {place.where}", [(place.node, new)])


_HALVES = ("torch.bfloat16", "torch.float16")


# --- constants -----------------------------------------------------------------------------------


def _find_constants(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Numbers written into the code, which no knob reaches."""
    for place in places(module):
        value = number(place.node)
        if value is None or value < 1e-4 or not place.is_forward or _is_structural(place):
            continue
        factor = float(rng.choice([0.25, 0.5, 2, 4]))
        new = f"{value * factor:.6g}"
        if isinstance(place.node, cst.Integer) and "." not in new and "e" not in new:
            new = f"{new}.0"  # a number that is scaled was never a count
        yield Change(
            f"{brief(place.node)} → {new} in {place.where}",
            [(place.node, cst.parse_expression(new))],
        )


def _is_structural(place: Place) -> bool:
    """True for numbers that count or index: they have no scale."""
    if number(place.node) in (0, 1) or (
        isinstance(place.node, cst.Integer) and not isinstance(place.around[-1], _ARITHMETIC)
    ):
        return True
    in_index = any(isinstance(n, cst.Subscript | cst.Param) for n in place.around)
    is_operand = isinstance(place.around[-1], cst.BinaryOperation | cst.Arg | cst.Comparison)
    return in_index or not is_operand


_ARITHMETIC = (cst.BinaryOperation,)

EDITS = (
    Edit(
        "swap_activation",
        "another nonlinearity may fit this size better, or cost less",
        _find_activations,
        Kind.ACTIVATION,
    ),
    Edit(
        "drop_saturation",
        "a bound that is rarely reached costs time and bends gradients",
        _find_saturations,
        Kind.ACTIVATION,
        weight=1.5,
    ),
    Edit(
        "cheaper_function",
        "a cheaper function of the same shape leaves more steps",
        _find_cheaper,
        Kind.SPEED,
    ),
    Edit(
        "write_in_place",
        "memory that is not asked for is not waited for",
        _find_in_place,
        Kind.SPEED,
        weight=0.7,
    ),
    Edit(
        "drop_cast",
        "fewer bytes moved, at less precision",
        _find_casts,
        Kind.SPEED,
        weight=0.7,
    ),
    Edit(
        "change_dtype",
        "precision where it pays, speed where it does not",
        _find_dtypes,
        Kind.SPEED,
        weight=0.7,
    ),
    Edit(
        "scale_constant",
        "a constant no knob reaches may be off",
        _find_constants,
        Kind.ACTIVATION,
    ),
)
