"""Commit messages: a subject people can scan, the full text, and trailers git can read. Pure."""

import re
import textwrap
from collections.abc import Mapping

from population import untrusted

_WIDTH = 72
_TRAILER_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*", re.ASCII)


def one_line(text: str) -> str:
    """``text`` on a single line, whole: a message is bounded by who makes it."""
    return untrusted.one_line(text, None)


def commit_message(hypothesis: str, trailers: Mapping[str, str], body: str = "") -> str:
    """The message of a variant's commit.

    The subject is the hypothesis, cut at a word if it is long; then the whole of it follows in
    the body. Trailers come last, one a line, as git's own rules want them; empty ones are left
    out.

    Raises:
        ValueError: A trailer's key is more than letters, digits and hyphens.
    """
    line = one_line(hypothesis) or "no hypothesis"
    subject = line if len(line) <= _WIDTH else _cut(line)
    paragraphs = [subject]
    if subject != line:
        paragraphs.append(_wrapped(line))
    paragraphs += [_wrapped(one_line(part)) for part in re.split(r"\n\s*\n", body) if part.strip()]
    lines = [_trailer(key, value) for key, value in trailers.items() if one_line(value)]
    # Git takes a last paragraph of "Key: value" lines for trailers; ours must be that paragraph.
    paragraphs.append("\n".join(lines) if lines else _not_trailers(paragraphs))
    return "\n\n".join(part for part in paragraphs if part) + "\n"


def _cut(line: str) -> str:
    kept = line[: _WIDTH - 1]
    at_word = kept.rpartition(" ")[0] if line[_WIDTH - 1] != " " else kept
    # One endless word is cut where it stands.
    return (at_word if len(at_word) > _WIDTH // 2 else kept).rstrip(" ,;:.-") + "…"


def _wrapped(paragraph: str) -> str:
    text = textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
    # At the start of a line these end a message, or begin another, for some of git's commands.
    return re.sub(r"(?m)^(?=---|>*From |diff -|Index: )", " ", text)


def _trailer(key: str, value: str) -> str:
    if not _TRAILER_KEY.fullmatch(key):
        raise ValueError(f"the trailer key {key!r} is more than letters, digits and hyphens")
    return f"{key}: {one_line(value)}"


def _not_trailers(paragraphs: list[str]) -> str:
    return "(no trailers)" if len(paragraphs) > 1 and ":" in paragraphs[-1] else ""
