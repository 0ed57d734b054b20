"""The port to a whole run store."""

from contextlib import AbstractContextManager
from typing import Protocol

from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork


class Store(Protocol):
    """Where runs are kept. Its methods may be called from any thread.

    Entering a unit of work or a reader raises ``StoreClosedError`` after ``close``, and ``StoreForkedError`` in a
    process that was forked from the one that opened the store.
    """

    def unit_of_work(self) -> UnitOfWork:
        """A new unit of work, not yet entered."""
        ...

    def reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[RunReader]:
        """One consistent state of what is committed, for the length of the block; it never waits for a writer.

        A store on a disk keeps room for that state, so it may bound the length of the block: what is read after it
        raises ``StoreTimeoutError``. Once the cancellation is requested, what is being read raises
        ``ReadCancelledError`` in a moment, and so does a reader that begins after it.
        """
        ...

    def job_reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[JobReader]:
        """The same for jobs."""
        ...

    def check_room(self) -> None:
        """Raise ``StoreFullError`` when the next write would find no room, as far as that shows without writing."""
        ...

    def maintain(self, *, quiet: bool) -> None:
        """Do what housekeeping is due; called between units of work by the thread that writes.

        ``quiet`` says that nobody waits to write. Otherwise only what cannot be put off any longer is done.
        """
        ...

    def close(self) -> None:
        """Let go of everything, once the unit of work that is under way is left.

        Readers in use go on to their end and then let go of what is theirs. Closing again does nothing, nor does
        closing in a forked process, for there the store belongs to the other one.
        """
        ...
