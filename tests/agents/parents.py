"""Parents for operators: real genomes with made-up commits."""

from pathlib import Path

from numpy.random import default_rng

from agents import Context, Parent
from population import Fitness, Genome, canonical_hash
from tests.builders import a_variant

TRAIN = (Path(__file__).parents[2] / "train.py").read_text(encoding="utf-8")


def a_parent(text: str = TRAIN, serial: int = 0, fitness: Fitness | None = None) -> Parent:
    genome = Genome.single(text)
    variant = a_variant(serial, genome_hash=canonical_hash(genome))
    return Parent(variant, genome, fitness)


def a_context(*texts: str, rng_seed: int = 0, **changes) -> Context:
    """A context whose parents have these texts, the fitter first; the baseline's if none."""
    parents = [a_parent(text, serial) for serial, text in enumerate(texts or (TRAIN,))]
    defaults = {
        "parents": parents,
        "baseline": Genome.single(TRAIN),
        "seen": frozenset(),
        "rng": default_rng(rng_seed),
    }
    return Context(**(defaults | changes))
