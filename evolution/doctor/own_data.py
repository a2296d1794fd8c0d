"""The user's own text: can it be read, how would it be split, and what is wrong with it?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolution.doctor.finding import Finding, Level
from evolution.profiles import Profile
from evolution.ruler import OwnText, Ruler
from evolution.survey import RUN, Survey, survey
from population import Budget, BudgetKind, EvolveError

_TEXT = (".txt", ".jsonl", ".parquet")
_PARTS = ("train", "validation", "test")
_REMEDY = f"--data takes files that end in {', '.join(_TEXT)}, or folders of them."
#: Characters up to which a text is read through here, and with `--quick`; of a longer one the
#: beginning of each file is looked at.
MOST_CHARS, QUICK_CHARS = 50_000_000, 5_000_000
_FEWEST_BYTES = 1_000_000
#: Bytes of a token: 3.0 of English with 1,024 tokens, and more with a larger vocabulary.
_BYTES_PER_TOKEN = 3.0
#: Tokens a trial learns from, by second of its budget. cpu: about 70 steps of 1,024 in nine
#: CPU-seconds (docs/log.md, 2026-11-23). wall: 499.6 million in 300 s on an H100, as autoresearch
#: publishes; a smaller card reads fewer.
_TOKENS_PER_SECOND = {BudgetKind.CPU: 70 * 1024 / 9, BudgetKind.WALL: 499.6e6 / 300}
#: Up to four passes over a text teach nearly as much as new text would (Muennighoff et al. 2023,
#: "Scaling data-constrained language models").
_MOST_PASSES = 4.0
_MOST_OVERLAP, _LARGE_SHARE = 0.1, 0.5


def own_data_finding(
    paths: Sequence[Path],
    ruler: Ruler,
    profile: Profile,
    budget_amount: float = 0.0,
    *,
    most_chars: int = MOST_CHARS,
) -> Finding:
    """Whether a text can be read, what it would be split into, and what is wrong with it.

    Args:
        paths: Files, or folders of them.
        ruler: Splits it as a run would.
        profile: Its sizes.
        budget_amount: Of one trial, from the settings; 0 for the profile's.
        most_chars: Characters to read at most.
    """
    files = list(_files(paths))
    facts: dict[str, Any] = {"paths": [str(path) for path in paths], "files": len(files)}
    if not files:
        return Finding("data", Level.PROBLEM, "your folders hold no text", _REMEDY, facts)
    unreadable = next(filter(None, map(_unreadable, files)), None)
    if unreadable is not None:
        return Finding("data", Level.PROBLEM, unreadable, _REMEDY, facts)
    total = sum(file.stat().st_size for file in files)
    facts["megabytes"] = round(total / 1e6, 3)
    words = f"your own: {_many(len(files), 'file')}, {total / 1e6:.1f} MB"
    if not ruler.shows_documents:
        words += "; this prepare.py does not tell how it would split them"
        return Finding("data", Level.OK, words, facts=facts)
    try:
        text = ruler.own_text(paths, most_chars)
    except EvolveError as error:
        return Finding("data", Level.PROBLEM, str(error), "Mend that file.", facts)
    found = survey(text.documents, text.parts)
    amount = budget_amount or profile.budget.amount
    passes = passes_over(found.bytes["train"], Budget(profile.budget.kind, amount), profile.facts)
    facts |= _facts(found, text, passes)
    words += _split_words(found, text, passes, profile.budget.kind)
    short = _too_short(found, profile) if text.is_whole else None
    if short is not None:
        remedy = "Give more text, or a profile with shorter rows."
        return Finding("data", Level.PROBLEM, f"{words}; {short}", remedy, facts)
    remedies = list(_remedies(found, text, passes))
    level = Level.WARNING if remedies else Level.OK
    return Finding("data", level, words, " ".join(remedies), facts)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.suffix in _TEXT)
        else:
            yield path


def _unreadable(file: Path) -> str | None:
    """Why a file cannot be taken; None if it can."""
    try:
        with file.open("rb") as handle:
            handle.read(1)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror or error}"
    return None if file.suffix in _TEXT else f"{file} is no text we read"


def passes_over(train_bytes: int, budget: Budget, facts: Mapping[str, object]) -> float:
    """How often a trial reads the training part; 0 if there is none.

    Args:
        train_bytes: Of the part.
        budget: Of one trial.
        facts: What the profile prepares: a bound on the bytes, if it has one.
    """
    bound = facts.get("train_bytes")
    kept = min(train_bytes, bound) if isinstance(bound, int) else train_bytes
    tokens = budget.amount * _TOKENS_PER_SECOND.get(budget.kind, 1.0)
    return tokens / (kept / _BYTES_PER_TOKEN) if kept else 0.0


def _too_short(found: Survey, profile: Profile) -> str | None:
    """Why a run refuses the text, or will most likely: a part that holds no row; None if all do.

    A token stands for a byte at least, and one more begins each document: that bound is certain.
    """
    row = int(str(profile.facts["seq_len"])) + 1
    for part in _PARTS:
        size, begun = found.bytes[part], found.filled[part]
        needed = f"but one row of {profile.name} needs {row:,} tokens"
        if size + begun < row:
            return f"{part} has {size:,} bytes, {needed}, so a run refuses it"
        if size / _BYTES_PER_TOKEN + begun < row:
            tokens = f"about {size / _BYTES_PER_TOKEN + begun:,.0f} tokens"
            return f"{part} has {size:,} bytes, {tokens}, {needed}: most likely a run refuses it"
    return None


def _facts(found: Survey, text: OwnText, passes: float) -> dict[str, object]:
    return {
        "documents": found.document_count,
        "is_cut": text.is_cut,
        "is_whole": text.is_whole,
        "documents_by_part": None if text.is_cut else _counts(text),
        "bytes": dict(found.bytes),
        "empty_documents": found.empty_count,
        "copies": found.copy_count,
        "binary_documents": found.binary_count,
        "largest_share": round(found.largest_share, 3),
        "overlap": None if found.overlap is None else round(found.overlap, 4),
        "passes": round(passes, 3),
    }


def _counts(text: OwnText) -> dict[str, int]:
    return {part: len(documents) for part, documents in text.parts.items()}


def _split_words(found: Survey, text: OwnText, passes: float, kind: BudgetKind) -> str:
    many, size = _many(found.document_count, "document"), found.bytes
    how = f"{many}, each cut into" if text.is_cut else f"{many}, split into"
    if not text.is_whole:
        how = f"read as far as {found.total_bytes / 1e6:.1f} MB, each file from its start: {how}"
    parts = ", ".join(f"{size[part] / 1e6:.2f} MB {part}" for part in _PARTS)
    most = " at most, on an H100" if kind is BudgetKind.WALL else ""
    most = most or ("" if text.is_whole else " at most")
    return f"; {how} {parts}; a trial reads {passes:.2g} × the training part{most}"


def _remedies(found: Survey, text: OwnText, passes: float) -> Iterator[str]:
    """What is wrong, and what to do about it, one sentence or two each."""
    if text.is_whole and found.total_bytes < _FEWEST_BYTES:
        yield "Under a megabyte a score says little: its validation part is a twentieth."
    if text.is_whole and passes > _MOST_PASSES:
        yield (
            f"A trial reads the training part {passes:.0f} times, and would learn it by heart: "
            "give more text, or a smaller profile."
        )
    if found.binary_count:
        holds = "holds" if found.binary_count == 1 else "hold"
        yield (
            f"{_many(found.binary_count, 'document')} {holds} control characters, as binary files "
            "do: leave them out, or convert them to plain text."
        )
    if found.overlap is not None and found.overlap > _MOST_OVERLAP:
        yield (
            f"{found.overlap:.0%} of the validation part's runs of {RUN} words are in the training "
            "part, too: remove near-copies, or put what belongs together into one document."
        )
    if found.copy_count > 0.1 * found.document_count:
        yield f"{_many(found.copy_count, 'document')} of all are copies of others: remove them."
    if found.empty_count:
        are = "is empty, and teaches" if found.empty_count == 1 else "are empty, and teach"
        yield f"{_many(found.empty_count, 'document')} {are} nothing."
    if found.largest_share > _LARGE_SHARE and not text.is_cut:
        yield (
            f"One document holds {found.largest_share:.0%} of the text: divide it, so that each "
            "part sees all kinds."
        )
