"""The run store in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.lifetime import Lifetime
from adapters.memory.run_repository import MemoryRunRepository
from adapters.memory.unit_of_work import MemoryUnitOfWork, State
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader
from core.ports.store import Store


class MemoryStore(Store):
    """Runs in a dictionary that never changes once committed: each commit replaces it."""

    def __init__(self) -> None:
        self._committed: State = {}
        self._lifetime = Lifetime()

    def unit_of_work(self) -> MemoryUnitOfWork:
        return MemoryUnitOfWork(lambda: self._committed, self._publish, self._lifetime)

    @contextmanager
    def reader(self, cancellation: Cancellation | None = None) -> Iterator[RunReader]:
        self._lifetime.check()
        if cancellation is not None:
            cancellation.check()
        yield MemoryRunRepository(self._committed)

    def check_room(self) -> None:
        pass

    def maintain(self, *, quiet: bool) -> None:
        pass

    def close(self) -> None:
        if self._lifetime.end():
            self._committed = {}

    def _publish(self, state: State) -> None:
        self._committed = state
