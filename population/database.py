"""Database: opens a run's database, gives transactions, and says in words what went wrong.

Knows schemas, locks and disks; nothing of trials or variants.
"""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    PoolProxiedConnection,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from population.errors import EvolveError
from population.migrations.steps import HEAD, REVISIONS, upgrade

_SHORT_OF_SPACE = 1 << 17  # bytes free; below it an unexplained I/O error is a full disk


class StoreError(EvolveError):
    """The database cannot do what was asked."""


class SchemaError(StoreError):
    """The database was written by another version of the program."""


class DiskFullError(StoreError):
    """No space is left; the transaction was taken back whole, and may be tried again."""


class LockedError(StoreError):
    """Another process held the database for too long; the transaction may be tried again."""


_LOCKED = (
    LockedError,
    "{where} is locked by another process, but writing needs it for a moment. Stop that process, "
    "or try again.",
)
_DAMAGED = (
    StoreError,
    "{where} is damaged or not a database ({cause}), but a run's database is needed. Restore it "
    "from a copy, or give the path of another.",
)
_FORBIDDEN = (
    StoreError,
    "{where} cannot be opened or written ({cause}), but a run needs both in its folder. Check the "
    "permissions of the file and the folder.",
)
_ADVICE: Mapping[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (
        DiskFullError,
        "{where} cannot grow ({cause}: disk full), but every result is written at once. Nothing "
        "was half-written: free some space, then resume.",
    ),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_PERM: _FORBIDDEN,
    sqlite3.SQLITE_CONSTRAINT: (
        StoreError,
        "{where} refused a value ({cause}), but each must fit its column and point at rows that "
        "exist. Nothing was written; correct the value.",
    ),
}


class _Moment(threading.local):
    """The session that a thread reads through while it stays at one moment."""

    session: Session | None = None


class Database:
    """Transactions on one database, SQLite's or another's.

    Args:
        url: Where it is (``address``).
        read_only: True to refuse every write.
        busy_seconds: How long to wait for another process to let go.
    """

    def __init__(self, url: URL, *, read_only: bool = False, busy_seconds: float = 10.0) -> None:
        self._url = url
        self._read_only = read_only
        self._engine = _engine(url, read_only=read_only, busy_seconds=busy_seconds)
        self._writing_engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._moment = _Moment()
        self._watching: PoolProxiedConnection | None = None
        self._watch_turn = threading.Lock()
        self._is_closed = False
        # Threads wait for each other here, in turn: SQLite lets waiting writers starve.
        self._turn = threading.RLock()

    @property
    def read_only(self) -> bool:
        """True if it refuses every write."""
        return self._read_only

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view; nothing done in it is kept."""
        if self._moment.session is not None:
            with self.explained():
                yield self._moment.session
            return
        with self.explained(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @property
    def is_at_one_moment(self) -> bool:
        """True inside `at_one_moment`, in this thread."""
        return self._moment.session is not None

    def version(self) -> int | None:
        """A number that is another one after any write, whoever wrote; None if there is none.

        Tells in some microseconds that nothing has changed. A file of SQLite's counts what other
        connections write, so one is set apart that writes nothing.
        """
        with self._watch_turn, self.explained():
            if self._is_closed or sqlite_file(self._url) is None:
                return None
            if self._watching is None:
                self._watching = self._engine.raw_connection()
            with contextlib.closing(self._watching.cursor()) as cursor:
                cursor.execute("PRAGMA data_version")
                (found,) = cursor.fetchall()
            return int(found[0])

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever is written meanwhile."""
        with self.reading() as session:
            _revision(session.connection())  # SQLite's view begins with the first thing read
            self._moment.session = session
            try:
                yield
            finally:
                self._moment.session = None

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, on disk when the block ends and undone if it raises."""
        if self._read_only:
            raise StoreError(
                f"{self.where} is open for reading, but this needs to write. Open it without "
                "read_only."
            )
        with (
            self._turn,
            self.explained(),
            Session(self._writing_engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def check_schema(self) -> None:
        """Bring an older schema up to date.

        Raises:
            SchemaError: The schema is newer than this program, or older and open for reading.
            StoreError: It is no run's database.
        """
        with self.reading() as session:
            found = _revision(session.connection())
        if found is None:
            raise StoreError(
                f"{self.where} holds no tables of a run, but a run's database is needed. Give the "
                "path of one, or begin one with `evolve run`."
            )
        if found not in REVISIONS:
            raise SchemaError(
                f"{self.where} has schema {found}, but this program knows schemas up to {HEAD}: "
                "the run was written by a newer version. Install that version or a later one."
            )
        if found != HEAD and self._read_only:
            raise SchemaError(
                f"{self.where} has schema {found}, but reading needs schema {HEAD}. Bring it up "
                "to date with `evolve resume`, or read it with the version that wrote it."
            )
        if found != HEAD:
            self.build()

    def build(self) -> None:
        """Take every schema step that is still ahead, all in one transaction."""
        with self.writing() as session:
            upgrade(session.connection())

    def is_built(self) -> bool:
        """True if a schema is there, whichever."""
        with self.reading() as session:
            return _revision(session.connection()) is not None

    def close(self) -> None:
        """Let go of every connection."""
        with self._watch_turn:
            self._is_closed = True
            if self._watching is not None:
                self._watching.close()
                self._watching = None
        self._engine.dispose()

    @property
    def where(self) -> str:
        """The database as an error message names it, without password."""
        return place(self._url)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the database says into one of our errors, if we know what to do about it."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
            told = self._explain(error)
            if told is None:
                raise
            raise told from error

    def _explain(self, error: Exception) -> StoreError | None:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        unclear = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        is_full = getattr(cause, "errno", None) == errno.ENOSPC
        if is_full or (unclear and self._is_short_of_space()):
            code = sqlite3.SQLITE_FULL
        elif isinstance(error, IntegrityError | OverflowError | UnicodeError):
            code = sqlite3.SQLITE_CONSTRAINT
        if code not in _ADVICE:
            return None
        kind, advice = _ADVICE[code]
        return kind(advice.format(where=self.where, cause=cause))

    def _is_short_of_space(self) -> bool:
        file = sqlite_file(self._url)
        if file is None or not file.parent.is_dir():
            return False
        return shutil.disk_usage(file.parent).free < _SHORT_OF_SPACE


def address(path_or_url: Path | str) -> URL:
    """A URL as it is; a path as the URL of the SQLite database there."""
    if isinstance(path_or_url, str) and "://" in path_or_url:
        return make_url(path_or_url)
    return URL.create("sqlite", database=str(Path(path_or_url).absolute()))


def place(url: URL) -> str:
    """Where ``url`` points, for people: a path, or a URL without its password."""
    return str(sqlite_file(url) or url.render_as_string(hide_password=True))


def sqlite_file(url: URL) -> Path | None:
    """The file behind ``url``; None if a server or the memory is."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _engine(url: URL, *, read_only: bool, busy_seconds: float) -> Engine:
    file = sqlite_file(url)
    if file is not None and read_only:
        url = url.set(database=file.as_uri(), query=_reading(file))
    engine = create_engine(url, json_serializer=_to_json)
    if url.get_backend_name() != "sqlite":
        return engine

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _reading(file: Path) -> dict[str, str]:
    # Readers of a write-ahead log keep a small file beside it; where none can be made and no
    # writer has left a log, the file cannot change either.
    frozen = not os.access(file.parent, os.W_OK) and not file.with_name(file.name + "-wal").exists()
    return {"mode": "ro", "uri": "true"} | ({"immutable": "1"} if frozen else {})


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, default=_plain)


def _plain(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
