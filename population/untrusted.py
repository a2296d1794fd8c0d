"""What genomes and models wrote, made fit to be shown: the one home of that.

A log line, a failure's message, the name of a scalar, a hypothesis: any of these may hold a
command to a terminal, text that nobody sees, or words that pretend to be ours. So nothing of it
reaches a prompt, a terminal or a page but through here: bounded, without control, format and
invisible characters, and in prompts fenced as data. Pure; imports nothing of the project, so that
a supervisor can load it in no time.
"""

import re

#: Characters of a text that stands in a prompt or on a screen as a block.
BLOCK_LIMIT = 20_000
#: Characters of a text that stands on one line.
LINE_LIMIT = 200

# Whole commands to a terminal. One that never ends takes its line, and not what follows.
_COMMANDS = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]P_^X]|[\x9d\x90\x9f\x9e\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS …
    r"|\x1b[ -/]*[0-~]?"
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Unicode's control, format and surrogate characters, and letters and marks that have no shape:
# zero-width ones, those that turn the direction of text, variation selectors, tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def plain(text: str, limit: int | None = None) -> str:
    """``text`` with nothing in it that a terminal obeys or people do not see.

    New lines and tabs stay, every other break of a line becomes a new line.

    Args:
        text: Any.
        limit: Characters at most; of a longer text the middle is left out, and said to be. None
            for a text that is bounded already.
    """
    shown = _UNSEEN.sub("", _BREAKS.sub("\n", _COMMANDS.sub("", text)))
    return shown if limit is None else _bounded(shown, limit)


def one_line(text: str, limit: int | None = LINE_LIMIT) -> str:
    """The same on one line, cut at ``limit`` characters."""
    line = " ".join(plain(text).split())
    return line if limit is None or len(line) <= limit else f"{line[: max(0, limit - 1)]}…"[:limit]


def fenced(text: str, kind: str = "", limit: int | None = BLOCK_LIMIT) -> str:
    """``text`` as data for a prompt, in a fence of backticks that nothing in it can close.

    Args:
        text: Any.
        kind: What it is, as Markdown names it: ``python``, ``diff``.
        limit: As for ``plain``.
    """
    data = plain(text, limit)
    longest = max((len(run) for run in re.findall("`+", data)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if data.endswith("\n") else "\n"
    return f"{fence}{kind}\n{data}{end}{fence}"


def _bounded(text: str, limit: int) -> str:
    """The head and the end of a text: what failed stands in the end as a rule."""
    if len(text) <= limit:
        return text
    mark = f"\n[… {len(text)} characters, the middle is left out …]\n"
    room = limit - len(mark)
    if room <= 0:
        return text[:limit]
    head = room // 3
    return f"{text[:head]}{mark}{text[len(text) - (room - head) :]}"
