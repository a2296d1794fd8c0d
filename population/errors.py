"""EvolveError: a user's mistake or a refusal. The command line prints it; nothing here does."""

import difflib
from collections.abc import Iterable


class EvolveError(Exception):
    """What was found, what was needed, what to do next, in that order.

    The command line prints the text alone and leaves with `exit_code`: 2 for usage and settings,
    1 where a run was under way and failed. Anything that is not an EvolveError is a bug and keeps
    its traceback.
    """

    exit_code: int = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word most like ``word``, as a question; where none is like it, all there are."""
    words = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known are: {', '.join(words[:40])}{', …' if len(words) > 40 else ''}."
