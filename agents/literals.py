"""Literals: the numbers of a script of the user's own, and the operator that moves them.

Most scripts have no block of knobs: their numbers stand in assignments, keyword arguments,
defaults, settings in dictionaries and loops of a fixed length. Each is known by what it is called
there. What measures is left alone: seeds, splits, data, evaluation, reports — told by name, as
people name them.
"""

import ast
import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from numpy.random import Generator

from agents.files import drawn_file
from agents.knob_moves import Surroundings, moved, turn_weight
from agents.offspring import offspring_problem
from agents.operator import Context, Proposal, Refusal
from population import Genome, KnobValue, Origin, frozen_lines, literal_value, rewritten
from population.syntax import Unreadable, read_tree

DRAWS = 24
_SECOND_LITERAL = 0.3  # how often two numbers move at once
_MOST_STEPS = 4  # numbers that nobody has tuned yet may be far from their best: some moves go on
_LEAST_LOOP = 4

# Words of a name that say: this is data, measurement, chance or talk, not a choice of the training.
_OFF_LIMITS = frozenset(
    """
    seed seeds rng test tests val valid validate validation eval evaluate evaluation score scores
    metric metrics accuracy split splits fold folds holdout shuffle stratify data dataset datasets
    sample samples rows noise labels classes targets features load read fetch synthetic report
    print logging logger verbose debug plot fig figure figsize dpi show save path file version port
    timeout workers jobs threads device gpu cuda every interval freq axis keepdims ddof copy inplace
    decimals indent digits
    """.split()  # noqa: SIM905 - words read better than a column of strings
)
_OFF_LIMITS_WHOLE = re.compile(
    r"random_state|n_train|train_(?:size|frac\w*|ratio|share|count)"
    r"|make_(?:blobs|circles|classification|friedman\d|moons|regression|s_curve|swiss_roll)"
)
_TALK = frozenset({"print", "format", "round", "write", "warn", "info", "warning", "error", "exit"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CAPITALS = re.compile(r"[A-Z][A-Z0-9_]*")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or truth of a script.

    Attributes:
        key: Where it stands, the same in texts that differ in values alone: ``fit:lr``.
        name: What it is called: ``lr``.
        value: As it is.
        node: The expression.
    """

    key: str
    name: str
    value: int | float | bool
    node: ast.expr


class LiteralEdit:
    """Moves one number of a script, sometimes two, each on its natural scale."""

    name = "literal"
    parent_count = 1

    def propose(self, context: Context) -> Proposal | Refusal:
        """Draw moves until one gives a new genome."""
        parent = context.parents[0]
        reasons: Counter[str] = Counter()
        for _ in range(DRAWS):
            path = drawn_file(parent.genome, context.rng)
            frozen = frozen_lines(context.manual, parent.genome, path)
            found = {
                one.key: one
                for one in literals(parent.genome.files[path])
                if one.node.lineno not in frozen
            }
            changes = _drawn(found, context.rng)
            if not changes:
                reasons[f"{path} has no number that can be moved"] += 1
                continue
            genome = _changed(parent.genome, path, found, changes)
            problem = offspring_problem(genome, context)
            if problem is None:
                return Proposal(
                    genome=genome,
                    parents=(parent.variant.sha,),
                    origin=Origin.MUTATION,
                    operator=self.name,
                    hypothesis=_hypothesis(found, changes),
                    trailers={"Literal": ", ".join(changes)},
                )
            reasons[problem] += 1
        listed = "; ".join(f"{reason} ({count}×)" for reason, count in reasons.most_common(3))
        return Refusal(self.name, f"{DRAWS} draws gave nothing new: {listed}")


@functools.lru_cache(maxsize=128)
def literals(text: str) -> tuple[Literal, ...]:
    """The numbers of a script that training depends on, in order; none if it does not parse."""
    tree = read_tree(text)
    if isinstance(tree, Unreadable):
        return ()
    found: list[Literal] = []
    counts: Counter[str] = Counter()
    for scope, name, node in _places(tree, ""):
        value = _number(node)
        if value is None or is_off_limits(name):
            continue
        place = f"{scope}:{name}"
        counts[place] += 1
        key = place if counts[place] == 1 else f"{place}#{counts[place]}"
        found.append(Literal(key, name, value, node))
    return tuple(found)


def literal_values(text: str) -> dict[str, KnobValue]:
    """Their values by key."""
    return {one.key: one.value for one in literals(text)}


def set_literals(text: str, changes: Mapping[str, KnobValue]) -> str:
    """``text`` with other values for some of its literals; every other byte stays."""
    found = {one.key: one for one in literals(text)}
    wanted = [
        (found[key].node, value)
        for key, value in changes.items()
        if repr(found[key].value) != repr(value)
    ]
    return rewritten(text, wanted)


def is_off_limits(name: str) -> bool:
    """True if a name says that its value measures, or is chance, data or talk."""
    if _OFF_LIMITS_WHOLE.fullmatch(name.lower()):
        return True
    return any(word.lower() in _OFF_LIMITS for word in _WORD.findall(name))


# --- where numbers stand -------------------------------------------------------------------------


def _places(node: ast.AST, scope: str) -> Iterator[tuple[str, str, ast.expr]]:
    """Scope, name and expression of everything that may be a literal, in source order."""
    fickle = _fickle_names(node) if isinstance(node, ast.Module | _Function) else frozenset()
    yield from _places_in(node, scope, fickle)


def _places_in(
    node: ast.AST, scope: str, fickle: frozenset[str]
) -> Iterator[tuple[str, str, ast.expr]]:
    for child in ast.iter_child_nodes(node):
        if _measures_or_talks(child):
            continue
        inner = scope
        if isinstance(child, _Function | ast.ClassDef):
            inner = f"{scope}.{child.name}".lstrip(".")
        yield from ((inner, name, value) for name, value in _named(child) if name not in fickle)
        if isinstance(child, _Function):
            yield from _places(child, inner)
        else:
            no_names: frozenset[str] = frozenset()
            is_class = isinstance(child, ast.ClassDef)
            yield from _places_in(child, inner, no_names if is_class else fickle)


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a node names by itself."""
    match node:
        case ast.Assign(targets=[target], value=value):
            yield from _assigned(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _assigned(target, value)
        case ast.Call():
            yield from _keywords(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _defaults(node.args)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        case ast.For(
            target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=[end])
        ):
            if (_number(end) or 0) >= _LEAST_LOOP:
                yield f"{name} count", end


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Name(id=name), _ if not _CAPITALS.fullmatch(name):  # those are knobs
            yield name, value
        case ast.Attribute(attr=name), _ if _number(value):  # `self.count = 0` begins a count
            yield name, value
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            for one, other in zip(targets, values, strict=True):
                yield from _assigned(one, other)


def _keywords(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    callee = _called(call)
    for keyword in call.keywords:
        if keyword.arg == "default" and callee == "add_argument":
            match call.args:
                case [*_, ast.Constant(value=str(flag))]:
                    yield flag.lstrip("-").replace("-", "_"), keyword.value
        elif keyword.arg is not None:
            yield keyword.arg, keyword.value


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    plain = [*arguments.posonlyargs, *arguments.args]
    with_default = plain[len(plain) - len(arguments.defaults) :]
    yield from ((a.arg, d) for a, d in zip(with_default, arguments.defaults, strict=True))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument.arg, default


def _measures_or_talks(node: ast.AST) -> bool:
    """True for what is to stay whole: functions and calls of data, measurement and reports."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return is_off_limits(name)
        case ast.Call():
            name = _called(node)
            return name in _TALK or (name != "add_argument" and is_off_limits(name))
    return False


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _fickle_names(scope: ast.AST) -> frozenset[str]:
    """Names that are assigned again in a scope: counters and bests so far, no choices."""
    counts: Counter[str] = Counter()
    for node in _own_nodes(scope):
        match node:
            case ast.AugAssign(target=ast.Name(id=name)):
                counts[name] += 2
            case ast.Name(id=name, ctx=ast.Store()):
                counts[name] += 1
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                counts.update(dict.fromkeys(names, 2))
    return frozenset(name for name, count in counts.items() if count > 1)


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        yield child
        if isinstance(child, _Function):
            # A function that says `global` assigns to names of the module.
            yield from (n for n in ast.walk(child) if isinstance(n, ast.Global))
        elif not isinstance(child, ast.ClassDef | ast.Lambda):
            yield from _own_nodes(child)


def _number(node: ast.expr) -> int | float | bool | None:
    try:
        value = literal_value(node)
    except (ValueError, ArithmeticError, TypeError):
        return None
    return value if isinstance(value, bool | int | float) else None


# --- how they move -------------------------------------------------------------------------------


def _drawn(found: Mapping[str, Literal], rng: Generator) -> dict[str, KnobValue]:
    """Other values for one number or two."""
    if not found:
        return {}
    count = 2 if rng.random() < _SECOND_LITERAL else 1
    keys = list(found)
    weights = [_weight(found[key]) for key in keys]
    shares = [weight / sum(weights) for weight in weights]
    changes: dict[str, KnobValue] = {}
    for key in rng.choice(keys, size=len(keys), replace=False, p=shares).tolist():
        value = _moved(found[key], rng)
        if isinstance(value, float) and not math.isfinite(value):
            continue  # moved beyond all numbers: it has no literal
        if repr(value) != repr(found[key].value):
            changes[key] = value
        if len(changes) == count:
            break
    return changes


def _weight(one: Literal) -> float:
    """As knobs, but for truths: most of them are switches of a library, and few matter."""
    return 0.5 if isinstance(one.value, bool) else turn_weight(_as_knob(one), one.value)


def _moved(one: Literal, rng: Generator) -> KnobValue:
    """One step, or several in the same direction."""
    name, value = _as_knob(one), one.value
    for _ in range(1 + int(rng.integers(_MOST_STEPS))):
        step = moved(name, Surroundings({name: value}, {}), rng)
        if isinstance(step, bool) or not isinstance(step, int | float):
            return step
        if value == one.value or (step > value) == (value > one.value):
            value = step
    return value


def _as_knob(one: Literal) -> str:
    return re.sub(r"\W+", "_", one.name).upper()


def _changed(
    genome: Genome, path: str, found: Mapping[str, Literal], changes: Mapping[str, KnobValue]
) -> Genome:
    wanted = [(found[key].node, value) for key, value in changes.items()]
    return genome.with_file(path, rewritten(genome.files[path], wanted))


def _hypothesis(found: Mapping[str, Literal], changes: Mapping[str, KnobValue]) -> str:
    return ", ".join(
        f"{key.lstrip(':')} {_shown(found[key].value)} → {_shown(value)}"
        for key, value in changes.items()
    )


def _shown(value: KnobValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
