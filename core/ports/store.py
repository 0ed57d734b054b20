"""The port for a whole run store."""

from contextlib import AbstractContextManager
from typing import Protocol

from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.refusal_repository import RefusalRepository
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork


class Store(Protocol):
    """Stores runs. Its methods may be called from any thread.

    Entering a unit of work or a reader raises ``StoreClosedError`` after ``close``, and ``StoreForkedError`` in a
    process forked from the one that opened the store.
    """

    def unit_of_work(self) -> UnitOfWork:
        """Return a new unit of work, not yet entered."""
        ...

    def reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[RunReader]:
        """Return a consistent snapshot of the committed runs, valid inside the block. It never waits for a writer.

        A snapshot takes up disk space, so a store on disk may limit the duration of the block: later reads raise
        ``StoreTimeoutError``. Once cancellation is requested, a read in progress soon raises ``ReadCancelledError``,
        and so does a reader that begins later.
        """
        ...

    def job_reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[JobReader]:
        """Return the same for jobs."""
        ...

    def refusals(self, keep: int) -> RefusalRepository:
        """Return what keeps the last ``keep`` refused runs, at least 1. Nothing is opened before it is first used."""
        ...

    def check_room(self) -> None:
        """Raise ``StoreFullError`` if the next write would find no space, as far as can be told without writing."""
        ...

    def measure(self) -> StoreFigures:
        """Return how large the store is. It never waits for a writer; it raises ``StoreError`` when the store fails."""
        ...

    def maintain(self, *, quiet: bool) -> None:
        """Do the housekeeping that is due. Called between units of work by the writing thread.

        ``quiet`` means that no writes are pending. Otherwise only overdue work is done.
        """
        ...

    def close(self) -> None:
        """Release all resources once the current unit of work has ended.

        Readers in use continue to their end and then release theirs. Closing again does nothing. Neither does closing
        in a forked process, because the store belongs to its parent.
        """
        ...
