"""Reading Python text without ever failing: a tree, or what is wrong with the text."""

import ast
import contextlib
import functools
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_CHARACTERS = 1_000_000
# Far beyond any model's source; keeps every walk over a tree clear of the recursion limit.
MAX_DEPTH = 150
#: How often a text is parsed before somebody else's parsing at the same moment is an error.
TRIES = 20
# Texts whose depth is remembered: each is read several times in a row, and a walk takes as long.
_KEPT_TEXTS = 64

# One counter of CPython's serves all threads that make syntax trees (python/cpython#106905), and
# so does one list of warning filters.
_PARSER = threading.Lock()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a text has no syntax tree.

    Attributes:
        rule: ``size`` or ``parse``.
        line: Where, from 1; 0 for the text as a whole.
        message: What was found, in one line.
    """

    rule: str
    line: int
    message: str


@contextmanager
def quiet_parser() -> Iterator[None]:
    """Python's parser for one thread; an odd escape in a genome is not our warning."""
    with _PARSER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_tree(text: str) -> ast.Module | Unreadable:
    """Parse ``text``; total over any text, nul bytes, deep nesting and huge files included."""
    if len(text) > MAX_CHARACTERS:
        return Unreadable("size", 0, f"{len(text)} characters, more than {MAX_CHARACTERS}")
    try:
        tree = _parsed(text)
    except SyntaxError as error:
        return Unreadable("parse", error.lineno or 0, f"not Python: {error.msg}")
    except ValueError as error:  # nul bytes, lone surrogates, enormous integers
        return Unreadable("parse", 0, f"not Python: {error}")
    except (RecursionError, MemoryError):
        return Unreadable("parse", 0, "nested too deeply for Python's parser")
    if not _is_shallow(text):
        return Unreadable("parse", 0, f"nested more than {MAX_DEPTH} levels deep")
    return tree


def _parsed(text: str) -> ast.Module:
    """The tree; again where another thread made one meanwhile that knows nothing of the lock.

    Libraries do: the text of a traceback has its syntax tree made. CPython then raises a
    SystemError of whichever tree is ready last, and that is all that is wrong with it.
    """
    for _ in range(TRIES - 1):
        with contextlib.suppress(SystemError), quiet_parser():
            return ast.parse(text)
    with quiet_parser():
        return ast.parse(text)


@functools.lru_cache(_KEPT_TEXTS)
def _is_shallow(text: str) -> bool:
    level: list[ast.AST] = [_parsed(text)]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False
