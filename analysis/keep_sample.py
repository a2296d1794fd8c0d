"""Keeps a finished run as the sample of this checkout: small, whole, and of no machine.

``make sample`` makes a run and calls this; notebooks and tests read what it leaves. The sample is
an ordinary run's folder, so that every command reads it, but it cannot be resumed: its ruler and
logs stay behind.
"""

import contextlib
import json
import re
import shutil
import sqlite3
import sys
from pathlib import Path

from analysis.runs import SAMPLE
from population import Branches, EvolveError, RunPaths

#: The most that the sample may weigh in the repository.
SIZE_LIMIT = 2_000_000
#: Points of each training curve that are kept.
CURVE_POINTS = 24

# An absolute path of two parts or more: a traceback's, say. Its last part stays.
_MACHINE_PATH = re.compile(r"(?<![\w.…])(?:/[\w.@+-]+)+/(?=[\w.@+-])")


class SampleError(EvolveError):
    """The run cannot be kept as a sample."""


def keep_sample(source: RunPaths, target: Path = SAMPLE) -> int:
    """Copy a run to ``target``, in place of what is there; returns its size in bytes.

    Raises:
        SampleError: There is no such run, or it is too large.
    """
    if not source.database.is_file():
        raise SampleError(
            f"The folder {source.root} holds no run, but a finished one is kept as the sample. "
            "Make one with `evolve run`, or give another folder."
        )
    draft = RunPaths(target.with_name(f".{target.name}.draft"))
    shutil.rmtree(draft.root, ignore_errors=True)
    draft.root.mkdir(parents=True)
    try:
        _copy_database(source.database, draft.database)
        _copy_repository(source.repository, draft.repository)
        for name in ("settings", "program", "events"):
            text = getattr(source, name).read_text(encoding="utf-8")
            getattr(draft, name).write_text(without_places(text), encoding="utf-8")
        size = sum(file.stat().st_size for file in draft.root.rglob("*") if file.is_file())
        if size > SIZE_LIMIT:
            raise SampleError(
                f"The run takes {size / 1e6:.1f} MB, but the repository keeps a sample of at most "
                f"{SIZE_LIMIT / 1e6:.0f} MB. Make one with fewer trials."
            )
        shutil.rmtree(target, ignore_errors=True)
        draft.root.rename(target)
    finally:
        shutil.rmtree(draft.root, ignore_errors=True)
    return size


def without_places(text: str) -> str:
    """Text in which an absolute path is only its last part, after an ellipsis."""
    return _MACHINE_PATH.sub("…/", text)


def _copy_database(source: Path, target: Path) -> None:
    """A compact copy without a log beside it, so that reading it writes nothing."""
    with contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as database:
        database.execute("VACUUM INTO ?", (str(target),))
    with contextlib.closing(sqlite3.connect(target)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        with database:
            for table, column in _text_columns(database):
                _strip(database, table, column)
            _thin_curves(database)
        database.execute("VACUUM")


def _text_columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        (table, column)
        for (table,) in tables
        for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        if kind.upper().startswith(("VARCHAR", "TEXT", "JSON"))
    ]


def _thin_curves(database: sqlite3.Connection) -> None:
    """At most `CURVE_POINTS` of each, its last among them; numbers of four digits."""
    rows = database.execute("SELECT id, curve FROM trials WHERE curve IS NOT NULL").fetchall()
    for trial, text in rows:
        points = json.loads(text)
        step = max(1, -(-len(points) // CURVE_POINTS))
        kept = json.loads(json.dumps(points[::-1][::step][::-1]), parse_float=_short)
        database.execute("UPDATE trials SET curve = ? WHERE id = ?", (json.dumps(kept), trial))


def _short(digits: str) -> float:
    return float(f"{float(digits):.4g}")


def _strip(database: sqlite3.Connection, table: str, column: str) -> None:
    query = f"SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE '%/%/%'"
    for (text,) in database.execute(query).fetchall():
        plain = without_places(text)
        if plain != text:
            change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
            database.execute(change, (plain, text))


def _copy_repository(source: Path, target: Path) -> None:
    """Everything in one pack. One branch stays a file: git keeps no empty folder of ours."""
    unwanted = shutil.ignore_patterns("hooks", "logs", "info", "description")
    shutil.copytree(source, target, ignore=unwanted)
    with Branches.open(target) as branches:
        branches.pack()
    for loose in (target / "objects").glob("??"):
        shutil.rmtree(loose)  # what no branch holds: notes of earlier moments
    head = (target / "HEAD").read_text(encoding="utf-8").removeprefix("ref:").strip()
    packed = (target / "packed-refs").read_text(encoding="utf-8")
    sha = next(line.split()[0] for line in packed.splitlines() if line.endswith(f" {head}"))
    (target / head).parent.mkdir(parents=True, exist_ok=True)
    (target / head).write_text(f"{sha}\n", encoding="utf-8")


def main() -> int:
    """Keep the run whose folder is the one argument."""
    try:
        size = keep_sample(RunPaths(Path(sys.argv[1])))
    except EvolveError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(f"{SAMPLE}: {size / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
