"""Edits of optimizers: their rule, their groups' rates, and how long they remember."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.syntax import (
    argument,
    brief,
    called,
    code,
    expression,
    keyword,
    number,
    sole,
    without_arguments,
)

# --- the library's rules -------------------------------------------------------------------------

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


# --- rules written out ---------------------------------------------------------------------------


def updates(module: cst.Module) -> Iterator[tuple[Place, cst.BaseExpression, cst.BaseExpression]]:
    """``p.sub_(step)`` in functions that are given a learning rate: place, ``p`` and ``step``."""
    for place in places(module):
        line = sole(place.node)
        if place.function is None or not isinstance(line, cst.Expr):
            continue
        if not any(re.fullmatch(r"lr|rate|learning_rate", name) for name in _parameters(place)):
            continue
        match line.value:
            case cst.Call(
                func=cst.Attribute(value=cst.Name() as p, attr=cst.Name(value="sub_")),
                args=[cst.Arg(keyword=None, value=step)],
            ):
                yield place, p, step


def _parameters(place: Place) -> list[str]:
    function = place.function
    return [p.name.value for p in function.params.params] if function is not None else []


def _find_signs(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Every weight moves as far as the mean of its tensor, each in its own direction."""
    for place, p, step in updates(module):
        if "sign()" not in code(step):
            new = expression("(step := {x}).sign() * step.abs().mean()", x=step)
            yield Change(f"signs alone move {brief(p)} in {place.where}", [(step, new)])


def _find_cautious(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Weights move only where the step agrees with the last gradient."""
    for place, p, step in updates(module):
        gradient = next(
            (n for n in _parameters(place) if re.fullmatch(r"g|grads?|gradient", n)), ""
        )
        if gradient and "> 0)" not in code(step):
            new = expression(f"(step := {{x}}) * (step * {gradient} > 0)", x=step)
            what = f"{brief(p)} moves only where its gradient agrees in {place.where}"
            yield Change(what, [(step, new)])


# --- groups --------------------------------------------------------------------------------------


def _settings(module: cst.Module, name: str) -> Iterator[tuple[Place, cst.BaseExpression]]:
    """Values of ``"name": …`` in groups' dictionaries and of ``name=…`` in optimizers' calls."""
    for place in places(module):
        match place.node:
            case cst.DictElement(key=cst.SimpleString() as key, value=value):
                if key.raw_value == name and _is_group(place.around[-1]):
                    yield place, value
            case cst.Call() as call if called(call).rpartition(".")[2] in (*_OPTIMIZERS, "SGD"):
                given = keyword(call, name)
                if given is not None:
                    yield place, given.value


def _is_group(around: cst.CSTNode) -> bool:
    return isinstance(around, cst.Dict) and '"params"' in code(around)


def _find_rates(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """The rate of one group alone, where several may share a knob."""
    for place, rate in _settings(module, "lr"):
        factor = float(f"{2 ** rng.normal(0, 0.8):.2g}")
        if factor != 1 and number(rate) != 0:
            new = expression(f"{{r}} * {factor}", r=rate)
            yield Change(f"rate {brief(rate)} × {factor} in {place.where}", [(rate, new)])


def _find_memories(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """The betas of one group alone: how far back its means reach, on a logarithmic scale."""
    for place, betas in _settings(module, "betas"):
        first = 1 - float(f"{10 ** rng.uniform(-1.3, -0.3):.1g}")
        second = 1 - float(f"{10 ** rng.uniform(-2.5, -0.8):.1g}")
        new = cst.parse_expression(f"({first:g}, {second:g})")
        what = f"betas {brief(betas)} → ({first:g}, {second:g}) in {place.where}"
        yield Change(what, [(betas, new)])


EDITS = (
    Edit(
        "swap_optimizer",
        "another rule for the same groups",
        _find_optimizers,
        Kind.OPTIMIZER,
    ),
    Edit(
        "change_momentum",
        "how far an update looks ahead",
        _find_momenta,
        Kind.OPTIMIZER,
        weight=0.7,
    ),
    Edit(
        "sign_update",
        "what direction each weight takes matters more than how far",
        _find_signs,
        Kind.OPTIMIZER,
        weight=0.5,
    ),
    Edit(
        "cautious_update",
        "momentum that the last gradient speaks against is stale",
        _find_cautious,
        Kind.OPTIMIZER,
        weight=0.7,
    ),
    Edit(
        "scale_rate", "one group may be too fast or slow", _find_rates, Kind.OPTIMIZER, weight=1.5
    ),
    Edit("change_memory", "one group may remember too long", _find_memories, Kind.OPTIMIZER),
)
