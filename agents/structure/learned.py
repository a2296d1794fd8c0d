"""Edits that give a model new numbers to learn: gains of branches, norms and attention.

A parameter that no optimizer is given would only cost memory, so each is put where the genome's
optimizers find it by themselves, and has two axes, as those for matrices expect.
"""

from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Place, Replacement, places
from agents.structure.layers import constructor, stream_width, trained_members
from agents.structure.norms import norm_argument, residual
from agents.structure.syntax import brief, called, code, expression, same, sole
from agents.structure.ways import attention_ways


def _learnable(module: cst.Module) -> Iterator[Place]:
    """Places of forward passes in classes whose parameters are all trained."""
    trained = trained_members(module)
    for place in places(module):
        owner = place.owner
        if owner is not None and owner.name.value in trained and place.is_forward:
            yield place


def _with_parameter(
    owner: cst.ClassDef, stem: str, made: str
) -> tuple[str, tuple[cst.CSTNode, Replacement]] | None:
    """A free name like ``stem``, and the line that makes it, put behind ``super().__init__()``."""
    function = constructor(owner)
    if function is None:
        return None
    body = function.body.body
    first = next((line for line in body if "super().__init__" in code(line)), None)
    if first is None or sole(first) is None:
        return None
    text = code(owner)
    names = (f"{stem}{serial}" for serial in ("", *range(2, 9)))
    name = next((n for n in names if f"self.{n} " not in text), None)
    if name is None:
        return None
    line = cst.parse_statement(f"self.{name} = torch.nn.Parameter({made})")
    assert isinstance(first, cst.SimpleStatementLine)
    return name, (first, cst.FlattenSentinel([first, line]))


def _find_branches(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """``x + self.f(…)`` becomes ``x + self.f_gain.to(x.dtype) * self.f(…)``."""
    for place in _learnable(module):
        found = residual(place.node)
        if found is None or place.owner is None or not isinstance(found[0], cst.Name):
            continue
        start = float(rng.choice([0.1, 0.3, 0.5, 1.0]))
        part = called(found[1]).removeprefix("self.").replace(".", "_")
        made = _with_parameter(place.owner, f"{part}_gain", f"torch.full((1, 1), {start})")
        if made is not None:
            new = expression(f"self.{made[0]}.to({{x}}.dtype) * {{y}}", x=found[0], y=found[1])
            what = f"{brief(found[1].func)} with a learned gain from {start} in {place.where}"
            yield Change(what, [(found[1], new), made[1]])


def _find_norms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """``self.f(norm(x), …)`` on the residual stream: a learned gain for each channel."""
    width = stream_width(module)
    if width is None:
        return
    for place in _learnable(module):
        found = residual(place.node)
        if found is None or not found[1].args or place.owner is None:
            continue
        normed = found[1].args[0].value
        inner = norm_argument(Place(normed, (*place.around, place.node)))
        if not isinstance(inner, cst.Name) or "self." in code(normed):
            continue  # norms that are modules have their gains
        part = called(found[1]).removeprefix("self.").replace(".", "_")
        made = _with_parameter(place.owner, f"{part}_gains", f"torch.ones(1, {width})")
        if made is not None:
            new = expression(f"{{n}} * self.{made[0]}.to({{x}}.dtype)", n=normed, x=inner)
            what = f"{brief(normed)} with a learned gain for each channel before {part}"
            yield Change(what, [(normed, new), made[1]])


def _find_temperatures(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Attention logits times a learned number that starts at 1, whichever way they are computed.

    In one way alone, layers that take another would get no gradient for theirs.
    """
    trained = trained_members(module)
    for ways in attention_ways(module):
        owner, logits = ways.place.owner, ways.logits()
        if owner is None or owner.name.value not in trained or not logits:
            continue
        made = _with_parameter(owner, "sharpness", "torch.ones(1, 1)")
        if made is not None and all(isinstance(x, cst.Name) for x in logits):
            template = f"{{x}} * self.{made[0]}.to({{x}}.dtype)"
            replaced = [(x, expression(template, x=x)) for x in logits]
            what = f"attention learns how sharply it looks in {ways.place.where}"
            yield Change(what, [*replaced, made[1]])


def _find_mixtures(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """What enters a branch takes a learned share of the position before."""
    for place in _learnable(module):
        found = residual(place.node)
        if found is None or not found[1].args or place.owner is None:
            continue
        inner = found[1].args[0].value
        is_normed = norm_argument(Place(inner, (*place.around, place.node))) is not None
        if not (is_normed or same(inner, found[0])):
            continue  # whatever else it reads may have no axis of positions
        start = float(rng.choice([0.05, 0.1, 0.3]))
        part = called(found[1]).removeprefix("self.").replace(".", "_")
        made = _with_parameter(place.owner, f"{part}_past", f"torch.full((1, 1), {start})")
        if made is not None:
            new = expression(
                f"(past := {{y}}) + self.{made[0]}.to(past.dtype)"
                " * torch.nn.functional.pad(past, (0, 0, 1, -1))",
                y=inner,
            )
            what = f"{part} reads a learned share of the position before in {place.where}"
            yield Change(what, [(inner, new), made[1]])


EDITS = (
    Edit(
        "gate_branch",
        "the model learns how loudly a part speaks",
        _find_branches,
        Kind.NORMALISATION,
    ),
    Edit(
        "gain_norm",
        "not every channel of a normalised stream matters as much",
        _find_norms,
        Kind.NORMALISATION,
    ),
    Edit("learn_temperature", "how sharp, learned", _find_temperatures, Kind.ATTENTION),
    Edit(
        "mix_previous",
        "the position before is what is needed most, and needs no attention",
        _find_mixtures,
        Kind.ATTENTION,
    ),
)
