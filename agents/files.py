"""Which file of a genome an operator works on; knobs of several files."""

from collections.abc import Mapping

from numpy.random import Generator

from population import Genome, KnobValue, knobs, set_knobs

#: Where a knob stands: path of its file, and name.
Place = tuple[str, str]


def drawn_file(genome: Genome, rng: Generator) -> str:
    """One of the genome's Python files, drawn by its number of lines; an only one needs no draw."""
    paths = genome.sources
    if len(paths) < 2:
        return paths[0] if paths else genome.entry
    lines = [1 + genome.files[path].count("\n") for path in paths]
    return str(rng.choice(paths, p=[count / sum(lines) for count in lines]))


def knobs_by_place(genome: Genome) -> dict[Place, KnobValue]:
    """The knobs of all files of a genome."""
    return {
        (path, name): value
        for path in genome.sources
        for name, value in knobs(genome.files[path]).items()
    }


def with_knobs(genome: Genome, values: Mapping[Place, KnobValue]) -> Genome:
    """A genome with other values of knobs, in any of its files.

    Raises:
        GenomeError: It has no such knob, or a value has no literal.
    """
    for path in sorted({path for path, _ in values}):
        changes = {name: value for (where, name), value in values.items() if where == path}
        genome = genome.with_file(path, set_knobs(genome.files[path], changes))
    return genome
