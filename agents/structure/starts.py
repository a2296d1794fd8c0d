"""Edits of how a model starts: the spread, the distribution and the depth of first weights."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, places
from agents.structure.layers import stacks
from agents.structure.syntax import (
    brief,
    called,
    code,
    dotted,
    expression,
    keyword,
    nodes,
    number,
    plain_arguments,
    sole,
)


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


def _find_deep_starts(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """First weights of the stack's parts are smaller the more layers there are."""
    for place, call, name in _inits(module):
        layers = _depth_of(place, module)
        if layers is None or "** -0.5" in code(call):
            continue
        weights = plain_arguments(call)[0]
        scale = f"{layers} ** -0.5"
        std, bounds = keyword(call, "std"), plain_arguments(call)[1:3]
        if name == "zeros_" and _OUTPUT.search(code(weights)):
            start = f"{code(call.func)[: -len(name)]}normal_({{w}}, std=0.01 * {scale})"
            new = expression(start, w=weights)
            yield Change(f"{brief(weights)} start by depth, not at 0", [(call, new)])
        elif std is not None and name in ("normal_", "trunc_normal_"):
            new = expression(f"{{s}} * {scale}", s=std.value)
            yield Change(f"{brief(weights)} start by depth", [(std.value, new)])
        elif name == "uniform_" and len(bounds) == 2:
            replaced = [(bound, expression(f"{{b}} * {scale}", b=bound)) for bound in bounds]
            yield Change(f"{brief(weights)} start by depth", replaced)


def _depth_of(place: Place, module: cst.Module) -> str | None:
    """How many layers there are, where a weight of one is started; None for other weights."""
    names = sorted({name for _, _, name, _ in stacks(module)})
    for outer in place.around:
        if isinstance(outer, cst.For):
            read = {dotted(node) for node in nodes(outer.iter)}
            over = next((n for n in names if f"self.{n}" in read), None)
            if over is not None:
                return f"len(self.{over})"
    return _knob_depth(place, module) if names else None


def _knob_depth(place: Place, module: cst.Module) -> str | None:
    """How many layers the ruler gives, in what starts any linear layer that it is handed."""
    function, weights = place.function, place.node
    parameters = [p.name.value for p in function.params.params] if function is not None else []
    is_handed = any(f"({name}.weight" in code(weights) for name in parameters)
    tests = [code(outer.test) for outer in place.around if isinstance(outer, cst.If)]
    has_ruler = any(code(line) == "import prepare" for line in module.body)
    if not is_handed or not has_ruler or any("Embedding" in test for test in tests[-1:]):
        return None
    for line in module.body:
        match sole(line):
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
                if re.fullmatch(r"DEPTH|N_?LAYERS?|NUM_LAYERS|LAYERS", name):
                    return f"prepare.depth({name})"
    return None


def _find_kinds(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """The same spread in another distribution, or the spread that a rule gives a matrix."""
    for _, call, name in _inits(module):
        mean = keyword(call, "mean")
        if name not in ("uniform_", "normal_") or (mean is not None and number(mean.value) != 0):
            continue
        weights, *bounds = plain_arguments(call)
        prefix, std = code(call.func)[: -len(name)], keyword(call, "std")
        made = [
            (rule, expression(f"{prefix}{rule}({{w}})", w=weights))
            for rule in ("xavier_uniform_", "xavier_normal_", "kaiming_uniform_")
        ]
        if name == "uniform_" and len(bounds) == 2:
            template = f"{prefix}normal_({{w}}, std={{b}} / 3**0.5)"
            made.append(("normal", expression(template, w=weights, b=bounds[1])))
        elif std is not None:
            bound = "{s} * 3**0.5"
            template = f"{prefix}uniform_({{w}}, -{bound}, {bound})"
            made.append(("uniform", expression(template, w=weights, s=std.value)))
        kind, new = made[int(rng.integers(len(made)))]
        yield Change(f"{brief(weights)} start {kind.rstrip('_')}", [(call, new)])


EDITS = (
    Edit(
        "scale_start",
        "another spread of the first weights",
        _find_spreads,
        Kind.INITIALISATION,
    ),
    Edit(
        "change_start",
        "parts that start silent, or do not",
        _find_zero_starts,
        Kind.INITIALISATION,
    ),
    Edit(
        "deep_start",
        "the deeper the stack, the less each layer should say at first",
        _find_deep_starts,
        Kind.INITIALISATION,
    ),
    Edit(
        "swap_start",
        "another distribution of the first weights",
        _find_kinds,
        Kind.INITIALISATION,
        weight=0.7,
    ),
)
