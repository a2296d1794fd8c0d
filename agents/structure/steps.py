"""Edits of the training step: what is done with gradients, and with weights after the update."""

import re
from collections.abc import Iterator

import libcst as cst
from numpy.random import Generator

from agents.structure.edit import Change, Edit, Kind, places
from agents.structure.layers import classes, steppings
from agents.structure.syntax import called, calls, code, nodes, number, plain_arguments, sole


def _before(line: cst.BaseStatement, *texts: str) -> cst.FlattenSentinel[cst.BaseStatement]:
    return cst.FlattenSentinel([*(_parsed(text) for text in texts), line])


def _parsed(text: str) -> cst.BaseStatement:
    statement = cst.parse_statement(text)
    assert isinstance(statement, cst.BaseStatement)
    return statement


# --- gradients -----------------------------------------------------------------------------------


def _find_clips(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Gradient clipping, put in before the optimizers' step, moved, or taken out."""
    for place in places(module):
        match place.node:
            case cst.SimpleStatementLine() as clipping if "clip_grad_norm_" in calls(clipping):
                if isinstance(sole(clipping), cst.Expr):
                    yield Change("no gradient clipping", [(clipping, cst.RemoveFromParent())])
            case cst.Call() as call if called(call).endswith("clip_grad_norm_"):
                limit = plain_arguments(call)[1:2]
                if limit and number(limit[0]) is not None:
                    new = f"{(number(limit[0]) or 0) * float(rng.choice([0.25, 0.5, 2, 4])):g}"
                    what = f"gradients clipped at {new}, not {code(limit[0])}"
                    yield Change(what, [(limit[0], cst.parse_expression(new))])
    for function, line in steppings(module):
        if "clip_grad_norm_" not in calls(function):
            limit_at = float(rng.choice([0.25, 0.5, 1.0, 2.0]))
            clip = f"torch.nn.utils.clip_grad_norm_(model.parameters(), {limit_at})"
            yield Change(f"gradients clipped at {limit_at}", [(line, _before(line, clip))])


def _find_unnormalised(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """Each tensor's gradient divided by its own norm: only its direction is left."""
    loop = (
        "for p in model.parameters():\n"
        "    if p.grad is not None:\n"
        "        p.grad.div_(p.grad.norm() + 1e-12)\n"
    )
    for function, line in steppings(module):
        if "p.grad.div_(" not in code(function):
            yield Change("each gradient at norm 1", [(line, _before(line, loop))])


def _find_noise(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Gradients pulled towards the mean of each row's: what all inputs share is taken out."""
    for function, line in steppings(module):
        share = float(rng.choice([0.5, 1.0]))
        loop = (
            "for p in model.parameters():\n"
            "    if p.grad is not None and p.grad.ndim == 2 and p.grad.size(1) > 1:\n"
            f"        p.grad.sub_({share} * p.grad.mean(dim=1, keepdim=True))\n"
        )
        if "p.grad.mean(" not in code(function):
            what = f"{share} of each row's mean taken out of gradients"
            yield Change(what, [(line, _before(line, loop))])


# --- weights -------------------------------------------------------------------------------------


def _find_averages(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """Weights are drawn towards their own running mean after each step."""
    for function, line in steppings(module):
        name = function.name.value
        if f"{name}.mean" in code(function):
            continue
        reach, pull = float(rng.choice([0.02, 0.05, 0.1])), float(rng.choice([0.01, 0.03, 0.1]))
        start = (
            f"if not hasattr({name}, 'means'):\n"
            f"    {name}.means = [p.detach().clone() for p in model.parameters()]\n"
        )
        drawn = (
            "with torch.no_grad():\n"
            f"    for p, mean in zip(model.parameters(), {name}.means):\n"
            f"        mean.lerp_(p, {reach})\n"
            f"        p.lerp_(mean, {pull})\n"
        )
        new = cst.FlattenSentinel([_parsed(start), line, _parsed(drawn)])
        yield Change(f"weights drawn by {pull} to their mean of {1 / reach:g} steps", [(line, new)])


# --- time ----------------------------------------------------------------------------------------


def _find_turns(module: cst.Module, rng: Generator) -> Iterator[Change]:
    """An optimizer of the genome's own lets steps pass: its work is saved, and its weights rest."""
    for owner in classes(module).values():
        for function in owner.body.body:
            match function:
                case cst.FunctionDef(name=cst.Name(value="step"), body=cst.IndentedBlock() as body):
                    pass
                case _:
                    continue
            text = code(owner)
            first = body.body[0]
            if ".turn" in text or not re.search(r"groups|\.grad\b", text):
                continue
            if not isinstance(first, cst.BaseStatement) or len(function.params.params) > 1:
                continue
            count = int(rng.choice([2, 3]))
            turn = "self.turn = getattr(self, 'turn', 0) + 1"
            rest = f"if self.turn % {count} == 0:\n    return\n"
            new = _before(first, turn, rest)
            yield Change(f"{owner.name.value} lets one step in {count} pass", [(first, new)])


def _find_norms(module: cst.Module, _rng: Generator) -> Iterator[Change]:
    """A norm of the gradients that is reported and never used is not reckoned."""
    for place in places(module):
        function = place.function
        match sole(place.node):
            case cst.Assign(
                targets=[cst.AssignTarget(target=cst.Name(value=name))], value=cst.Call() as call
            ) if re.search(r"get_total_norm$|vector_norm$", called(call)) and function is not None:
                reads = [n for n in nodes(function.body) if isinstance(n, cst.Name)]
                lines = [n for n in nodes(function.body) if isinstance(n, cst.Return)]
                told = {id(n) for line in lines for n in nodes(line)}
                others = [n for n in reads if n.value == name and id(n) not in told]
                if len(others) == 1:  # its assignment
                    nothing = cst.parse_expression("float('nan')")
                    yield Change("the norm of gradients is not measured", [(call, nothing)])


EDITS = (
    Edit(
        "clip_gradients",
        "rare large gradients, held or let through",
        _find_clips,
        Kind.OPTIMIZER,
        weight=0.7,
    ),
    Edit(
        "normalise_gradients",
        "how steep it is says little of how far to go",
        _find_unnormalised,
        Kind.OPTIMIZER,
        weight=0.7,
    ),
    Edit(
        "centre_gradients",
        "what all inputs of a row share is no news",
        _find_noise,
        Kind.REGULARISATION,
        weight=0.7,
    ),
    Edit(
        "pull_to_average",
        "the mean of the last weights is better than the last ones",
        _find_averages,
        Kind.REGULARISATION,
    ),
    Edit("rest_optimizer", "slow weights need no step each time", _find_turns, Kind.SPEED),
    Edit("drop_measure", "what is only measured costs time", _find_norms, Kind.SPEED, weight=0.7),
)
