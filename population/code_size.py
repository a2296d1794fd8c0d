"""How much code a genome is: what simplicity is measured by. Pure."""

import ast
import functools

from population.canonical import drop_docstrings
from population.genome import Genome
from population.syntax import Unreadable, read_tree


@functools.lru_cache(maxsize=1024)
def code_size(genome: Genome) -> int:
    """Characters of the genome's files, comments, docstrings and layout aside.

    A file that does not parse counts with its text.
    """
    return sum(
        _characters(text) if path.endswith(".py") else len(text)
        for path, text in genome.files.items()
    )


def _characters(text: str) -> int:
    tree = read_tree(text)
    if isinstance(tree, Unreadable):
        return len(text)
    drop_docstrings(tree)
    try:
        return sum(len(line.strip()) for line in ast.unparse(tree).splitlines())
    except ValueError:  # an integer too long to be written in decimal
        return len(text)
