"""Survey: what a text looks like once it is split into parts, and what of it leaks (pure).

A copy of a document always falls into the part of the original, by the ruler's rule. What is not
a copy to the byte may fall anywhere; so the survey looks for runs of `RUN` words of the validation
part that the training part has, too (13 words: after Brown et al. 2020, "Language models are
few-shot learners", appendix C). One run in eight is looked at, chosen by its first word, so that
the same runs are chosen everywhere.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: Words of a run; characters, in text that is not written in words.
RUN, _RUN_CHARACTERS = 13, 40
_SAMPLED = 8
#: Characters between two blanks from which a text is not taken to be written in words.
_NO_WORDS = 25
#: Control characters, in a thousand, from which a document is no text.
_CONTROL_PER_MILLE = 10
_CONTROLS = frozenset(map(chr, range(32))) - set("\t\n\r\f") | {"\x7f", "\ufffd"}


@dataclass(frozen=True, slots=True)
class Survey:
    """What was counted. Documents are counted whole, before any is cut.

    Attributes:
        document_count: Documents in all.
        bytes: UTF-8 bytes by part.
        filled: By part, its documents or blocks that are not empty.
        empty_count: Documents of nothing but blanks.
        copy_count: Documents that are there already.
        binary_count: Documents with more control characters than a text has.
        largest_share: Bytes of the largest document, as a share of all.
        overlap: Share of the validation part's runs that the training part has, too; None if it
            has no run.
    """

    document_count: int
    bytes: Mapping[str, int]
    filled: Mapping[str, int]
    empty_count: int
    copy_count: int
    binary_count: int
    largest_share: float
    overlap: float | None

    @property
    def total_bytes(self) -> int:
        """Of all parts."""
        return sum(self.bytes.values())


def survey(documents: Sequence[str], parts: Mapping[str, Sequence[str]]) -> Survey:
    """Look at a split text.

    Args:
        documents: As they were before the split.
        parts: What fell into ``train``, ``validation`` and ``test``: documents, or blocks of them.
    """
    sizes = [_size(text) for text in documents]
    told = [text for text in documents if text.strip()]
    return Survey(
        document_count=len(documents),
        bytes={part: sum(map(_size, texts)) for part, texts in parts.items()},
        filled={part: sum(map(bool, texts)) for part, texts in parts.items()},
        empty_count=len(documents) - len(told),
        copy_count=len(told) - len(set(told)),
        binary_count=sum(map(is_binary, documents)),
        largest_share=max(sizes, default=0) / max(1, sum(sizes)),
        overlap=overlap(parts.get("train", ()), parts.get("validation", ())),
    )


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def is_binary(text: str) -> bool:
    """True if a document has more control characters than a text has."""
    controls = sum(text.count(character) for character in _CONTROLS)
    return 1000 * controls > _CONTROL_PER_MILLE * len(text)


def overlap(train: Sequence[str], validation: Sequence[str]) -> float | None:
    """Share of the validation part's runs that the training part has; None without a run."""
    sought = {run for text in validation for run in _runs(text)}
    if not sought:
        return None
    found = {run for text in train for run in _runs(text) if run in sought}
    return len(found) / len(sought)


def _runs(text: str) -> Iterator[int]:
    """Hashes of the chosen runs of a document; case does not count."""
    words: Sequence[str] = text.lower().split()
    length = RUN
    if words and len(text) / len(words) > _NO_WORDS:
        words, length = "".join(words), _RUN_CHARACTERS
    chosen: dict[str, bool] = {}
    for start in range(len(words) - length + 1):
        first = words[start]
        if first not in chosen:
            code = zlib.crc32(first.encode("utf-8", "surrogatepass"))
            chosen[first] = code % _SAMPLED == 0
        if chosen[first]:
            yield hash(tuple(words[start : start + length]))
