"""The user's own text: can it be read, how would it be split, and what is wrong with it?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolution.doctor.finding import Finding, Level
from evolution.profiles import Profile
from evolution.ruler import Ruler
from evolution.survey import RUN, Survey, survey
from population import Budget, BudgetKind, EvolveError

_TEXT = (".txt", ".jsonl", ".parquet")
_PARTS = ("train", "validation", "test")
_REMEDY = f"--data takes files that end in {', '.join(_TEXT)}, or folders of them."
#: Bytes up to which a text is read through here; a larger one is looked at by name and size alone.
MOST_BYTES = 200_000_000
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
    paths: Sequence[Path], ruler: Ruler, profile: Profile, budget_amount: float = 0.0
) -> Finding:
    """Whether a text can be read, what it would be split into, and what is wrong with it.

    Args:
        paths: Files, or folders of them.
        ruler: Splits it as a run would.
        profile: Its sizes.
        budget_amount: Of one trial, from the settings; 0 for the profile's.
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
    words = f"your own: {len(files)} file{'' if len(files) == 1 else 's'}, {total / 1e6:.1f} MB"
    if total > MOST_BYTES:
        return Finding("data", Level.OK, f"{words}, too large to be read here", facts=facts)
    if not ruler.shows_documents:
        words += "; this prepare.py does not tell how it would split them"
        return Finding("data", Level.OK, words, facts=facts)
    try:
        found = survey({part: ruler.own_documents(paths, part) for part in _PARTS})
    except EvolveError as error:
        return Finding("data", Level.PROBLEM, str(error), "Mend that file.", facts)
    amount = budget_amount or profile.budget.amount
    passes = passes_over(found.bytes["train"], Budget(profile.budget.kind, amount), profile.facts)
    facts |= _facts(found, passes)
    words += _split_words(found, passes, profile.budget.kind)
    remedies = list(_remedies(found, passes))
    level = Level.WARNING if remedies else Level.OK
    return Finding("data", level, words, " ".join(remedies), facts)


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


def _facts(found: Survey, passes: float) -> dict[str, object]:
    return {
        "documents": dict(found.documents),
        "bytes": dict(found.bytes),
        "empty_documents": found.empty_count,
        "copies": found.copy_count,
        "binary_documents": found.binary_count,
        "largest_share": round(found.largest_share, 3),
        "overlap": None if found.overlap is None else round(found.overlap, 4),
        "passes": round(passes, 3),
    }


def _split_words(found: Survey, passes: float, kind: BudgetKind) -> str:
    counts, size = found.documents, found.bytes
    if len(set(counts.values())) == 1:  # cut: every document is in every part
        many = counts["train"]
        how = f"{many} document{'' if many == 1 else 's'}, each cut into"
    else:
        many = sum(counts.values())
        how = f"{many} documents, split into"
    parts = ", ".join(f"{size[part] / 1e6:.2f} MB {part}" for part in _PARTS)
    most = " at most, on an H100" if kind is BudgetKind.WALL else ""
    return f"; {how} {parts}; a trial reads {passes:.2g} × the training part{most}"


def _remedies(found: Survey, passes: float) -> Iterator[str]:
    """What is wrong, and what to do about it, one sentence or two each."""
    if found.total_bytes < _FEWEST_BYTES:
        yield "Under a megabyte a score says little: its validation part is a twentieth."
    if passes > _MOST_PASSES:
        yield (
            f"A trial reads the training part {passes:.0f} times, and would learn it by heart: "
            "give more text, or a smaller profile."
        )
    if found.binary_count:
        yield (
            f"{found.binary_count} documents hold control characters, as binary files do: leave "
            "them out, or convert them to plain text."
        )
    if found.overlap is not None and found.overlap > _MOST_OVERLAP:
        yield (
            f"{found.overlap:.0%} of the validation part's runs of {RUN} words are in the training "
            "part, too: remove near-copies, or put what belongs together into one document."
        )
    if found.copy_count > 0.1 * found.documents["train"]:
        yield f"{found.copy_count} documents are copies of others: remove them."
    if found.empty_count:
        yield f"{found.empty_count} documents are empty, and teach nothing."
    if found.largest_share > _LARGE_SHARE and sum(found.documents.values()) > len(_PARTS):
        yield (
            f"One document holds {found.largest_share:.0%} of the text: divide it, so that each "
            "part sees all kinds."
        )
