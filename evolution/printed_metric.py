"""What number a script prints about itself, read from its text without running it (pure).

Looks for calls of ``print`` that write ``name: value`` or ``name = value``, and picks the one that
most looks like what is measured on held-out data at the end.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_VALUE = "\0"  # stands for whatever is filled in
_PERCENT = re.compile(r"%[-+ #0-9.]*[a-zA-Z]")
_BRACES = re.compile(r"\{[^{}]*\}")
_PAIR = re.compile(
    rf"(?:^|(?<=[\s,;|(\[{{]))([A-Za-z][\w./-]*(?: [A-Za-z][\w./-]*)?)\s*([:=])\s*{_VALUE}"
)
_HELD_OUT = re.compile(r"val|test|valid|held|eval|dev|cv", re.IGNORECASE)
_QUALITY = re.compile(
    r"loss|err|acc|auc|rmse|mse|mae|bpb|perplex|ppl|nll|f1|r2|score|reward|return|precision|recall",
    re.IGNORECASE,
)
_MORE_IS_BETTER = re.compile(
    r"acc|auc|f1|r2|score|precision|recall|reward|return|bleu|rouge|iou|dice|correct|hit|win",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PrintedMetric:
    """A number that a script prints.

    Attributes:
        name: As the settings call it.
        line: Of the script, from 1.
        pattern: Finds it in the output; "" where the usual pattern does.
        is_repeated: True if it stands in a loop or in a function: it may be printed many times.
    """

    name: str
    line: int
    pattern: str
    is_repeated: bool

    @property
    def is_maximized(self) -> bool:
        """True if more of it seems to be better."""
        return bool(_MORE_IS_BETTER.search(self.name))

    def worth(self) -> tuple[bool, bool, bool, int]:
        """How likely it is the one that is meant."""
        held_out, quality = bool(_HELD_OUT.search(self.name)), bool(_QUALITY.search(self.name))
        return (held_out, quality, not self.is_repeated, -self.line if held_out else self.line)


def printed_metrics(text: str) -> list[PrintedMetric]:
    """Every number that a script prints by name, the likeliest score first."""
    tree = ast.parse(text)
    found = list(_in_prints(tree, in_loop=False))
    return sorted(found, key=PrintedMetric.worth, reverse=True)


def _in_prints(node: ast.AST, *, in_loop: bool) -> Iterator[PrintedMetric]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Call(func=ast.Name(id="print"), args=arguments):
                yield from _metrics_of(" ".join(map(_template, arguments)), child.lineno, in_loop)
        repeats = isinstance(child, ast.For | ast.While | ast.AsyncFor)
        yield from _in_prints(child, in_loop=in_loop or repeats)


def _metrics_of(template: str, line: int, in_loop: bool) -> Iterator[PrintedMetric]:
    for row in template.split("\n"):
        for pair in _PAIR.finditer(row):
            words, mark = pair[1], pair[2]
            name = re.sub(r"[^A-Za-z0-9_./-]+", "_", words)
            alone = row[pair.start(1) : pair.end()]
            is_alone = name == words and row.strip() == alone
            pattern = rf"(?:^|\W){_escaped(words)}\s*{mark}\s*([-+.\w]+)"
            yield PrintedMetric(name, line, "" if is_alone else pattern, in_loop)


def _escaped(words: str) -> str:
    return re.escape(words).replace(r"\ ", " ")


def _template(node: ast.expr) -> str:
    """What an argument of ``print`` writes, with a mark for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_template(part) for part in parts)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return _PERCENT.sub(_VALUE, text)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _template(left) + _template(right)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return _BRACES.sub(_VALUE, text)
    return _VALUE
