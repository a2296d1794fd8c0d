"""Which file of a genome an operator works on."""

from numpy.random import Generator

from population import Genome


def drawn_file(genome: Genome, rng: Generator) -> str:
    """One of the genome's Python files, drawn by its number of lines; an only one needs no draw."""
    paths = genome.sources
    if len(paths) < 2:
        return paths[0] if paths else genome.entry
    lines = [1 + genome.files[path].count("\n") for path in paths]
    return str(rng.choice(paths, p=[count / sum(lines) for count in lines]))
