"""The port to a transaction."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from core.ports.job_repository import JobRepository
from core.ports.run_repository import RunRepository


class UnitOfWork(Protocol):
    """All or nothing: leaving the block without ``commit()`` undoes everything, so forgetting is safe.

    Units of work of one store exclude each other: entering waits until the one before is left. It raises
    ``StoreBusyError`` when another process keeps it waiting for too long. Those of other processes may run at the
    same time; where the two cannot both be right, one of them is undone, and any of its methods raises
    ``TransactionConflictError``. A unit of work is entered once and used by one thread.
    """

    @property
    def runs(self) -> RunRepository:
        """The runs as this unit of work sees them. Only to be used inside the block."""
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
        """A block that, left by an exception, undoes what was done inside it and nothing else.

        Savepoints nest. The exception goes on to the caller.
        """
        ...

    def check_writable(self) -> None:
        """Raise ``StoreError`` when this unit of work may not add or replace runs, as far as the store can tell.

        It changes nothing. The message says what is lacking.
        """
        ...

    def commit(self) -> None:
        """Make everything durable: when this returns, no crash or power cut takes it away. Called once, last.

        Raises ``StoreFullError`` or another ``StoreError``; then nothing of the unit of work was kept. Only where a
        connection is lost in this very moment can nobody know, and the message of the ``StoreBusyError`` says so.
        """
        ...
