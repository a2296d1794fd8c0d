"""JSON from outside, read only as deep as anything that is asked for goes. Pure.

Each level of it would be a call in whatever walks it later: what is nested without end would end
the program.
"""

import json
from collections.abc import Mapping, Sequence

from population.records import Json

#: Lists and objects within one another; no answer, and no protocol, needs a tenth of it.
DEPTH = 50


def read_json(text: str | bytes) -> Json:
    """What ``text`` says.

    Raises:
        ValueError: It is no JSON, or nested deeper than ``DEPTH``.
    """
    try:
        value: Json = json.loads(text)
    except RecursionError:
        raise ValueError(f"the JSON is nested deeper than {DEPTH}") from None
    if is_deep(value):
        raise ValueError(f"the JSON is nested deeper than {DEPTH}")
    return value


def is_deep(value: Json) -> bool:
    """True if lists and objects of ``value`` stand in one another more than ``DEPTH`` times."""
    level = [value]
    for _ in range(DEPTH + 1):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: Json) -> Sequence[Json]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
