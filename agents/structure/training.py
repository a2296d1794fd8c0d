"""Edits of how a model starts and trains: initial weights, schedule, optimizers, loss."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Place, places
from agents.structure.syntax import (
    argument,
    brief,
    called,
    calls,
    code,
    expression,
    keyword,
    number,
    plain_arguments,
    sole,
    without_arguments,
)

_SHAPES = {
    "squared": "{x} ** 2",
    "square root": "{x} ** 0.5",
    "1 − square root": "1 - (1 - {x}) ** 0.5",
    "smooth step": "{x} * {x} * (3 - 2 * {x})",
    "cosine": "0.5 - 0.5 * math.cos(math.pi * {x})",
}


# --- the start -----------------------------------------------------------------------------------


def _inits(module: cst.Module) -> Iterator[tuple[Place, cst.Call, str]]:
    for place in places(module):
        if isinstance(place.node, cst.Call):
            prefix, _, name = called(place.node).rpartition(".")
            if prefix.endswith("init") and plain_arguments(place.node):
                yield place, place.node, name


def _find_spreads(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for _, call, name in _inits(module):
        factor = float(rng.choice([0.25, 0.5, 2, 4]))
        weights = brief(plain_arguments(call)[0])
        std = keyword(call, "std")
        bounds = plain_arguments(call)[1:3]
        replaced = []
        if std is not None and name in ("normal_", "trunc_normal_"):
            replaced = [(std.value, expression(f"{{s}} * {factor}", s=std.value))]
        elif name == "uniform_" and len(bounds) == 2:
            replaced = [(bound, expression(f"{{b}} * {factor}", b=bound)) for bound in bounds]
        if replaced:
            yield Change(f"{weights} start × {factor}", replaced)


# Parts that still learn when they start silent: the last of a branch.
_OUTPUT = re.compile(r"\b(?:out|\w*proj|down|\w*head|unembed)\b")


def _find_zero_starts(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for _, call, name in _inits(module):
        weights = plain_arguments(call)[0]
        if name == "zeros_":
            std = float(rng.choice([0.002, 0.005, 0.01, 0.02]))
            new = expression(f"{code(call.func)[: -len(name)]}normal_({{w}}, std={std})", w=weights)
            yield Change(f"{brief(weights)} start at {std}, not at 0", [(call, new)])
        elif name in ("uniform_", "normal_"):
            kinds = ("zeros_", "orthogonal_") if _OUTPUT.search(code(weights)) else ("orthogonal_",)
            for kind in kinds:
                new = expression(f"{code(call.func)[: -len(name)]}{kind}({{w}})", w=weights)
                yield Change(f"{brief(weights)} start {kind.rstrip('_')}", [(call, new)])


# --- the schedule --------------------------------------------------------------------------------


def _find_shapes(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Shares of a schedule — ``min(1, …)`` and ``1 - share`` — bent to another shape."""
    has_math = any("import math" in code(line) for line in module.body[:40])
    for place in places(module):
        function = place.function
        if function is None or not place.is_schedule:
            continue
        share = _share(place, function)
        if share is None:
            continue
        for name, template in _SHAPES.items():
            if has_math or "math." not in template:
                new = expression(template, x=share)
                yield Change(f"{brief(share)}: {name} in {place.where}", [(share, new)])


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


# --- the optimizers ------------------------------------------------------------------------------

_OPTIMIZERS = ("AdamW", "Adam", "NAdam", "RAdam", "Adamax")


def _find_optimizers(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Optimizers that take the same groups: betas, eps and weight decay."""
    for place in places(module):
        if not isinstance(place.node, cst.Call):
            continue
        call, (prefix, _, old) = place.node, called(place.node).rpartition(".")
        if old not in _OPTIMIZERS or not prefix.endswith("optim"):
            continue
        for new in _OPTIMIZERS:
            kept = call if new in ("AdamW", "Adam") else without_arguments(call, "fused")
            if new != old:
                func = cst.parse_expression(f"{prefix}.{new}")
                yield Change(f"{old} → {new}", [(call, kept.with_changes(func=func))])
        if keyword(call, "amsgrad") is None and old in ("AdamW", "Adam"):
            extra = argument("amsgrad", cst.Name("True"))
            new_call = call.with_changes(args=[*call.args, extra])
            yield Change(f"{old} with amsgrad", [(call, new_call)])


def _find_momenta(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Nesterov's look ahead, on and off."""
    for place in places(module):
        match place.node:
            case cst.Arg(
                keyword=cst.Name(value="nesterov"), value=cst.Name(value="True" | "False" as value)
            ):
                other = "False" if value == "True" else "True"
                yield Change(f"nesterov={other}", [(place.node.value, cst.Name(other))])
            case cst.Call(
                func=cst.Attribute(value=start, attr=cst.Name(value="lerp")),
                args=[cst.Arg(value=end), cst.Arg()],
            ):
                for kept in (end, start):
                    what = f"{brief(place.node)} → {brief(kept)} in {place.where}"
                    yield Change(what, [(place.node, kept)])


def _find_steps(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Gradient clipping, put in before the optimizers' step or taken out."""
    for place in places(module):
        line = place.node
        if isinstance(line, cst.SimpleStatementLine) and "clip_grad_norm_" in calls(line):
            if isinstance(sole(line), cst.Expr):
                yield Change("no gradient clipping", [(line, cst.RemoveFromParent())])
        elif isinstance(line, cst.IndentedBlock) and place.function is not None:
            yield from _clippings(place, line, rng)


def _clippings(place: Place, block: cst.IndentedBlock, rng: Generator) -> Iterator[Change]:
    function = place.function
    if function is None or place.around[-1] is not function:
        return
    has_model = "model" in {p.name.value for p in function.params.params}
    if not has_model or "clip_grad_norm_" in calls(function) or "backward" not in calls(function):
        return
    stepping = next((line for line in block.body if "step" in calls(line)), None)
    if stepping is not None and "backward" not in calls(stepping):
        limit = float(rng.choice([0.25, 0.5, 1.0, 2.0]))
        clip = cst.parse_statement(f"torch.nn.utils.clip_grad_norm_(model.parameters(), {limit})")
        assert isinstance(stepping, cst.BaseStatement)
        new = cst.FlattenSentinel([clip, stepping])
        yield Change(f"gradients clipped at {limit}", [(stepping, new)])


# --- the loss ------------------------------------------------------------------------------------


def _find_losses(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for place in places(module):
        call = place.node
        if not isinstance(call, cst.Call) or not called(call).endswith("cross_entropy"):
            continue
        smoothing = keyword(call, "label_smoothing")
        if smoothing is not None:
            plain = without_arguments(call, "label_smoothing")
            yield Change("no label smoothing", [(call, plain)])
            continue
        share = float(rng.choice([0.005, 0.01, 0.02, 0.05]))
        extra = argument("label_smoothing", cst.parse_expression(f"{share}"))
        new = call.with_changes(args=[*call.args, extra])
        yield Change(f"label smoothing {share}", [(call, new)])
        yield _normaliser_held(call, float(rng.choice([1e-5, 1e-4, 1e-3])))


def _normaliser_held(call: cst.Call, weight: float) -> Change:
    """A small penalty on the logarithm of the softmax's denominator."""
    first, *others = call.args
    kept = first.with_changes(value=expression("(logits := {x})", x=first.value))
    loss = call.with_changes(args=[kept, *others])
    template = f"{{loss}} + {weight:g} * logits.float().logsumexp(-1).square().mean()"
    what = f"logits' normaliser held near 0, weight {weight:g}"
    return Change(what, [(call, expression(template, loss=loss))])


EDITS = (
    Edit("scale_start", "another spread of the first weights", _find_spreads),
    Edit("change_start", "parts that start silent, or do not", _find_zero_starts),
    Edit("bend_schedule", "the same start and end, another way between", _find_shapes, weight=1.5),
    Edit("swap_optimizer", "another rule for the same groups", _find_optimizers),
    Edit("change_momentum", "how far an update looks ahead", _find_momenta, weight=0.7),
    Edit("clip_gradients", "rare large gradients, held or let through", _find_steps, weight=0.7),
    Edit("change_loss", "what the logits are pulled towards", _find_losses, weight=0.7),
)
