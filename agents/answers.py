"""Answers: what a model hands in by an answer's tool, or as the same JSON in words. Total, pure.

A model that thinks cannot be made to use a tool, and a coding agent has none of ours; so an object
in the reply's text is read, too. Nothing here trusts the form: each reader takes what fits.
"""

import json
import math
from collections.abc import Mapping

from agents.model import Reply, Tool
from agents.replacements import Refused
from population.records import Json

Arguments = Mapping[str, Json]

_READ_CHARACTERS = 200_000
_OPENINGS = 200


def arguments_of(reply: Reply, answer: Tool) -> Arguments | Refused:
    """What was handed in, or why nothing was."""
    use = reply.use_of(answer)
    found = use.arguments if use is not None else _json_in(reply.text, _properties(answer))
    if found is None:
        return Refused(f"the reply neither uses {answer.name} nor is the JSON that it takes")
    return found


def listed(arguments: Arguments, key: str) -> list[Json]:
    """A list among the arguments; empty where there is none."""
    found = arguments.get(key)
    return list(found) if isinstance(found, list | tuple) else []


def worded(arguments: Json, key: str) -> str:
    """A text of an object; empty where there is none."""
    found = arguments.get(key) if isinstance(arguments, Mapping) else None
    return found if isinstance(found, str) else ""


def numbered(arguments: Json, key: str) -> float | None:
    """A finite number of an object; None where there is none."""
    found = arguments.get(key) if isinstance(arguments, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _properties(answer: Tool) -> frozenset[str]:
    found = answer.parameters.get("properties")
    return frozenset(found) if isinstance(found, Mapping) else frozenset()


def _json_in(text: str, keys: frozenset[str]) -> Arguments | None:
    """The last object in ``text`` that has one of the keys."""
    decoder, text = json.JSONDecoder(), text[-_READ_CHARACTERS:]
    found: Arguments | None = None
    place = -1
    for _ in range(_OPENINGS):
        place = text.find("{", place + 1)
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if keys & value.keys():
            found, place = value, end - 1
    return found
