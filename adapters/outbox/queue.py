"""The queue on disk: what a client was given and the server has not acknowledged.

An SQLite file in WAL mode with ``synchronous=FULL``: an entry is on disk when ``put`` returns, several processes may
add to it at once, and what was acknowledged disappears in one step. See "Why is the outbox an SQLite file?" in
docs/explanation/design.md.
"""

import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

import apsw
import attrs

from adapters.outbox.process_identity import ProcessIdentity
from core.errors import OutboxClosedError, OutboxError, OutboxFullError

_T = TypeVar("_T")

_APPLICATION_ID: Final = 0x72756F62
_VERSION: Final = 1
_BUSY_TIMEOUT_MS: Final = 10_000
_JOURNAL_BYTES: Final = 4 * 1024 * 1024
_CLOCK_SLACK_SECONDS: Final = 5.0
"""How far a clock may be set back without notice."""
_SCHEMA: Final = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE rejections (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    body BLOB NOT NULL,
    error TEXT NOT NULL,
    rejected_at REAL NOT NULL
) STRICT;
CREATE TABLE totals (
    entries INTEGER NOT NULL, entry_bytes INTEGER NOT NULL,
    rejections INTEGER NOT NULL, rejection_bytes INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (0, 0, 0, 0, 0);
CREATE TABLE claim (holder TEXT NOT NULL, expires_at REAL NOT NULL) STRICT;
CREATE TRIGGER entry_in AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, entry_bytes = entry_bytes + length(new.body); END;
CREATE TRIGGER entry_out AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, entry_bytes = entry_bytes - length(old.body); END;
CREATE TRIGGER rejection_in AFTER INSERT ON rejections BEGIN
    UPDATE totals SET rejections = rejections + 1, rejection_bytes = rejection_bytes + length(new.body); END;
CREATE TRIGGER rejection_out AFTER DELETE ON rejections BEGIN
    UPDATE totals SET rejections = rejections - 1, rejection_bytes = rejection_bytes - length(old.body); END;
"""


class Kind(StrEnum):
    """What an entry asks of the server."""

    RUN = "run"
    BATCH = "batch"
    """A whole atomic batch; its ``event_id`` is that of the first run."""
    CHANGES = "changes"
    COMMIT = "commit"


@attrs.frozen
class NewEntry:
    """Something to be delivered: what is asked, for which run, and the body of the request."""

    kind: Kind
    event_id: str
    body: bytes


@attrs.frozen
class Entry(NewEntry):
    """Something that waits; entries are delivered in the order of their positions."""

    position: int


@attrs.frozen
class Rejection:
    """An entry that the server refused for good, and why."""

    position: int
    kind: Kind
    event_id: str
    body: bytes
    error: str


@attrs.frozen
class Totals:
    """How much is in the queue. ``forgotten`` counts rejections that were dropped to make room for later ones."""

    entries: int
    entry_bytes: int
    rejections: int
    rejection_bytes: int
    forgotten: int


@attrs.frozen
class OutboxBounds:
    """How much the queue holds: of what waits, and as much again of what was rejected."""

    max_entries: int = 100_000
    max_bytes: int = 256 * 1024 * 1024


class Queue:
    """One queue file. Usable from any thread, from several processes at once, and after a fork.

    Every method raises ``OutboxError`` when the file fails, and ``OutboxClosedError`` after ``close``.
    """

    def __init__(self, path: str | os.PathLike[str], bounds: OutboxBounds | None = None) -> None:
        self.path = Path(os.fsdecode(path)).absolute()
        self.bounds = bounds or OutboxBounds()
        self._lock = Lock()
        self._closed = False
        self._process = os.getpid()
        self._connection: apsw.Connection | None = None
        self._inherited: list[apsw.Connection] = []
        _hold_during_forks(self)
        with self._transaction():
            pass

    def put(self, entries: Sequence[NewEntry]) -> None:
        """Add all of these or none; they are on disk when this returns. Raises ``OutboxFullError``."""
        size = sum(len(entry.body) for entry in entries)
        with self._transaction() as connection:
            waiting = _totals(connection)
            if (
                waiting.entries + len(entries) > self.bounds.max_entries
                or waiting.entry_bytes + size > self.bounds.max_bytes
            ):
                raise OutboxFullError(
                    f"{self.path} holds {waiting.entries} undelivered entries of {waiting.entry_bytes} bytes and takes "
                    f"no more than {self.bounds.max_entries} and {self.bounds.max_bytes}; nothing was queued"
                )
            connection.executemany(
                "INSERT INTO entries (kind, event_id, body) VALUES (?, ?, ?)",
                [(entry.kind.value, entry.event_id, entry.body) for entry in entries],
            )

    def first(self, max_entries: int, max_bytes: int) -> list[Entry]:
        """Return the first entries, so many at most, and of so many bytes unless the very first has more."""

        def read(connection: apsw.Connection) -> list[Entry]:
            taken: list[Entry] = []
            room = max_bytes
            rows = connection.execute(
                "SELECT kind, event_id, body, position FROM entries ORDER BY position LIMIT ?", (max_entries,)
            )
            for kind, event_id, body, position in rows:
                room -= len(body)
                if taken and room < 0:
                    break
                taken.append(Entry(Kind(kind), event_id, body, position))
            rows.close(force=True)
            return taken

        return self._read(read)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Forget entries that the server has acknowledged."""
        with self._transaction() as connection:
            _delete(connection, entries)

    def reject(self, rejected: Sequence[tuple[Entry, str]], delivered: Sequence[Entry] = ()) -> None:
        """Set entries aside, each with the reason, and forget those that were delivered together with them."""
        with self._transaction() as connection:
            _delete(connection, [*delivered, *(entry for entry, _ in rejected)])
            connection.executemany(
                "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (entry.position, entry.kind.value, entry.event_id, entry.body, error, time.time())
                    for entry, error in rejected
                ],
            )
            self._forget_oldest(connection)

    def totals(self) -> Totals:
        """Return how much there is."""
        return self._read(_totals)

    def waits(self, last_position: int) -> bool:
        """Return whether anything waits up to this position; quicker than to count it."""
        query = "SELECT EXISTS (SELECT 1 FROM entries WHERE position <= ?)"
        return self._read(lambda connection: bool(_one(connection, query, last_position)))

    def undelivered(self, last_position: int) -> int:
        """Return how many entries wait up to this position."""

        def count(connection: apsw.Connection) -> int:
            return int(_one(connection, "SELECT count(*) FROM entries WHERE position <= ?", last_position))

        return self._read(count)

    def last_position(self) -> int:
        """Return the position of the newest entry, 0 if there is none."""
        return self._read(lambda connection: int(_one(connection, "SELECT coalesce(max(position), 0) FROM entries")))

    def rejections(self, limit: int = 100, after: int = 0) -> list[Rejection]:
        """Return what was rejected, oldest first."""

        def read(connection: apsw.Connection) -> list[Rejection]:
            rows: list[Any] = connection.execute(
                "SELECT position, kind, event_id, body, error FROM rejections WHERE position > ? "
                "ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()
            return [Rejection(position, Kind(kind), *rest) for position, kind, *rest in rows]

        return self._read(read)

    def forget_rejections(self, rejections: Sequence[Rejection]) -> None:
        """Forget rejections that somebody has taken note of."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM rejections WHERE position = ?", [(gone.position,) for gone in rejections]
            )

    def claim(self, holder: str, seconds: float) -> bool:
        """Become or remain the one who delivers, for so many seconds; return whether that is so.

        Another holder keeps its claim until it expires, lets go of it, or has ended as a process.
        """
        with self._transaction() as connection:
            # Read before the wait for the transaction, it would make a claim that was made meanwhile lie in the future.
            now = time.time()
            row = connection.execute("SELECT holder, expires_at FROM claim").fetchone()
            if row is not None and row[0] != holder and not _lapsed(row[0], row[1], now, seconds):
                return False
            connection.execute("DELETE FROM claim")
            connection.execute("INSERT INTO claim VALUES (?, ?)", (holder, now + seconds))
            return True

    def release(self, holder: str) -> None:
        """Let others deliver."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM claim WHERE holder = ?", (holder,))

    def close(self) -> None:
        """Let go of the file. Closing again does nothing."""
        with self._lock:
            self._closed = True
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
                self._connection = None

    def _forget_oldest(self, connection: apsw.Connection) -> None:
        totals = _totals(connection)
        gone = 0
        while totals.rejections > 1 and (
            totals.rejections > self.bounds.max_entries or totals.rejection_bytes > self.bounds.max_bytes
        ):
            connection.execute("DELETE FROM rejections WHERE position = (SELECT min(position) FROM rejections)")
            totals, gone = _totals(connection), gone + 1
        if gone:
            connection.execute("UPDATE totals SET forgotten = forgotten + ?", (gone,))

    def _read(self, query: Callable[[apsw.Connection], _T]) -> _T:
        with self._held() as connection:
            return query(connection)

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Do all of it or nothing; committed and synced when the block is left."""
        with self._held() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _held(self) -> Iterator[apsw.Connection]:
        with self._lock:
            if self._closed:
                raise OutboxClosedError
            with self._explained():
                yield self._opened()

    def _opened(self) -> apsw.Connection:
        if self._process != os.getpid():
            # SQLite forbids a child to use its parent's connection, or even to close it.
            if self._connection is not None:
                self._inherited.append(self._connection)
            self._connection, self._process = None, os.getpid()
        if self._connection is None:
            self._connection = _open(self.path)
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except apsw.NotADBError as error:
            raise OutboxError(f"{self.path} is no outbox; name another file") from error
        except (apsw.FullError, OSError, apsw.Error) as error:
            raise OutboxError(f"cannot use the outbox {self.path}: {error}") from error

    def hold(self) -> None:
        """Let nothing be under way: a fork in the middle of a transaction would leave the child with its locks."""
        self._lock.acquire()

    def unhold(self) -> None:
        """Go on."""
        self._lock.release()


def _hold_during_forks(queue: Queue) -> None:
    """Have the queue idle whenever this process forks, for as long as the queue is in use."""
    if not hasattr(os, "register_at_fork"):
        return
    reference = weakref.ref(queue)
    held: list[Queue] = []

    def before() -> None:
        known = reference()
        if known is not None:
            known.hold()
            held.append(known)

    def after() -> None:
        while held:
            held.pop().unhold()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)


def _open(path: Path) -> apsw.Connection:
    # Only the owner may read what an agent reports; SQLite would let everybody.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        _create(connection, path)
        connection.pragma("synchronous", "FULL")
        connection.pragma("journal_size_limit", _JOURNAL_BYTES)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: apsw.Connection, path: Path) -> None:
    """Make the tables of a new file, or see that those of an old one are ours."""
    # Two processes cannot change the mode at once, and SQLite does not wait for it.
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while connection.pragma("application_id") != _APPLICATION_ID:
        try:
            connection.execute("BEGIN EXCLUSIVE")
            _create_tables(connection, path)
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if (version := connection.pragma("user_version")) != _VERSION:
        raise OutboxError(f"{path} is an outbox of version {version}, and this is {_VERSION}; upgrade runsink")
    while connection.pragma("journal_mode") != "wal":
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _create_tables(connection: apsw.Connection, path: Path) -> None:
    try:
        if connection.pragma("application_id") != _APPLICATION_ID:
            _require_empty(connection, path)
            connection.execute(_SCHEMA).fetchall()
            connection.pragma("user_version", _VERSION)
            connection.pragma("application_id", _APPLICATION_ID)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _require_empty(connection: apsw.Connection, path: Path) -> None:
    if _one(connection, "SELECT count(*) FROM sqlite_schema"):
        raise OutboxError(f"{path} is the database of something else; name another file")


def _one(connection: apsw.Connection, query: str, *values: Any) -> Any:
    (row,) = connection.execute(query, values).fetchall()
    return row[0]


def _totals(connection: apsw.Connection) -> Totals:
    rows: list[Any] = connection.execute(
        "SELECT entries, entry_bytes, rejections, rejection_bytes, forgotten FROM totals"
    ).fetchall()
    return Totals(*rows[0])


def _delete(connection: apsw.Connection, entries: Sequence[Entry]) -> None:
    connection.executemany("DELETE FROM entries WHERE position = ?", [(entry.position,) for entry in entries])


def _lapsed(holder: str, expires_at: float, now: float, seconds: float) -> bool:
    # An end that lies further ahead than any claim reaches is of a clock that was set back meanwhile.
    if not now < expires_at <= now + seconds + _CLOCK_SLACK_SECONDS:
        return True
    identity = ProcessIdentity.parse(holder)
    return identity is not None and identity.surely_ended()
