"""Small questions to, and small pieces of, libcst's syntax trees."""

import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Any

import libcst as cst
from libcst.helpers import parse_template_expression

_SETUP = re.compile(r"__init__|.*init|reset_|build_|make_|register_|setup")


_REPORT = re.compile(
    r".*(?:mfu|flops|print|report|log_|summary|warm_?up_|compile|native|supported|device).*|warm_up"
)


def is_report(function: cst.FunctionDef) -> bool:
    """True for what tells of training, or prepares a device, and does not change a score."""
    return bool(_REPORT.fullmatch(function.name.value))


def is_setup(function: cst.FunctionDef) -> bool:
    """True for constructors, initialisation and whatever runs once before training."""
    return bool(_SETUP.match(function.name.value))


# Layout and punctuation, of which a tree has more than of anything else; and the names that are no
# variables, those of attributes and keywords.
_LAYOUT = re.compile(
    r"whitespace.*|.*lines.*|[lr]par|comma|header|footer|equal|dot|semicolon|.*indent|"
    "attr|keyword"
)


@functools.cache
def _parts(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    names = (field.name for field in dataclasses.fields(kind))
    return tuple(name for name in names if not _LAYOUT.fullmatch(name))


def children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The parts of a node, layout aside."""
    for name in _parts(type(node)):
        part = getattr(node, name)
        if isinstance(part, cst.CSTNode):
            yield part
        elif isinstance(part, list | tuple):
            yield from (each for each in part if isinstance(each, cst.CSTNode))


def nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """``node`` and everything in it, layout aside."""
    yield node
    for child in children(node):
        yield from nodes(child)


def calls(node: cst.CSTNode) -> set[str]:
    """Last names of all functions and methods called in ``node``."""
    found: set[str] = set()
    for each in nodes(node):
        match each:
            case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name))):
                found.add(name)
    return found


def called(call: cst.Call) -> str:
    """Dotted name of what is called, or "" if it has none."""
    return dotted(call.func)


def dotted(node: cst.CSTNode) -> str:
    """``a.b.c`` for names and attributes of names; "" for anything else."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            front = dotted(value)
            return f"{front}.{name}" if front else ""
    return ""


def code(node: cst.CSTNode) -> str:
    """The text of a node, on one line."""
    return re.sub(r"\s+", " ", cst.Module([]).code_for_node(node)).strip()


def brief(node: cst.CSTNode) -> str:
    """The text of a node, short enough for a commit's first line."""
    text = code(node)
    return text if len(text) <= 48 else f"{text[:45]}…"


def same(one: cst.CSTNode, other: cst.CSTNode) -> bool:
    """True if two expressions read alike, parentheses aside."""
    return _bare(code(one)) == _bare(code(other))


def _bare(text: str) -> str:
    return text[1:-1] if text[:1] == "(" and text[-1:] == ")" and text.count("(") == 1 else text


def expression(template: str, **parts: cst.BaseExpression) -> cst.BaseExpression:
    """An expression from text with ``{part}`` holes; parts are parenthesised where they must be."""
    safe: dict[str, Any] = {name: atom(part) for name, part in parts.items()}
    return parse_template_expression(template, **safe)


def atom(node: cst.BaseExpression) -> cst.BaseExpression:
    """``node``, in parentheses unless it needs none anywhere."""
    simple = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.BaseNumber, cst.BaseString)
    if isinstance(node, simple) or node.lpar:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def plain_arguments(call: cst.Call) -> list[cst.BaseExpression]:
    """Positional arguments."""
    return [a.value for a in call.args if a.keyword is None and not a.star]


def argument(name: str, value: cst.BaseExpression) -> cst.Arg:
    """``name=value``, to be passed to a call."""
    tight = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    return cst.Arg(value, keyword=cst.Name(name), equal=tight)


def without_arguments(call: cst.Call, *names: str) -> cst.Call:
    """``call`` without its keyword arguments of these names."""
    kept = [a for a in call.args if a.keyword is None or a.keyword.value not in names]
    if kept and len(kept) < len(call.args):
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return call.with_changes(args=kept)


def keyword(call: cst.Call, name: str) -> cst.Arg | None:
    """The argument passed as ``name=``."""
    return next((a for a in call.args if a.keyword and a.keyword.value == name), None)


def number(node: cst.CSTNode) -> float | None:
    """The value of a numeric literal."""
    # Not `evaluated_value`, which makes a syntax tree: see `population.syntax.quiet_parser`.
    if isinstance(node, cst.Integer):
        return float(int(node.value, 0))
    return float(node.value) if isinstance(node, cst.Float) else None


def sole(line: cst.CSTNode) -> cst.BaseSmallStatement | None:
    """The statement of a line that holds just one."""
    if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
        return line.body[0]
    return None
