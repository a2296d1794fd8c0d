"""The operators of a run, by the names the settings call them."""

from agents import (
    Crossover,
    GuidedCrossover,
    KnobEdit,
    LiteralEdit,
    Operator,
    Sampler,
    StructureEdit,
    Tuner,
)


def built_in(sampler: Sampler = "tpe") -> dict[str, Operator]:
    """Operators that need no language model.

    Args:
        sampler: Of the tuner.
    """
    operators: list[Operator] = [
        KnobEdit(),
        Tuner(sampler),
        StructureEdit(),
        Crossover(),
        GuidedCrossover(),
        LiteralEdit(),
    ]
    return {operator.name: operator for operator in operators}
