"""Fields of an answer that is no genome: lists, texts, numbers, whatever stands there. Total."""

from collections.abc import Mapping

from agents.answers import arguments_of, number_of
from agents.model import Reply, Tool
from agents.replacements import Refused
from population.records import Json

Arguments = Mapping[str, Json]


def handed_in(reply: Reply, answer: Tool) -> Arguments | Refused:
    """What a reply gives the answer's tool, or why that is nothing."""
    found = arguments_of(reply, answer)
    if found is None:
        return Refused(f"the reply neither uses {answer.name} nor is the JSON that it takes")
    return found


def listed(arguments: Json, key: str) -> list[Json]:
    """A list of an object; empty where there is none."""
    found = arguments.get(key) if isinstance(arguments, Mapping) else None
    return list(found) if isinstance(found, list | tuple) else []


def worded(arguments: Json, key: str) -> str:
    """A text of an object; empty where there is none."""
    found = arguments.get(key) if isinstance(arguments, Mapping) else None
    return found if isinstance(found, str) else ""


def numbered(arguments: Json, key: str) -> float | None:
    """A finite number of an object; None where there is none."""
    return number_of(arguments.get(key)) if isinstance(arguments, Mapping) else None
