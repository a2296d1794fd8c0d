"""The operators of a run, by the names the settings call them."""

from agents import Crossover, GuidedCrossover, KnobEdit, LiteralEdit, Operator, StructureEdit


def built_in() -> dict[str, Operator]:
    """Operators that need no language model."""
    operators: list[Operator] = [
        KnobEdit(),
        StructureEdit(),
        Crossover(),
        GuidedCrossover(),
        LiteralEdit(),
    ]
    return {operator.name: operator for operator in operators}
