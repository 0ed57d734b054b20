"""The unit of work over memory: one at a time, and a rollback that really undoes."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Self

from adapters.memory.repository import MemoryRunRepository
from core.ports.unit_of_work import UnitOfWork


class MemoryUnitOfWork(UnitOfWork):
    """Holds the store's lock from entering to leaving; ``commit`` makes the writes stay."""

    def __init__(self, runs: MemoryRunRepository, lock: Lock) -> None:
        self._runs = runs
        self._lock = lock
        self._committed = 0

    @property
    def runs(self) -> MemoryRunRepository:
        return self._runs

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.undo_to(self._committed)
        self._lock.release()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        start = self._runs.journal_length()
        try:
            yield
        except BaseException:
            self._runs.undo_to(start)
            raise

    def commit(self) -> None:
        self._committed = self._runs.journal_length()
