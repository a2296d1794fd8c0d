"""The operators of a run, by the names the settings call them."""

from agents import Crossover, KnobEdit, LiteralEdit, Operator, StructureEdit


def built_in() -> dict[str, Operator]:
    """Operators that need no language model."""
    operators: list[Operator] = [KnobEdit(), StructureEdit(), Crossover(), LiteralEdit()]
    return {operator.name: operator for operator in operators}
