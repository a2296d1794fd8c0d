"""Room: sections of a prompt within a number of tokens, in a stated order of what stays. Pure.

What a section holds is the caller's business; here it is fenced, counted and cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.tokens import BYTES_PER_TOKEN
from population import fenced

_GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of ours and entries of data.

    Attributes:
        title: One line of ours, without a full stop.
        entries: The most important first.
        is_reversed: The most important is shown last, as in a story.
        is_blocks: Each entry is a text of ours that fences its data itself; else all entries are
            lines, and stand in one fence.
    """

    title: str
    entries: Sequence[str]
    is_reversed: bool = False
    is_blocks: bool = False

    def shown(self, count: int) -> str:
        """The section with its first ``count`` entries; nothing with none."""
        if count <= 0:
            return ""
        taken = list(self.entries[:count])
        if self.is_reversed:
            taken.reverse()
        left = len(self.entries) - len(taken)
        title = f"{self.title} ({left} more are left out)" if left else self.title
        data = _GAP.join(taken) if self.is_blocks else fenced("\n".join(taken), limit=None)
        return f"{title}:{_GAP}{data}"


def fitted(
    sections: Mapping[str, Section], order: Sequence[tuple[str, int]], tokens: int
) -> tuple[str, dict[str, int]]:
    """The sections, in their order, with as many entries as there is room for.

    Args:
        sections: By name, in the order they are shown in.
        order: What stays: a section's name, and up to how many of its entries. Entries are taken
            in this order until one does not fit; from there on all are left out, so that with less
            room the last of the order go first.
        tokens: Room, as ``agents.tokens`` estimates it.

    Returns:
        The text, and how many entries of each section it has.
    """
    room = tokens * BYTES_PER_TOKEN
    counts = dict.fromkeys(sections, 0)
    sizes = dict.fromkeys(sections, 0)
    for name, most in order:
        section = sections[name]
        for count in range(counts[name] + 1, min(most, len(section.entries)) + 1):
            size = len((section.shown(count) + _GAP).encode("utf-8", "surrogatepass"))
            # The gap after the last section is counted, too: a little room is given away.
            if sum(sizes.values()) - sizes[name] + size > room:
                return _joined(sections, counts), counts
            counts[name], sizes[name] = count, size
    return _joined(sections, counts), counts


def _joined(sections: Mapping[str, Section], counts: Mapping[str, int]) -> str:
    shown = (section.shown(counts[name]) for name, section in sections.items())
    return _GAP.join(text for text in shown if text)
