"""The database file: resolving its path, checking it, and creating it."""

import os
import stat
import struct
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

import apsw

from adapters.sqlite.schema import identify
from core.errors import StoreUnusableError

_MAGIC = b"SQLite format 3\0"
_HEADER = struct.Struct(">16s24xI16xI4xI28x")
"""Magic, schema version, user version, application id (https://www.sqlite.org/fileformat2.html#the_database_header)."""

_CREATING: Final = Lock()
"""Held while this process has its own descriptor of a new file; see ``create_file``."""


def resolve(path: Path) -> Path:
    """Return the absolute path of the file that this path names now, without symbolic links.

    SQLite resolves links itself and puts companion files, such as the WAL, next to the file. Code that looks for them,
    or reopens the file, must find the same file even after the working directory or a link has changed.

    Raises:
        StoreUnusableError: no file can have this name.
    """
    try:
        resolved = os.path.realpath(path)
        # SQLite accepts only names in UTF-8 and without NUL.
        resolved.encode()
    except (OSError, ValueError) as error:
        raise StoreUnusableError(f"cannot use {str(path)!r}: {error}; name another file") from error
    return Path(resolved)


def wal_of(path: Path) -> Path:
    """Return the path of the WAL for a resolved path."""
    return path.with_name(f"{path.name}-wal")


def check_file(path: Path) -> None:
    """Reject a file that is not, and cannot become, a runsink database, before SQLite opens it. ``path`` is resolved.

    Raises:
        StoreUnusableError: the file cannot be used; the message says why.
        OSError, apsw.Error: it cannot be examined.
    """
    if not path.parent.is_dir():
        raise StoreUnusableError(f"the directory {path.parent} does not exist; create it first")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise StoreUnusableError("it is a directory; name a file in it")
    # Opening a named pipe would block until its other end is opened.
    if not stat.S_ISREG(mode):
        raise StoreUnusableError("it is a pipe, a socket or a device; name a regular file")
    _check_header(path)


def create_file(path: Path) -> None:
    """Create the file if it is missing, private to its owner; SQLite gives companion files the same mode.

    Raises:
        OSError: it cannot be created.
    """
    # Close the descriptor before any other thread can open the file, because closing it drops all locks that the
    # process has on the file.
    with _CREATING, suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _check_header(path: Path) -> None:
    """Reject a file that is not a runsink database.

    SQLite would treat a file of a few bytes as an empty database and overwrite it. And by closing another
    application's database, it would checkpoint the WAL that a crash left next to it.
    """
    header = _read_header(path)
    # If the power failed while the file was created, SQLite rolls it back from the journal next to it.
    if not header or (not any(header) and path.with_name(f"{path.name}-journal").exists()):
        return
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise apsw.NotADBError
    _, schema_version, user_version, application_id = _HEADER.unpack(header)
    version = identify(application_id, user_version, schema_version)
    # A runsink database is marked before it ever has a WAL.
    if version == 0 and wal_of(path).exists():
        raise StoreUnusableError("it is a database of another application; name another file")


def _read_header(path: Path) -> bytes:
    """Read the first bytes through SQLite's VFS.

    Closing a descriptor of our own would drop the locks of every store that this process has open on the file, and
    another process could then remove the WAL from under them
    (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    """
    file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
    try:
        return file.xRead(_HEADER.size, 0)
    finally:
        file.xClose()
