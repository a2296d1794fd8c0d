"""Edits of attention: how sharply, how far and by how many heads' keys and values it looks."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Replacement, places
from agents.structure.layers import Layer, is_attention, layers_of, used_layer
from agents.structure.syntax import (
    argument,
    called,
    code,
    expression,
    keyword,
    plain_arguments,
    without_arguments,
)
from agents.structure.ways import HEADS, attention_ways, is_flex
from agents.structure.windows import find_windows

_KEY_OR_VALUE = re.compile(
    r"(?:w|c|to)?_?(?:k|key|v|value)s?(?:_?(?:proj|projection|linear|layer))?|[kv]_attn"
)


def _find_scales(module: cst.Module, rng: Generator) -> Iterator[Change]:
    for ways in attention_ways(module):
        logits = ways.logits()
        factor = float(f"{2 ** rng.normal(0, 0.7):.2g}")
        if logits and factor != 1:
            replaced = [(x, expression(f"{{x}} * {factor}", x=x)) for x in logits]
            yield Change(f"attention logits × {factor} in {ways.place.where}", replaced)


def _find_masks(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Every window becomes the whole past, which needs no mask."""
    for ways in attention_ways(module):
        masked = [call for call in ways.kernels if keyword(call, _mask(call)) is not None]
        plain = [call for call in ways.kernels if not is_flex(call)]
        function = plain[0].func if plain else cst.parse_expression(_SDPA)
        if masked and not ways.softmaxes and all(_is_known(call) for call in masked):
            replaced = [(call, _unmasked(call, function)) for call in masked]
            yield Change(f"no mask but the causal one in {ways.place.where}", replaced)


_SDPA = "torch.nn.functional.scaled_dot_product_attention"
_SHARED = {*HEADS, "block_mask", "scale", "enable_gqa"}


def _mask(call: cst.Call) -> str:
    return "block_mask" if is_flex(call) else "attn_mask"


def _is_known(call: cst.Call) -> bool:
    """True if nothing but the mask of a call would be lost."""
    names = {argument.keyword.value for argument in call.args if argument.keyword is not None}
    is_plain = len(plain_arguments(call)) <= len(HEADS) and not any(a.star for a in call.args)
    return is_plain and (names <= _SHARED or not is_flex(call))


def _unmasked(call: cst.Call, function: cst.BaseExpression) -> cst.Call:
    bare = without_arguments(call, _mask(call), "is_causal")
    causal = argument("is_causal", cst.Name("True"))
    return bare.with_changes(func=function, args=[*bare.args, causal])


def _find_shared_heads(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Keys and values of half the channels, each channel read twice.

    With an even number of heads two groups of heads share them; with one head, or an odd number,
    some head reads the same channels twice.
    """
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
        yield Change(
            f"half the channels, each read twice, for {names} in {owner.name.value}", replaced
        )


def _halves(layer: Layer) -> bool:
    """True for a linear layer that has not been halved before."""
    call = layer[1]
    sizes = plain_arguments(call)
    return called(call) == "nn.Linear" and len(sizes) >= 2 and "//" not in code(sizes[1])


def _find_contiguous(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Heads side by side in memory before attention reads them again and again."""
    for ways in attention_ways(module):
        told = [heads for name in HEADS if (heads := ways.heads(name))]
        is_done = any("contiguous" in code(a) for call in ways.kernels for a in call.args)
        if len(told) == len(HEADS) and not is_done:
            given = [each for heads in told for each in heads]
            replaced = [(each, expression("{x}.contiguous()", x=each)) for each in given]
            yield Change(f"contiguous heads before attention in {ways.place.where}", replaced)


EDITS = (
    Edit("scale_attention", "sharper or softer attention", _find_scales, Kind.ATTENTION),
    Edit(
        "drop_mask",
        "attention without a mask is cheaper and sees more",
        _find_masks,
        Kind.ATTENTION,
        weight=0.5,
    ),
    Edit("scale_window", "how far a short window looks", find_windows, Kind.ATTENTION),
    Edit(
        "share_heads",
        "as many keys and values as queries may be more than is needed",
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
