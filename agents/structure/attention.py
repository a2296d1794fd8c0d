"""Edits of attention: how sharply, how far and by how many heads' keys and values it looks."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, Replacement, places
from agents.structure.layers import Layer, attention_logits, is_attention, layers_of, used_layer
from agents.structure.syntax import (
    argument,
    called,
    code,
    dotted,
    expression,
    keyword,
    plain_arguments,
    without_arguments,
)

_KEY_OR_VALUE = re.compile(
    r"(?:w|c|to)?_?(?:k|key|v|value)s?(?:_?(?:proj|projection|linear|layer))?|[kv]_attn"
)


def _attentions(module: cst.Module) -> Iterator[tuple[Place, cst.Call]]:
    for place in places(module):
        match place.node:
            case cst.Call() as call if called(call).endswith("scaled_dot_product_attention"):
                yield place, call


def _find_scales(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for place in places(module):
        logits = attention_logits(place)
        factor = float(f"{2 ** rng.normal(0, 0.7):.2g}") if logits is not None else 1
        if logits is not None and factor != 1:
            new = expression(f"{{x}} * {factor}", x=logits)
            yield Change(f"attention logits × {factor} in {place.where}", [(logits, new)])


def _find_masks(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Every window becomes the whole past, which needs no mask."""
    for place, call in _attentions(module):
        if keyword(call, "attn_mask") is not None:
            bare = without_arguments(call, "attn_mask", "is_causal")
            causal = argument("is_causal", cst.Name("True"))
            new = bare.with_changes(args=[*bare.args, causal])
            yield Change(f"no mask but the causal one in {place.where}", [(call, new)])


def _find_windows(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """``(age >= 0) & (age < window)``: the band gets wider or narrower, and stays causal."""
    for place in places(module):
        match place.node:
            case cst.BinaryOperation(
                left=cst.Comparison() as one, operator=cst.BitAnd(), right=cst.Comparison() as other
            ):
                for part, causal in ((one, other), (other, one)):
                    limit = _limit(part, place)
                    if limit is not None and _limit(causal, place) is None:
                        factor = float(f"{2 ** rng.normal(0, 0.8):.2g}")
                        new = expression(f"max(1, int({{w}} * {factor}))", w=limit)
                        what = f"windows × {factor} in {place.where}"
                        yield Change(what, [(limit, new)])


def _limit(comparison: cst.Comparison, place: Place) -> cst.BaseExpression | None:
    """``window`` of ``age < window``, where the window is one number: no tensor of positions."""
    match comparison:
        case cst.Comparison(
            comparisons=[
                cst.ComparisonTarget(
                    operator=cst.LessThan() | cst.LessThanEqual(),
                    comparator=cst.Name() | cst.Attribute() as limit,
                )
            ]
        ) if place.function is not None:
            name = dotted(limit)
            parameters = {p.name.value for p in place.function.params.params}
            is_number = re.search(
                rf"\b{re.escape(name)} = (?:int|max|min|round)\(", code(place.function)
            )
            is_size = re.search(r"window|span|short|band", name, re.IGNORECASE)
            if is_number or name.isupper() or (is_size and (name in parameters or "." in name)):
                return limit
    return None


def _find_shared_heads(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Keys and values of half the channels, each read by two groups of heads."""
    for owner in {id(p.owner): p.owner for p in places(module) if p.owner is not None}.values():
        if not is_attention(owner):
            continue
        layers = layers_of(owner)
        shared = {n: x for n, x in layers.items() if _KEY_OR_VALUE.fullmatch(n) and _halves(x)}
        uses = [p for p in places(module) if p.owner is owner and used_layer(p) in shared]
        if not shared or {used_layer(use) for use in uses} != set(shared):
            continue
        replaced: list[tuple[cst.CSTNode, Replacement]] = []
        for _, call in shared.values():
            size = plain_arguments(call)[1]
            replaced.append((size, expression("{w} // 2", w=size)))
        for use in uses:
            assert isinstance(use.node, cst.Call)
            replaced.append((use.node, expression("torch.cat([{y}] * 2, dim=-1)", y=use.node)))
        names = " and ".join(shared)
        yield Change(f"two groups of heads share {names} in {owner.name.value}", replaced)


def _halves(layer: Layer) -> bool:
    """True for a linear layer that has not been halved before."""
    call = layer[1]
    sizes = plain_arguments(call)
    return called(call) == "nn.Linear" and len(sizes) >= 2 and "//" not in code(sizes[1])


def _find_contiguous(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Heads side by side in memory before attention reads them again and again."""
    for place, call in _attentions(module):
        given = plain_arguments(call)[:3]
        if len(given) == 3 and not any("contiguous" in code(each) for each in given):
            replaced = [(each, expression("{x}.contiguous()", x=each)) for each in given]
            yield Change(f"contiguous heads before attention in {place.where}", replaced)


EDITS = (
    Edit("scale_attention", "sharper or softer attention", _find_scales, Kind.ATTENTION),
    Edit(
        "drop_mask",
        "attention without a mask is cheaper and sees more",
        _find_masks,
        Kind.ATTENTION,
        weight=0.5,
    ),
    Edit("scale_window", "how far a short window looks", _find_windows, Kind.ATTENTION),
    Edit(
        "share_heads",
        "keys and values for each head may be more than is needed",
        _find_shared_heads,
        Kind.ATTENTION,
    ),
    Edit(
        "make_contiguous",
        "what is read often is read faster in one piece",
        _find_contiguous,
        Kind.SPEED,
    ),
)
