"""Edits of how a model's parts are put together: gates, residuals, sharing, tying, windows."""

import itertools
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, places
from agents.structure.layers import layers_of, used_layer
from agents.structure.syntax import (
    brief,
    called,
    code,
    expression,
    nodes,
    plain_arguments,
    same,
    sole,
)

# --- gates ---------------------------------------------------------------------------------------


def _find_ungated(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``self.down(act(self.up(x)))`` becomes ``self.down(act(self.up(x)) * self.up_gate(x))``."""
    for place in places(module):
        down = used_layer(place)
        if down is None or place.owner is None:
            continue
        assert isinstance(place.node, cst.Call)
        layers = layers_of(place.owner)
        hidden = plain_arguments(place.node)[:1]
        inner = [
            n
            for h in hidden
            if not isinstance(h, cst.BinaryOperation)
            for n in nodes(h)
            if isinstance(n, cst.Call) and called(n).removeprefix("self.") in layers
        ]
        if down not in layers or len(inner) != 1 or inner[0] is hidden[0]:
            continue
        up = called(inner[0]).removeprefix("self.")
        sizes, back = plain_arguments(layers[up][1]), plain_arguments(layers[down][1])
        gate = f"{up}_gate"
        if len(sizes) < 2 or not back or not same(sizes[1], back[0]) or gate in layers:
            continue
        gated = expression(f"{{h}} * self.{gate}({{x}})", h=hidden[0], x=inner[0].args[0].value)
        for share, of in (("", "as wide"), (" * 2 // 3", "two thirds as wide")):
            width = expression(f"int({{w}}{share})", w=sizes[1]) if share else sizes[1]
            lines = _with_sizes(layers[up], 1, width), _with_sizes(layers[down], 0, width)
            yield Change(
                f"{up} gated in {place.where}, hidden layer {of}",
                [
                    (hidden[0], gated),
                    (
                        layers[up][0],
                        cst.FlattenSentinel([lines[0], _renamed(lines[0], gate)]),
                    ),
                    (layers[down][0], lines[1]),
                ],
            )


def _with_sizes(
    layer: tuple[cst.SimpleStatementLine, cst.Call], place: int, size: cst.BaseExpression
) -> cst.SimpleStatementLine:
    line, call = layer
    old = plain_arguments(call)[place]
    new_line = line.deep_replace(old, size)
    assert isinstance(new_line, cst.SimpleStatementLine)
    return new_line


def _renamed(line: cst.SimpleStatementLine, name: str) -> cst.SimpleStatementLine:
    statement = sole(line)
    assert isinstance(statement, cst.Assign)
    target = cst.AssignTarget(cst.parse_expression(f"self.{name}"))  # type: ignore[arg-type]
    return cst.SimpleStatementLine([statement.with_changes(targets=[target])])


# --- residuals -----------------------------------------------------------------------------------


def _find_residuals(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for place in places(module):
        match place.node:
            case cst.BinaryOperation(
                left=cst.Name(), operator=cst.Add(), right=cst.Call() as call
            ) if called(call).startswith("self.") and place.is_forward:
                factor = float(rng.choice([0.5, 0.7, 1.4, 2.0]))
                new = expression(f"{factor} * {{y}}", y=call)
                yield Change(f"{brief(call)} × {factor}", [(call, new)])


def _find_serial(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``x = x + self.f(norm(x)); return x + self.g(norm(x))`` reads one x in both."""
    for place in places(module):
        if not isinstance(place.node, cst.IndentedBlock) or place.function is None:
            continue
        lines = place.node.body
        for first, second in itertools.pairwise(lines):
            one, other = _update(first), _update(second)
            if one is None or other is None or one[0] != other[0] or not one[2]:
                continue
            x, f, _ = one
            _, g, name = other
            target = f"{name} =" if name else "return"
            together = f"{target} {x} + {code(f)} + {code(g)}"
            shared = f.args[0].value if f.args else None
            before = ""
            if (
                isinstance(shared, cst.Call) and g.args and same(shared, g.args[0].value)
            ):  # the same input, computed once
                together = together.replace(code(shared), "shared")
                before = f"shared = {code(shared)}"
            new = [cst.parse_statement(text) for text in (before, together) if text]
            yield Change(
                f"{brief(f.func)} and {brief(g.func)} side by side in {place.where}",
                [(first, cst.RemoveFromParent()), (second, cst.FlattenSentinel(new))],
            )


def _update(line: cst.CSTNode) -> tuple[str, cst.Call, str] | None:
    """``x``, ``f(…)`` and the target's name of ``x = x + f(…)`` or ``return x + f(…)``."""
    statement = sole(line)
    name = ""
    match statement:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
            pass
        case cst.Return(value=cst.BinaryOperation() as value):
            pass
        case _:
            return None
    match value:
        case cst.BinaryOperation(
            left=cst.Name(value=x), operator=cst.Add(), right=cst.Call() as call
        ) if called(call).startswith("self.") and name in ("", x):
            return x, call, name
    return None


# --- sharing and tying ---------------------------------------------------------------------------


def _find_twins(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Two layers that are built alike: one does the work of both."""
    for place in places(module):
        name = used_layer(place)
        if name is None or place.owner is None or not place.is_forward:
            continue
        layers = layers_of(place.owner)
        for twin, (_, call) in layers.items():
            if twin != name and name in layers and same(call, layers[name][1]):
                assert isinstance(place.node, cst.Call)
                yield Change(
                    f"self.{twin} does the work of self.{name} in {place.where}",
                    [(place.node.func, cst.parse_expression(f"self.{twin}"))],
                )


def _find_untied(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """The output layer becomes the token embedding, read backwards."""
    for place in places(module):
        name = used_layer(place)
        if name is None or place.owner is None or not place.is_forward:
            continue
        layers = layers_of(place.owner)
        if name not in layers or called(layers[name][1]) != "nn.Linear":
            continue
        sizes = plain_arguments(layers[name][1])
        for table, (_, call) in layers.items():
            across = plain_arguments(call)
            if called(call) != "nn.Embedding" or len(sizes) < 2 or len(across) < 2:
                continue
            if same(sizes[0], across[1]) and same(sizes[1], across[0]):
                assert isinstance(place.node, cst.Call)
                weight = f"self.{table}.weight"
                new = expression(
                    f"torch.nn.functional.linear({{x}}, {weight}) * {weight}.size(1) ** -0.5",
                    x=place.node.args[0].value,
                )
                yield Change(f"self.{name} tied to self.{table}", [(place.node, new)])


EDITS = (
    Edit(
        "gate_mlp",
        "a gate lets the hidden layer multiply, not only add",
        _find_ungated,
        Kind.ACTIVATION,
    ),
    Edit(
        "scale_residual",
        "how loudly a part speaks into the stream",
        _find_residuals,
        Kind.INITIALISATION,
    ),
    Edit(
        "parallel_parts",
        "two parts that read one input need one normalisation",
        _find_serial,
        Kind.SPEED,
        1.5,
    ),
    Edit(
        "share_layer",
        "one matrix for two jobs is cheaper",
        _find_twins,
        Kind.SHAPE,
        weight=0.7,
    ),
    Edit(
        "tie_embeddings",
        "half the tables, learnt from both ends",
        _find_untied,
        Kind.REGULARISATION,
        weight=0.5,
    ),
)
