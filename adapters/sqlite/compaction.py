"""Give the pages of deleted runs back to the file system.

SQLite puts them on a list of free pages, which later runs reuse. The file shrinks only when it is rewritten as a whole
(``VACUUM``), under an exclusive lock. So that is done only if nobody else has the file open.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw
import attrs

from adapters.sqlite import forks
from adapters.sqlite.connection import BUSY_TIMEOUT_MS, wait_for_locks
from adapters.sqlite.disk_space import free_bytes
from adapters.sqlite.errors import translated_errors

WORTHWHILE_SHARE: Final = 0.1
"""The share of free pages from which rewriting the file is worth its time."""

_COPIES: Final = 2
"""Rewriting takes the room of what is left twice: in a temporary file and in the WAL."""


@attrs.frozen
class Space:
    """The bytes by which the file shrank, and those that are free in it for later runs."""

    returned_bytes: int
    free_bytes: int


def return_space(path: Path) -> Space:
    """Rewrite a file without its free pages, if they are many, nobody else has it open, and the disk has the room.

    ``path`` is resolved. No connection of this process may have the file open.

    Raises:
        StoreError: reading or rewriting failed; the file holds the same as before.
    """
    before = path.stat().st_size
    with forks.opening(), translated_errors():
        if _is_worthwhile(path):
            with suppress(apsw.BusyError, apsw.FullError):
                _rewrite(path)
        with _opened(path) as connection:
            free = connection.pragma("freelist_count") * connection.pragma("page_size")
    return Space(max(0, before - path.stat().st_size), free)


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        forks.note_opened(connection)
        wait_for_locks(connection, BUSY_TIMEOUT_MS)
        yield connection


def _is_worthwhile(path: Path) -> bool:
    with _opened(path) as connection:
        pages, free = connection.pragma("page_count"), connection.pragma("freelist_count")
        needed = _COPIES * (pages - free) * connection.pragma("page_size")
    return bool(free > WORTHWHILE_SHARE * pages and free_bytes(path) > needed)


def _rewrite(path: Path) -> None:
    """Rewrite the file; raise ``apsw.BusyError`` if anybody else has it open."""
    with _opened(path) as connection:
        wait_for_locks(connection, 0)
        # If set before the first access, the first access takes a lock that excludes even idle connections
        # (https://www.sqlite.org/wal.html#use_of_wal_without_shared_memory).
        connection.pragma("locking_mode", "exclusive")
        connection.execute("VACUUM")
