"""The ways in which one function computes attention, which an edit has to change together.

A genome chooses between them by device and by window: a compiled model may train through one and be
scored through another, and layers of one model may take different ones. An edit of one alone would
train one model and score another.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from agents.structure.edit import Place, places
from agents.structure.syntax import called, code, keyword, nodes, plain_arguments

HEADS = ("query", "key", "value")
_CASTS = frozenset({"to", "float", "bfloat16", "half", "type_as", "contiguous"})


@dataclass(frozen=True, slots=True)
class Ways:
    """All of a function's attention.

    Attributes:
        place: Of the first of them.
        kernels: Calls of ``scaled_dot_product_attention`` and ``flex_attention``.
        softmaxes: What each softmax over the last axis takes: attention written out.
    """

    place: Place
    kernels: tuple[cst.Call, ...]
    softmaxes: tuple[cst.BaseExpression, ...]

    @property
    def has_flex(self) -> bool:
        """True if one of them is FlexAttention, which wants one dtype and knows no dropout."""
        return any(is_flex(call) for call in self.kernels)

    def heads(self, name: str) -> list[cst.BaseExpression] | None:
        """The query, key or value of each kernel, casts aside; None if one cannot be told."""
        found = [_head(call, name) for call in self.kernels]
        told = [root(each) for each in found if each is not None]
        return told if len(told) == len(found) else None

    def logits(self) -> list[cst.BaseExpression] | None:
        """What to scale to sharpen all of them: queries, and what softmaxes take."""
        queries = self.heads("query")
        return None if queries is None else [*queries, *self.softmaxes]


def attention_ways(module: cst.Module) -> Iterator[Ways]:
    """By outermost function of a forward pass, its ways of attention, those for a GPU too."""
    for place in places(module):
        if not isinstance(place.node, cst.FunctionDef) or place.function is not None:
            continue
        found = [node for node in nodes(place.node) if isinstance(node, cst.Call)]
        kernels = tuple(call for call in found if _last(call) == _SDPA or is_flex(call))
        softmaxes = tuple(root(x) for call in found if (x := _softmax_input(call)) is not None)
        first = Place(place.node.body, (*place.around, place.node))
        if (kernels or softmaxes) and first.is_forward:
            yield Ways(first, kernels, softmaxes)


_SDPA = "scaled_dot_product_attention"


def is_flex(call: cst.Call) -> bool:
    """True for a call of FlexAttention."""
    return _last(call) == "flex_attention"


def _last(call: cst.Call) -> str:
    match call.func:  # of anything: (q @ k).softmax(-1)
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
    return ""


def root(node: cst.BaseExpression) -> cst.BaseExpression:
    """``q`` of ``q.to(v.dtype)``."""
    match node:
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))):
            return root(inner) if name in _CASTS else node
    return node


def _head(call: cst.Call, name: str) -> cst.BaseExpression | None:
    given, named = plain_arguments(call), keyword(call, name)
    place = HEADS.index(name)
    if any(argument.star for argument in call.args):
        return None
    return named.value if named is not None else given[place] if place < len(given) else None


def _softmax_input(call: cst.Call) -> cst.BaseExpression | None:
    if _last(call) != "softmax":
        return None
    given, dim = plain_arguments(call), keyword(call, "dim")
    if called(call) in ("F.softmax", "torch.softmax", "torch.nn.functional.softmax"):
        axis = dim.value if dim is not None else given[1] if len(given) > 1 else None
        return given[0] if given and _is_last(axis) else None
    axis = dim.value if dim is not None else given[0] if given else None
    match call.func:  # logits.softmax(-1)
        case cst.Attribute(value=logits) if _is_last(axis):
            return logits
    return None


def _is_last(axis: cst.BaseExpression | None) -> bool:
    return axis is not None and code(axis) == "-1"
