"""The port for a transaction."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from core.ports.job_repository import JobRepository
from core.ports.run_repository import RunRepository


class UnitOfWork(Protocol):
    """A transaction: leaving the block without ``commit()`` rolls everything back.

    Units of work of one store are mutually exclusive: entering waits until the previous one has ended. It raises
    ``StoreBusyError`` if another process keeps it waiting for too long. Those of other processes may run
    concurrently. If two of them conflict, one is rolled back, and any of its methods may raise
    ``TransactionConflictError``. Enter a unit of work once, and use it from one thread.
    """

    @property
    def runs(self) -> RunRepository:
        """The runs as this unit of work sees them. Use it only inside the block."""
        ...

    @property
    def jobs(self) -> JobRepository:
        """The jobs as this unit of work sees them. Only to be used inside the block."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Return a context manager that, on an exception, rolls back only what was done inside it.

        Savepoints nest. The exception propagates.
        """
        ...

    def check_writable(self) -> None:
        """Raise ``StoreError`` if this unit of work may not add or replace runs, as far as the store can tell.

        Nothing is changed. The message says what is missing.
        """
        ...

    def commit(self) -> None:
        """Make everything durable: once this returns, it survives any crash or power cut. Call it once, last.

        Raises ``StoreFullError`` or another ``StoreError``; the unit of work was then rolled back. Only if the
        connection is lost during the commit is the outcome unknown, and the ``StoreBusyError`` says so.
        """
        ...
