"""The refusal repository on an SQLite file of its own, beside the database."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import apsw

from adapters.sql_refusals import SqlRefusalRepository, Statements
from adapters.sqlite import forks
from adapters.sqlite.connection import WAL_CAP_BYTES, open_existing, use_wal
from adapters.sqlite.disk_space import MIB, free_bytes
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.file import create_file
from core.errors import StoreDamagedError, StoreError, StoreFullError, StoreUnusableError

APPLICATION_ID: Final = 0x52_46_55_53
"""``RFUS`` in ASCII, so that nobody takes the file for a database of runs."""

VERSION: Final = 1

MIN_FREE_BYTES: Final = WAL_CAP_BYTES
"""With less free space on the disk, all of it is left to the runs."""

_WAL_BYTES: Final = 4 * 1024 * 1024

_TABLES: Final = """
    CREATE TABLE refusals (
        number INTEGER PRIMARY KEY,  -- consecutive; the order of the list
        start INTEGER NOT NULL,  -- the bytes of all refusals that were ever added before this one
        size INTEGER NOT NULL,
        received_at TEXT NOT NULL,
        event_id TEXT,
        run_id TEXT,
        fields TEXT NOT NULL,  -- the names of the invalid fields, with a blank before and after each
        errors BLOB NOT NULL,  -- JSON: [[field, reason, kind], …]
        body BLOB NOT NULL  -- what was sent, as text in UTF-8
    ) STRICT;
    CREATE TABLE refusal_marks (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last INTEGER NOT NULL,  -- the last number given
        total INTEGER NOT NULL  -- the bytes of all refusals that were ever added
    ) STRICT;
    INSERT INTO refusal_marks (id, last, total) VALUES (1, 0, 0);
"""


def refusals_of(path: Path) -> Path:
    """Return the path of the refusals for a resolved path of a database."""
    return path.with_name(f"{path.name}-refusals")


class _Statements(Statements):
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return cast(list[tuple[Any, ...]], self._connection.execute(sql, tuple(bindings)).fetchall())

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, map(tuple, rows))


class SqliteRefusalRepository(SqlRefusalRepository):
    """A file that is created, private to its owner, when it is first used. ``path`` is resolved.

    A commit waits for no disk (``synchronous=NORMAL`` with a WAL): a power cut may lose the last refusals and damages
    nothing. A connection that fails is closed, and the next call opens another.
    """

    locking = ""  # a transaction that writes holds the lock to write
    position = "instr"

    def __init__(self, path: Path, keep: int) -> None:
        super().__init__(keep)
        self._path = path
        self._writer: apsw.Connection | None = None

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with forks.at_work():
                writer.close()

    @contextmanager
    def _writing(self) -> Iterator[Statements]:
        try:
            with _explained_errors(self._path):
                _check_room(self._path)
                writer = self._writer = self._writer or _open(self._path)
                with forks.at_work():
                    writer.execute("BEGIN IMMEDIATE")
                    yield _Statements(writer)
                    writer.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _reading(self) -> Iterator[Statements]:
        with _explained_errors(self._path):
            reader = _open(self._path)
            with forks.at_work(), closing(reader):
                reader.execute("BEGIN")
                yield _Statements(reader)


@contextmanager
def _explained_errors(path: Path) -> Iterator[None]:
    """Raise APSW's errors as ``StoreError``. Those that concern the file name it, and are not logged as of the runs."""
    with translated_errors():
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError) as error:
            reason = "is damaged; remove it while no server runs: only refused runs are lost"
            raise StoreDamagedError(f"{path} {reason}") from error
        except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, OSError) as error:
            raise StoreError(f"{path} cannot be used: {error}") from error


def _check_room(path: Path) -> None:
    if free_bytes(path) < MIN_FREE_BYTES:
        raise StoreFullError(f"the disk has less than {MIN_FREE_BYTES // MIB} MiB free, which are left to the runs")


def _open(path: Path) -> apsw.Connection:
    """Open the file, creating it if it is missing; several processes may do so at once."""
    with forks.opening():
        create_file(path)
        connection = open_existing(path)
        try:
            _create_tables(connection, path)
            use_wal(connection)
            connection.pragma("synchronous", "NORMAL")
            connection.pragma("journal_size_limit", _WAL_BYTES)
        except BaseException:
            connection.close()
            raise
    return connection


def _create_tables(connection: apsw.Connection, path: Path) -> None:
    if _is_ours(connection, path):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _is_ours(connection, path):
        for _ in connection.execute(_TABLES):
            pass
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", VERSION)
    connection.execute("COMMIT")


def _is_ours(connection: apsw.Connection, path: Path) -> bool:
    """Return whether the tables are there, or ``False`` for an empty file; raise ``StoreUnusableError`` for another."""
    marks: Any = connection.execute("SELECT * FROM pragma_application_id, pragma_user_version, pragma_schema_version")
    ((application_id, version, schema_version),) = marks
    if application_id == version == schema_version == 0:
        return False
    if (application_id, version) != (APPLICATION_ID, VERSION):
        raise StoreUnusableError(f"{path} was not written by this version of runsink; move it away")
    return True
