"""Why a trainer ended without a score: its exit and the end of its log, as a failure class.

The classes are the values of ``population.FailureClass``, as text: this module is part of the
supervisor, which imports the standard library only.
"""

import re
import signal
from pathlib import Path

_RAISED = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning))\b:?.*$")
_PATTERNS = (
    (
        "out_of_memory",
        re.compile(
            r"^MemoryError\b|OutOfMemoryError|out of memory|can't allocate memory"
            r"|cannot allocate memory|std::bad_alloc|CUBLAS_STATUS_ALLOC_FAILED",
            re.IGNORECASE,
        ),
    ),
    ("import_error", re.compile(r"^(ModuleNotFoundError|ImportError)\b")),
    ("contract", re.compile(r"^The model's logits have shape\b")),
    ("harness", re.compile(r"^The (prepared data|data) in \S+ (is not as it was made|has hash)\b")),
    (
        "not_finite",
        re.compile(r"^(FloatingPointError)\b|not finite|non-finite|\bloss (is|was) nan", re.I),
    ),
)
_LINE_LENGTH = 300


def classify(exit_code: int, log_tail: str, *, was_oom_killed: bool = False) -> tuple[str, str]:
    """The failure class of a trainer that ended by itself, and one line that says why.

    Args:
        exit_code: Its code, or minus the signal.
        log_tail: The last lines it printed.
        was_oom_killed: True if the kernel killed something for memory while it ran.
    """
    last_words = _last_words(log_tail)
    if exit_code == -signal.SIGKILL and was_oom_killed:
        return "out_of_memory", "the kernel killed the trainer: the machine ran out of memory"
    if exit_code == 0:
        return "contract", "the trainer ended without handing in a score"
    for kind, pattern in _PATTERNS:
        if any(pattern.search(line) for line in last_words):
            return kind, _line(last_words)
    if exit_code < 0:
        return "killed", f"the trainer was ended by {_signal_name(-exit_code)}"
    nothing = f"the trainer left with exit code {exit_code} and printed nothing"
    return "error", _line(last_words) or nothing


def oom_kill_count() -> int:
    """How often the kernel has killed for memory since it started; 0 where it does not say."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _last_words(log_tail: str) -> list[str]:
    """The exception that ended it, as printed; the last lines when none was."""
    lines = [line for line in log_tail.splitlines() if line.strip()][-40:]
    for index in range(len(lines) - 1, -1, -1):
        if _RAISED.match(lines[index]):
            return lines[index:][:5]
    return lines[:-6:-1]  # the very last first


def _line(lines: list[str]) -> str:
    return lines[0].strip()[:_LINE_LENGTH] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
