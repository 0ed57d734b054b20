"""The unit of work in memory: it works on a copy, which becomes the store's state on commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from adapters.lifetime import Lifetime
from adapters.memory.run_repository import MemoryRunRepository, StoredRun
from core.model.run import EventId
from core.ports.unit_of_work import UnitOfWork

State = dict[EventId, StoredRun]


class MemoryUnitOfWork(UnitOfWork):
    """Holds the store's lock from entry to exit."""

    def __init__(self, read: Callable[[], State], publish: Callable[[State], None], lifetime: Lifetime) -> None:
        self._read = read
        self._publish = publish
        self._lifetime = lifetime
        self._state: State = {}
        self._runs = MemoryRunRepository(self._state)

    @property
    def runs(self) -> MemoryRunRepository:
        return self._runs

    def __enter__(self) -> Self:
        self._lifetime.acquire()
        self._state.update(self._read())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetime.release()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = dict(self._state)
        try:
            yield
        except BaseException:
            self._state.clear()
            self._state.update(before)
            raise

    def check_writable(self) -> None:
        """Do nothing: memory accepts every write."""

    def commit(self) -> None:
        self._publish(dict(self._state))
