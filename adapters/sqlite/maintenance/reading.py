"""Read a store file without changing it, neither its WAL nor the files around it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import apsw
import attrs

from adapters.sqlite.connection import BUSY_TIMEOUT_MS, wait_for_locks
from adapters.sqlite.file import wal_of

_CACHE_KIB: Final = 16 * 1024

_T = TypeVar("_T")


@attrs.frozen
class _State:
    """What would be different if the file had been written to."""

    inode: int
    size: int
    modified_ns: int


def read_unchanged(path: Path, action: Callable[[apsw.Connection], _T]) -> _T:
    """Carry out an action with a connection that can only read; ``path`` is resolved.

    Reading a file in WAL mode needs a WAL and its index, which SQLite would create and leave behind. So a file without
    a WAL, which nobody uses, is read as one that never changes; should a server have come meanwhile, what was read is
    worth nothing, and the action is carried out again, beside the server.

    Raises:
        apsw.Error: the file cannot be opened, or what ``action`` raises.
    """
    before = _state_at_rest(path)
    if before is not None:
        try:
            result = _carry_out(path, action, at_rest=True)
        except apsw.Error:
            if _state_at_rest(path) == before:
                raise
        else:
            if _state_at_rest(path) == before:
                return result
    return _carry_out(path, action, at_rest=False)


def _state_at_rest(path: Path) -> _State | None:
    """Return the state of a file that no server has open, ``None`` if one may have."""
    if wal_of(path).exists():
        return None
    found = path.stat()
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)


def _carry_out(path: Path, action: Callable[[apsw.Connection], _T], *, at_rest: bool) -> _T:
    # https://www.sqlite.org/uri.html#uriimmutable
    uri = f"file:{quote(str(path))}{'?immutable=1' if at_rest else ''}"
    with closing(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as connection:
        wait_for_locks(connection, BUSY_TIMEOUT_MS)
        connection.pragma("cache_size", -_CACHE_KIB)
        return action(connection)
