import ast
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from population.syntax import Unreadable, read_tree

TEXT = (Path(__file__).parents[2] / "train.py").read_text(encoding="utf-8")


def reads(depth):
    """Trees, read so many calls deep: left to itself, CPython 3.11 mixes up threads' depths."""
    if depth:
        return reads(depth - 1)
    return [isinstance(read_tree(TEXT), Unreadable) for _ in range(4)]


def test_threads_may_read_trees_at_once():
    def let_another_go(*_):
        time.sleep(0.0001)

    gc.callbacks.append(let_another_go)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = [is_lost for row in pool.map(reads, range(8)) for is_lost in row]
    finally:
        gc.callbacks.remove(let_another_go)
    assert found == 32 * [False]


def test_a_tree_that_a_library_in_another_thread_spoilt_is_made_again(monkeypatch):
    parse, spoilt = ast.parse, []

    def sometimes(text):
        if len(spoilt) < 3:
            spoilt.append(text)
            raise SystemError("AST constructor recursion depth mismatch (before=183, after=82)")
        return parse(text)

    monkeypatch.setattr("population.syntax.ast.parse", sometimes)
    assert isinstance(read_tree("x = 1  # nobody read this before"), ast.Module)
    assert len(spoilt) == 3
