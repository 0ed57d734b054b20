"""Opening connections: the file, its checks, and the settings every connection has."""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from adapters.sqlite.room import MIB, free_bytes
from adapters.sqlite.schema import identify, migrate
from core.errors import StoreUnusableError

OLDEST_SQLITE = (3, 51, 3)
"""Older versions can corrupt a WAL when two connections checkpoint at once (https://www.sqlite.org/wal.html)."""

_MAGIC = b"SQLite format 3\0"
_HEADER = struct.Struct(">16s24xI16xI4xI28x")
"""Magic, schema version, user version, application id (https://www.sqlite.org/fileformat2.html#the_database_header)."""

BUSY_TIMEOUT_MS = 10_000

BUSY_PAUSE_SECONDS = 0.0005

WRITER_CACHE_KIB = 32 * 1024
"""The inner pages of every tree and the pages that the merge of keys works on, for some ten million runs."""

WAL_CAP_BYTES = 64 * 1024 * 1024
"""The size at which the WAL is checkpointed whatever else waits."""


class _Patience:
    """Waits for a lock that another process holds, and asks for it often.

    SQLite's own busy timeout soon asks only ten times a second (https://www.sqlite.org/c3ref/busy_timeout.html), and
    hardly ever meets the moment between two commits of a process that has much to write.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0

    def __call__(self, attempts: int) -> bool:
        """Whether to ask once more, after ``attempts`` times in vain for the same lock."""
        if not attempts:
            self._deadline = time.monotonic() + self._seconds
        time.sleep(BUSY_PAUSE_SECONDS)
        return time.monotonic() < self._deadline


def wait_for_locks(connection: apsw.Connection, milliseconds: int) -> None:
    """Have a connection wait so long for each lock that another one holds."""
    connection.set_busy_handler(_Patience(milliseconds / 1000))


def open_writer(path: Path) -> apsw.Connection:
    """Open the file for writing, creating it if need be, and bring it to the current schema version.

    Raises:
        StoreUnusableError: the file cannot serve; the message says why in one line.
    """
    with _explained(path):
        _check_place(path)
        _check_room(path)
        left_by_crash = int(_wal_of(path).exists())
        connection = _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        # Closing would work off a WAL that a crash left, and a file that turns out to be damaged is to stay as it is.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_by_crash)
        try:
            _check_writable(connection)
            _check_tables(connection)
            migrate(connection)
            _use_wal(connection)
        except BaseException:
            connection.close()
            raise
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    # An acknowledged run survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -WRITER_CACHE_KIB)
    # After a reader has held it up, the WAL's file shrinks again (https://www.sqlite.org/pragma.html).
    connection.pragma("journal_size_limit", WAL_CAP_BYTES)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a file that a writer has opened before, for reading."""
    # Readers of a WAL write to its index, so the connection cannot be opened read-only.
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", "ON")
    return connection


def _wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _open(path: Path, flags: int) -> apsw.Connection:
    # Absolute, because SQLite has a meaning of its own for names such as ":memory:".
    connection = apsw.Connection(str(path.absolute()), flags=flags)
    wait_for_locks(connection, BUSY_TIMEOUT_MS)
    return connection


def _check_place(path: Path) -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnusableError(f"SQLite {apsw.sqlite_lib_version()} is too old; upgrade apsw to {oldest} or newer")
    if not path.parent.is_dir():
        raise StoreUnusableError(f"the directory {path.parent} does not exist; create it first")
    if path.is_dir():
        raise StoreUnusableError("it is a directory; name a file in it")
    if path.exists():
        _check_header(path)


def _check_room(path: Path) -> None:
    free = free_bytes(path)
    if free < WAL_CAP_BYTES:
        raise StoreUnusableError(
            f"its disk has {free / MIB:.1f} MiB free and {WAL_CAP_BYTES // MIB} MiB are needed; make room"
        )


def _check_header(path: Path) -> None:
    """Refuse what is not ours before SQLite opens it.

    SQLite would take a file of a few bytes for an empty database and write over it, and by closing another
    application's database it would work off the WAL that a crash left beside it.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except PermissionError as error:
        raise apsw.PermissionsError from error
    # Where the power failed while the file was made, SQLite rolls back what the journal beside it tells of.
    if not header or (not any(header) and path.with_name(f"{path.name}-journal").exists()):
        return
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise apsw.NotADBError
    _, schema_version, user_version, application_id = _HEADER.unpack(header)
    version = identify(application_id, user_version, schema_version)
    # A database of ours is marked before it ever has a WAL.
    if version == 0 and _wal_of(path).exists():
        raise StoreUnusableError("it is a database of another application; name another file")


def _use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL, which SQLite refuses at once, without its busy timeout, while another process does the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _check_writable(connection: apsw.Connection) -> None:
    if connection.readonly("main"):
        raise StoreUnusableError("the file is read-only; make it writable or name another file")


def _check_tables(connection: apsw.Connection) -> None:
    """Find what damage can be found at little cost: SQLite compares the file's size, and each table has to be readable.

    To look at every page takes minutes for a large file; damage elsewhere shows when it is read, as
    ``StoreDamagedError``.
    """
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchall()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of every way to fail which file it was about, in one line."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}") from error
    except apsw.NotADBError as error:
        raise StoreUnusableError(f"cannot use {path}: the file is not an SQLite database; name another") from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: no right to write the file or its directory; change that or name another file"
        ) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnusableError(f"cannot use {path}: another process keeps it locked; try again later") from error
    except apsw.FullError as error:
        raise StoreUnusableError(f"cannot use {path}: the disk is full; make room") from error
    except apsw.IOError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}; the disk may be failing") from error
    except apsw.Error as error:
        raise StoreUnusableError(
            f"cannot use {path}: {error}; the file was left as it is, restore it from a backup"
        ) from error
