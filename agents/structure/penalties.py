"""Edits that regularise: what the loss asks for, what is left out by chance, what weights lose."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, places
from agents.structure.layers import layers_of, used_layer
from agents.structure.norms import residual
from agents.structure.optimizers import updates
from agents.structure.syntax import (
    argument,
    brief,
    called,
    code,
    expression,
    keyword,
    without_arguments,
)
from agents.structure.ways import attention_ways

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


# --- chance --------------------------------------------------------------------------------------


def _find_dropouts(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Part of a branch, of the embedding or of attention is left out at random while training."""
    for place in places(module):
        call = place.node
        if place.owner is None or not place.is_forward or not isinstance(call, cst.Call):
            continue
        share = float(rng.choice([0.01, 0.02, 0.05, 0.1]))
        found = residual(place.around[-1])
        is_branch = found is not None and found[1] is call
        table = layers_of(place.owner).get(used_layer(place) or "")
        is_table = table is not None and called(table[1]) == "nn.Embedding"
        if is_branch or is_table:
            template = f"torch.nn.functional.dropout({{x}}, {share}, self.training)"
            new = expression(template, x=call)
            yield Change(f"{share} of {brief(call)} left out in {place.where}", [(call, new)])
    for ways in attention_ways(module):
        is_new = all(keyword(call, "dropout_p") is None for call in ways.kernels)
        if not ways.kernels or not is_new or ways.has_flex or ways.softmaxes:
            continue  # FlexAttention leaves nothing out, and what is written out does so elsewhere
        share = float(rng.choice([0.01, 0.02, 0.05, 0.1]))
        off = argument("dropout_p", expression(f"{share} if self.training else 0.0"))
        dropped = [(call, call.with_changes(args=[*call.args, off])) for call in ways.kernels]
        yield Change(f"{share} of attention left out in {ways.place.where}", dropped)


# --- decay ---------------------------------------------------------------------------------------


def _find_undecayed(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Weights lose a share of themselves at each step, where they did not."""
    decay = float(f"{10 ** rng.uniform(-3, -0.7):.1g}")
    for place, p, _ in updates(module):
        text = code(place.function) if place.function is not None else ""
        rate = re.search(r"\b(?:lr|rate|learning_rate)\b", text)
        if rate is None or "decay" in text or ".mul_(1 -" in text:
            continue
        line = cst.parse_statement(f"{code(p)}.mul_(1 - {decay} * {rate.group()})")
        assert isinstance(place.node, cst.BaseStatement)
        new = cst.FlattenSentinel([line, place.node])
        yield Change(f"{place.where} decays by {decay} × the rate", [(place.node, new)])
    for place in places(module):
        call = place.node
        if not isinstance(call, cst.Call) or not _LIBRARY_RULE.search(called(call)):
            continue
        if keyword(call, "weight_decay") is None:
            extra = argument("weight_decay", cst.parse_expression(f"{decay}"))
            new_call = call.with_changes(args=[*call.args, extra])
            yield Change(f"{called(call)} decays by {decay}", [(call, new_call)])


_LIBRARY_RULE = re.compile(r"optim\.(?:AdamW?|SGD|NAdam|RAdam)$")

EDITS = (
    Edit(
        "change_loss",
        "what the logits are pulled towards",
        _find_losses,
        Kind.REGULARISATION,
    ),
    Edit(
        "add_dropout",
        "what is sometimes missing is not relied on",
        _find_dropouts,
        Kind.REGULARISATION,
    ),
    Edit("add_decay", "weights that are not needed fade", _find_undecayed, Kind.REGULARISATION),
)
