"""The run store in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from adapters.memory.repository import Kept, MemoryRunRepository
from adapters.memory.unit_of_work import MemoryUnitOfWork
from core.ports.repository import RunReader
from core.ports.store import Store
from core.run import EventId


class MemoryStore(Store):
    """Runs in a dictionary. A reader sees the runs that were committed when its block began."""

    def __init__(self) -> None:
        self._kept: dict[EventId, Kept] = {}
        self._lock = Lock()

    def unit_of_work(self) -> MemoryUnitOfWork:
        return MemoryUnitOfWork(MemoryRunRepository(self._kept), self._lock)

    @contextmanager
    def reader(self) -> Iterator[RunReader]:
        with self._lock:
            snapshot = dict(self._kept)
        yield MemoryRunRepository(snapshot)

    def close(self) -> None:
        self._kept.clear()
