"""Checkpoints of the WAL: by the writing connection, and beside it on a connection of their own."""

import time
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Final

import apsw
import attrs

from adapters.sqlite import forks
from adapters.sqlite.connection import BUSY_TIMEOUT_MS, open_existing, wait_for_locks
from adapters.sqlite.errors import translated_errors

_NAME: Final = "runsink-checkpoint"


@attrs.frozen
class Checkpoint:
    """A checkpoint that ended: its duration, and the number of pages of the WAL that are in the database now.

    It is ``complete`` unless a reader, or a checkpoint by another process, held it up.
    """

    seconds: float
    copied: int
    complete: bool


def copy_wal(connection: apsw.Connection) -> Checkpoint:
    """Copy from the WAL what no reader needs there, while others read and write; raise ``apsw.Error``."""
    begun = time.perf_counter()
    try:
        in_wal, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:
        return Checkpoint(time.perf_counter() - begun, 0, complete=False)
    return Checkpoint(time.perf_counter() - begun, copied, complete=copied == in_wal)


def empty_wal(connection: apsw.Connection, wait_ms: int) -> Checkpoint:
    """Copy the WAL and truncate it, waiting this long for readers and for other writers; raise ``apsw.Error``."""
    begun = time.perf_counter()
    wait_for_locks(connection, wait_ms)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return Checkpoint(time.perf_counter() - begun, 0, complete=False)
    finally:
        wait_for_locks(connection, BUSY_TIMEOUT_MS)
    return Checkpoint(time.perf_counter() - begun, 0, complete=True)


class Checkpointer:
    """Copies the WAL while the writer goes on: on a connection of its own, each time in a thread that then ends.

    The WAL does not restart meanwhile, so it grows, and the writer has to copy the rest. Nothing is opened or started
    before the first checkpoint. Its methods are called by one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._latest: Future[Checkpoint] | None = None

    @property
    def idle(self) -> bool:
        """Whether every checkpoint that was started has been taken."""
        return self._latest is None

    def start(self) -> bool:
        """Start a checkpoint, while idle. Return whether the system allowed another thread."""
        latest: Future[Checkpoint] = Future()
        try:
            # As the writer's thread, it must not keep a process alive whose disk does not respond.
            Thread(target=self._run, args=(latest,), name=_NAME, daemon=True).start()
        except RuntimeError:
            return False
        self._latest = latest
        return True

    def take(self, *, wait: bool) -> Checkpoint | None:
        """Return the checkpoint that was started, once; ``None`` without one, or without waiting while in progress.

        Raises:
            StoreError: it failed.
        """
        latest = self._latest
        if latest is None or not (wait or latest.done()):
            return None
        error = latest.exception()
        self._latest = None
        if error is not None:
            raise error
        return latest.result()

    def close(self) -> None:
        """Close the connection after the checkpoint in progress, whatever became of that; raise ``apsw.Error``."""
        if self._latest is not None:
            self._latest.exception()
        if self._connection is not None:
            self._connection.close()

    def _run(self, latest: "Future[Checkpoint]") -> None:
        try:
            with forks.at_work():
                checkpoint = self._copy_wal()
        except BaseException as error:  # noqa: BLE001 - it belongs to who takes the checkpoint
            latest.set_exception(error)
        else:
            latest.set_result(checkpoint)

    def _copy_wal(self) -> Checkpoint:
        if self._connection is None:
            with translated_errors():
                self._connection = _open(self._path)
        with translated_errors(self._connection):
            return copy_wal(self._connection)


def _open(path: Path) -> apsw.Connection:
    connection = open_existing(path)
    try:
        # The order of syncs decides what a power cut takes, whoever checkpoints.
        connection.pragma("synchronous", "FULL")
        # Before it has read, a connection does not know about the WAL.
        connection.pragma("schema_version")
    except BaseException:
        connection.close()
        raise
    return connection
