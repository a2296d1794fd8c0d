"""Summary: the ``name: value`` lines a genome prints after ``---``. Reading is total."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_RULE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_PAIR = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*:[ \t]*(\S+)[ \t]*")


@dataclass(frozen=True)
class Summary:
    """What one training printed of itself.

    Attributes:
        values: Numbers by name, in order of printing; read-only, every one of them finite.
    """

    values: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @property
    def val_bpb(self) -> float:
        """The score, as printed."""
        return self.values["val_bpb"]


def read_summary(text: str) -> Summary | None:
    """Read the last block after a line ``---``; None unless it holds a finite ``val_bpb``.

    Lines that are no ``name: number`` are passed over; of a name printed twice the last counts.
    """
    # Progress bars end lines with a bare carriage return.
    parts = _RULE.split(re.sub(r"\r\n?", "\n", text))
    if len(parts) < 2:
        return None
    values: dict[str, float] = {}
    for line in parts[-1].split("\n"):
        pair = _PAIR.fullmatch(line)
        if pair is None:
            continue
        values.pop(pair[1], None)
        number = _finite(pair[2])
        if number is not None:
            values[pair[1]] = number
    return Summary(values) if "val_bpb" in values else None


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
