"""Edits of how layers are stacked: hidden sizes, repeated and shared layers, older streams."""

import itertools
import re
from collections.abc import Iterator, Sequence

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, Replacement, places
from agents.structure.layers import classes, constructor, layers_of, stacks
from agents.structure.syntax import (
    brief,
    called,
    code,
    dotted,
    expression,
    nodes,
    plain_arguments,
    same,
    sole,
)

# --- hidden sizes --------------------------------------------------------------------------------


def _find_hidden(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Two linear layers, one of which reads what the other makes: another size between them."""
    for ups, down, name in itertools.chain(_attribute_pairs(module), _sequential_pairs(module)):
        factor = float(rng.choice([0.5, 0.75, 1.5, 2.0]))
        sizes = [*(plain_arguments(up)[1] for up in ups), plain_arguments(down)[0]]
        replaced = [(s, expression(f"int({{w}} * {factor})", w=s)) for s in sizes]
        yield Change(f"{name}: {brief(sizes[-1])} hidden channels × {factor}", replaced)


def _attribute_pairs(
    module: cst.Module,
) -> Iterator[tuple[Sequence[cst.Call], cst.Call, str]]:
    """``self.up``, and what gates it, and ``self.down`` of one class."""
    for owner in classes(module).values():
        linear = {n: c for n, (_, c) in layers_of(owner).items() if _is_linear(c)}
        for place, (name, down) in enumerate(linear.items()):
            before = list(linear.values())[:place]
            size, to = plain_arguments(down)[:2]
            ups = [call for call in before if _sizes(call) == (code(to), code(size))]
            readers = [c for c in linear.values() if same(plain_arguments(c)[0], size)]
            if ups and readers == [down] and not same(size, to) and not _is_headed(owner):
                yield ups, down, f"{owner.name.value}.{name}"


def _sizes(call: cst.Call) -> tuple[str, str]:
    read, made = plain_arguments(call)[:2]
    return code(read), code(made)


def _is_headed(owner: cst.ClassDef) -> bool:
    """True where channels are cut into heads: their number is more than a size."""
    return any(isinstance(n, cst.Name) and "head" in n.value.lower() for n in nodes(owner))


def _sequential_pairs(
    module: cst.Module,
) -> Iterator[tuple[Sequence[cst.Call], cst.Call, str]]:
    """``nn.Sequential(nn.Linear(w, h), …, nn.Linear(h, w))``."""
    for place in places(module):
        if not isinstance(place.node, cst.Call) or called(place.node) != "nn.Sequential":
            continue
        given = plain_arguments(place.node)
        linear = [call for call in given if isinstance(call, cst.Call) and _is_linear(call)]
        if len(linear) == 2 and _sizes(linear[0]) == _sizes(linear[1])[::-1]:
            yield linear[:1], linear[1], place.where


def _is_linear(call: cst.Call) -> bool:
    return called(call) == "nn.Linear" and len(plain_arguments(call)) >= 2


# --- the stack -----------------------------------------------------------------------------------


def _runs(
    module: cst.Module,
) -> Iterator[tuple[cst.For, cst.SimpleStatementLine, cst.Call, str]]:
    """Loops over the stack: the loop, its line ``x = block(x, …)``, the call, and ``x``."""
    names = {name for _, _, name, _ in stacks(module)}
    for place in places(module):
        loop = place.node
        if not isinstance(loop, cst.For) or not place.is_forward:
            continue
        if not any(dotted(n) in {f"self.{name}" for name in names} for n in nodes(loop.iter)):
            continue
        variables = {n.value for n in nodes(loop.target) if isinstance(n, cst.Name)}
        for line in loop.body.body:
            match sole(line):
                case cst.Assign(
                    targets=[cst.AssignTarget(target=cst.Name(value=x))],
                    value=cst.Call(
                        func=cst.Name(value=block), args=[cst.Arg(value=cst.Name(value=given)), *_]
                    ) as call,
                ) if block in variables and given == x:
                    assert isinstance(line, cst.SimpleStatementLine)
                    yield loop, line, call, x


def _find_repeats(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Every layer runs twice: twice the depth for the same parameters."""
    for _, _, call, x in _runs(module):
        first = call.args[0].with_changes(value=call)
        yield Change(
            f"{brief(call.func)} twice for each {x}",
            [(call, call.with_changes(args=[first, *call.args[1:]]))],
        )


def _find_skips(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Each layer's input also takes a share of the stream as it was a layer earlier."""
    for loop, line, call, x in _runs(module):
        if re.search(r"\bearlier\b", code(loop)):
            continue
        share = float(rng.choice([0.05, 0.1, 0.2, 0.5]))
        update = cst.parse_statement(f"{x}, earlier = {code(call)} + {share} * earlier, {x}")
        start = cst.parse_statement(f"earlier = {x}")
        new = loop.deep_replace(line, update)
        assert isinstance(new, cst.For)
        assert isinstance(start, cst.BaseStatement)
        both: Replacement = cst.FlattenSentinel([start, new])
        yield Change(f"{share} of the stream of a layer earlier is added again", [(loop, both)])


def _find_shared(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """A part of every second layer is the part of the layer before it."""
    own = classes(module)
    for owner, line, stack, block in stacks(module):
        made = next(n for n in nodes(line) if isinstance(n, cst.Call) and called(n) == block)
        for part in _parts(own[block], _varying(line, made, own[block])):
            if f"other.{part} = one.{part}" in code(owner):
                continue
            loop = cst.parse_statement(
                f"for one, other in zip(self.{stack}[::2], self.{stack}[1::2]):\n"
                f"    other.{part} = one.{part}\n"
            )
            what = f"two layers in turn share their {part}"
            yield Change(what, [(line, cst.FlattenSentinel([line, loop]))])


def _parts(block: cst.ClassDef, varying: set[str]) -> Iterator[str]:
    """``x`` of each ``self.x = Part(…)`` that is made alike in every layer and read in forward."""
    function = constructor(block)
    for node in nodes(function) if function is not None else ():
        match node:
            case cst.Assign(
                targets=[
                    cst.AssignTarget(target=cst.Attribute(value=cst.Name(value="self"), attr=x))
                ],
                value=cst.Call() as call,
            ):
                read = {n.value for n in nodes(call) if isinstance(n, cst.Name)}
                is_norm = "norm" in called(call).lower()
                is_run = f"self.{x.value}(" in code(block)
                if is_run and not is_norm and not read & varying:
                    yield x.value


def _varying(line: cst.CSTNode, made: cst.Call, block: cst.ClassDef) -> set[str]:
    """Parameters of the block's constructor that are not the same in every layer."""
    loops = [n for n in nodes(line) if isinstance(n, cst.CompFor)]
    variables = {n.value for loop in loops for n in nodes(loop.target) if isinstance(n, cst.Name)}
    function = constructor(block)
    names = [p.name.value for p in function.params.params[1:]] if function is not None else []
    return {
        argument.keyword.value if argument.keyword else names[place]
        for place, argument in enumerate(made.args)
        if (argument.keyword or place < len(names))
        and variables & {n.value for n in nodes(argument.value) if isinstance(n, cst.Name)}
    }


# --- biases --------------------------------------------------------------------------------------


def _find_biases(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """A linear layer's bias goes, where it is by default, or by name."""
    for place in places(module):
        call = place.node
        if not isinstance(call, cst.Call) or not _is_linear(call) or len(plain_arguments(call)) > 2:
            continue
        given = [a for a in call.args if a.keyword is not None and a.keyword.value == "bias"]
        if given and code(given[0].value) == "True":
            yield Change(f"no bias of {brief(call)}", [(given[0].value, cst.Name("False"))])
        elif not given:
            off = cst.parse_expression("f(bias=False)")
            assert isinstance(off, cst.Call)
            new = call.with_changes(args=[*call.args, off.args[0]])
            yield Change(f"no bias of {brief(call)} in {place.where}", [(call, new)])


EDITS = (
    Edit("resize_hidden", "where in a layer its channels pay", _find_hidden, Kind.SHAPE),
    Edit(
        "repeat_layer",
        "depth without its parameters",
        _find_repeats,
        Kind.SHAPE,
        weight=0.4,
    ),
    Edit(
        "share_depth",
        "neighbours do alike work; fewer parameters learn faster",
        _find_shared,
        Kind.SHAPE,
        weight=0.7,
    ),
    Edit(
        "skip_back",
        "what was known a layer earlier, once more",
        _find_skips,
        Kind.SHAPE,
    ),
    Edit("drop_bias", "a constant that the next layer can do without", _find_biases, Kind.SHAPE),
)
