"""The static gate: what no honest genome has in its text, found before any box is built. Pure.

A cheap first filter, and never the defence: whoever wants to pass it can. What a genome does is
contained by boxes, and what it claims is audited by the scorer. The gate saves the cost of both
where a look is enough, and tells an author in words what was wrong.

Limits are far from honest code. Measured over the shipped genome and all seeds: at most
0 characters of packed text in a file (256 in a statement and 1,024 in a file are refused), 15
numbers in a statement (128), 830 characters in one literal (4,000), integers below 64 bits (256).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from population.contract import Problem

#: Characters of packed text that one statement, and one file, may hold.
STATEMENT_PACKED, FILE_PACKED = 256, 1_024
#: Characters of one literal, whatever they say: text that was learnt by heart is text, too.
LONGEST_LITERAL = 4_000
#: Characters of all literals and comments of a file; the shipped genome has 5,939, seeds 6,078.
MOST_WORDS = 16_000
#: Numbers that one statement may list, and bits of one of them.
MOST_NUMBERS, MOST_BITS = 128, 256

# A word of base64, hexadecimal or decimal digits: long, and letters and digits in one.
_WORD = re.compile(r"\S{16,}")
_DIGIT = re.compile(r"\d")
_ODD = re.compile(r"[^\t\n\r -~]")
_PROTOCOL = re.compile(r"EVORESEARCH_|/proc/|\b(?:validation|test|train)\.bin\b")
_CODE = frozenset({"exec", "eval", "compile", "globals", "breakpoint", "__builtins__"})
_INNARDS = frozenset(
    """
    __builtins__ __code__ __closure__ __globals__ __import__ __loader__ __mro__
    __reduce__ __reduce_ex__ __spec__ __subclasses__ _current_frames _getframe
    addaudithook cr_frame f_back f_builtins f_globals f_locals gi_frame meta_path
    path_hooks tb_frame
    """.split()  # noqa: SIM905 - a list of words
)
_DOTTED = frozenset(
    """
    gc.get_objects gc.get_referents gc.get_referrers inspect.currentframe
    inspect.getouterframes inspect.stack inspect.trace sys.modules sys.setprofile
    sys.settrace threading.setprofile threading.settrace
    """.split()  # noqa: SIM905 - a list of words
)


def gate_problems(tree: ast.Module, text: str) -> Iterator[Problem]:
    """What is refused in one file of a genome, its tree and its text, in no order."""
    yield from _words(text)
    bound, documentation = _bound_names(tree), _documentation(tree)
    yield from _blobs(tree, documentation)
    for node in ast.walk(tree):
        yield from _dynamic(node, bound)
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield from _protocol(node)


def _blobs(tree: ast.Module, documentation: frozenset[int]) -> Iterator[Problem]:
    in_file = 0
    for statement in (node for node in ast.walk(tree) if isinstance(node, ast.stmt)):
        packed = numbers = 0
        for node in _own_nodes(statement):
            if not isinstance(node, ast.Constant):
                continue
            value = node.value
            if isinstance(value, str | bytes):
                packed += packed_count(value)
                if len(value) > LONGEST_LITERAL and id(node) not in documentation:
                    yield Problem(
                        "blob",
                        node.lineno,
                        f"a literal of {len(value)} characters, {LONGEST_LITERAL} may be: a model "
                        "learns from the training data alone",
                    )
            elif isinstance(value, int | float | complex) and not isinstance(value, bool):
                numbers += 1
                if isinstance(value, int) and value.bit_length() > MOST_BITS:
                    yield Problem(
                        "blob",
                        node.lineno,
                        f"a number of {value.bit_length()} bits, {MOST_BITS} may be: no data are "
                        "packed into a genome",
                    )
        in_file += packed
        if packed > STATEMENT_PACKED:
            yield Problem(
                "blob",
                statement.lineno,
                f"{packed} characters of packed data, {STATEMENT_PACKED} may be: a genome is code, "
                "and learns its weights in training",
            )
        if numbers > MOST_NUMBERS:
            yield Problem(
                "table",
                statement.lineno,
                f"a table of {numbers} numbers, {MOST_NUMBERS} may be: compute them, or learn them",
            )
    if in_file > FILE_PACKED:
        yield Problem(
            "blob",
            0,
            f"{in_file} characters of packed data in the file, {FILE_PACKED} may be: a genome is "
            "code, and learns its weights in training",
        )


def _words(text: str) -> Iterator[Problem]:
    """A file that holds a book: its literals and comments are a book's, no program's."""
    count = words_count(text) if len(text) > MOST_WORDS else 0
    if count > MOST_WORDS:
        yield Problem(
            "blob",
            0,
            f"{count} characters of literals and comments, {MOST_WORDS} may be in a file: a model "
            "learns from the training data alone",
        )


def words_count(text: str) -> int:
    """Characters of all literals and comments: what a file says beside what it does."""
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1))
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return len(text)  # Python's own parser is more lenient here: count all of it
    return sum(len(token.string) for token in tokens if token.type in kinds)


def packed_count(value: str | bytes) -> int:
    """Characters of a literal that look like data: base64, digits, or bytes nobody writes."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    odd_count = len(_ODD.findall(text))
    if odd_count > 16 and odd_count * 8 > len(text):
        return len(text)
    words = _WORD.findall(text)
    return sum(len(word) for word in words if len(_DIGIT.findall(word)) * 16 >= len(word))


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Expressions of a statement: those of the statements inside it are theirs."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]


def _dynamic(node: ast.AST, bound: frozenset[str]) -> Iterator[Problem]:
    found: str | None = None
    match node:
        case ast.Name(id=name) if name in _CODE and name not in bound:
            found = name
        case ast.Attribute(attr=name) if name in _INNARDS:
            found = name
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if f"{owner}.{name}" in _DOTTED:
            found = f"{owner}.{name}"
        case ast.ImportFrom(module=str(owner), names=names):
            wanted = (f"{owner}.{alias.name}" for alias in names)
            found = next((n for n in wanted if n in _DOTTED or n.split(".")[-1] in _INNARDS), None)
        case ast.Call(func=ast.Name(id="getattr" | "vars"), args=[target, *rest]):
            found = _reached(target, rest)
    if found is not None:
        yield Problem(
            "dynamic",
            getattr(node, "lineno", 0),
            f"{found}: a genome is what its text says; it neither makes code as it runs nor "
            "reaches into the interpreter",
        )


def _reached(target: ast.expr, rest: list[ast.expr]) -> str | None:
    """What a ``getattr`` gets at that may not be named."""
    match target, rest:
        case ast.Name(id="builtins" | "__builtins__" as name), _:
            return name
        case _, [ast.Constant(value=str(name)), *_] if name in _INNARDS:
            return name
        case ast.Name(id=owner), [ast.Constant(value=str(name)), *_]:
            return f"{owner}.{name}" if f"{owner}.{name}" in _DOTTED else None
    return None


def _protocol(node: ast.Constant) -> Iterator[Problem]:
    value = node.value
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    found = _PROTOCOL.search(text) if isinstance(text, str) else None
    if found is not None:
        yield Problem(
            "protocol",
            node.lineno,
            f"names {found[0]}: the harness's own business. Data come from make_dataloader() alone",
        )


def _bound_names(tree: ast.Module) -> frozenset[str]:
    """Names that the file gives a meaning of its own, such as its own ``compile``."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.ImportFrom(names=names):
                bound.update(alias.asname or alias.name for alias in names)
    return frozenset(bound)


def _documentation(tree: ast.Module) -> frozenset[int]:
    """Identities of the texts that stand alone as statements: they say, and do nothing."""
    return frozenset(
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
