"""MetricReader: one number out of all that a script prints, whatever it prints beside it.

Reads the output as a stream, line by line, in bounded memory: where the log keeps head and tail
alone, nothing is missed here. Standard library only.
"""

import math
import re

_LINE_BYTES = 4096  # beyond, a line is no result but a dump; what follows its start is passed over
_ENDS = re.compile(rb"\r\n|\n|\r")
#: A number as scripts print it, NaN and infinity included: those are news, too.
NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|NaN|NAN|inf|Inf|INF))"


def usual_pattern(name: str) -> str:
    """Finds a line ``name: value`` or ``name = value``, and nothing else on it."""
    return rf"^\s*{re.escape(name)}\s*[:=]\s*{NUMBER}\s*$"


class MetricError(Exception):
    """The output gives no score; ``kind`` is a value of ``FailureClass``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class MetricReader:
    """Looks for the metric in every line of the output.

    Args:
        name: Of the metric, for messages.
        pattern: Finds the value in a line, in its one group; "" for a line ``name: value`` or
            ``name = value``.
        takes_last: True to take the last of several values; else different ones are refused.
    """

    def __init__(self, name: str, pattern: str, *, takes_last: bool) -> None:
        self._name = name
        self._wanted = f"the pattern {pattern}" if pattern else f"a line `{name}: NUMBER`"
        self._pattern = re.compile(pattern or usual_pattern(name))
        self._takes_last = takes_last
        self._partial = bytearray()
        self._line_count = 0
        self._found_count = 0
        self._first = ""
        self._latest = ""
        self._has_changed = False

    def feed(self, data: bytes) -> None:
        """Take in a piece of output."""
        *lines, rest = _ENDS.split(data)
        for line in lines:
            self._hold(line)
            self._end_line()
        self._hold(rest)

    def score(self) -> float:
        """The metric's value; call it once the output has ended.

        Raises:
            MetricError: It was never printed, is no finite number, or was printed differently.
        """
        self._end_line()
        if not self._found_count:
            raise MetricError(
                "contract",
                f"{self._name} was never printed: none of {self._line_count} lines of output fits "
                f"{self._wanted}",
            )
        if self._has_changed and not self._takes_last:
            raise MetricError(
                "contract",
                f"{self._name} appears {self._found_count} times with different values, first "
                f"{self._first}, last {self._latest}: print it once, or set "
                'pattern_use = "last" under [task]',
            )
        return self._value()

    def _value(self) -> float:
        try:
            value = float(self._latest)
        except ValueError:
            raise MetricError(
                "contract", f"{self._name} is no number: {self._latest!r:.60}"
            ) from None
        if not math.isfinite(value):
            raise MetricError("not_finite", f"{self._name} is {self._latest}")
        return value

    def _hold(self, piece: bytes) -> None:
        self._partial += piece[: max(0, _LINE_BYTES - len(self._partial))]

    def _end_line(self) -> None:
        from population.untrusted import plain  # a supervisor starts without our packages

        line = plain(self._partial.decode("utf-8", errors="replace"))
        self._partial.clear()
        if not line.strip():
            return
        self._line_count += 1
        found = self._pattern.search(line)
        if found is None or found[1] is None:
            return
        value = found[1].strip()[:64]
        self._found_count += 1
        self._first = self._first or value
        self._has_changed |= value != (self._latest or value)
        self._latest = value
