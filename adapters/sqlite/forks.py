"""What a process that was forked inherits of SQLite, and has to let go of before it opens a file.

SQLite keeps one table of the files that a process has open, with the locks that it holds on them. A fork copies the
table, but POSIX gives the new process none of the locks. A connection that is opened there beside those of before takes
locks for held that are not, and another process may remove the WAL from under it
(https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final
from weakref import WeakSet

import apsw

from core.errors import StoreUnusableError

_connections: Final[WeakSet[apsw.Connection]] = WeakSet()
"""All that are open, and some that were."""

_at_work: Final[set[object]] = set()
"""One member for each thread that may be inside SQLite, where it may hold a mutex or be half through a change."""

_letting_go: Final = Lock()
_process = os.getpid()

begin_work = _at_work.add
end_work = _at_work.discard


@contextmanager
def at_work() -> Iterator[None]:
    """Say for the length of the block that this thread may be inside SQLite."""
    token = object()
    begin_work(token)
    try:
        yield
    finally:
        end_work(token)


@contextmanager
def opening() -> Iterator[None]:
    """Let go of what was inherited, and be at work for the length of the block.

    Raises:
        StoreUnusableError: that cannot be done.
    """
    _let_go()
    with at_work():
        yield


def note_opened(connection: apsw.Connection) -> None:
    """Remember a connection for processes that are forked while it is open."""
    _connections.add(connection)


def _let_go() -> None:
    """Close the connections that were open when this process was forked. The other process keeps its own."""
    global _process  # noqa: PLW0603 - there is one table of files in a process as well
    with _letting_go:
        if os.getpid() == _process:
            return
        if _at_work:
            raise StoreUnusableError(
                "this process was forked while a store was in use by another thread; "
                "open it in a process that is started anew, such as with multiprocessing's method spawn"
            )
        for connection in list(_connections):
            # Some were closed before the fork and are still referred to.
            with suppress(apsw.ConnectionClosedError):
                # Closing would work off the WAL, which by now may no longer be the one of the file.
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close()
        _process = os.getpid()
