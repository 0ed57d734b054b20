"""The run store in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.lifetime import Lifetime
from adapters.memory.job_repository import MemoryJobRepository
from adapters.memory.refusal_repository import MemoryRefusalRepository, RefusalList
from adapters.memory.run_repository import MemoryRunRepository
from adapters.memory.unit_of_work import MemoryUnitOfWork, State
from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.run_repository import RunReader
from core.ports.store import Store


class MemoryStore(Store):
    """Dictionaries that are never changed once they are committed: each commit puts new ones in their place."""

    def __init__(self) -> None:
        self._committed = State()
        self._refused = RefusalList()
        self._lifetime = Lifetime()

    def unit_of_work(self) -> MemoryUnitOfWork:
        return MemoryUnitOfWork(lambda: self._committed, self._publish, self._lifetime)

    @contextmanager
    def reader(self, cancellation: Cancellation | None = None) -> Iterator[RunReader]:
        state = self._current(cancellation)
        yield MemoryRunRepository(state.runs, state.marks)

    @contextmanager
    def job_reader(self, cancellation: Cancellation | None = None) -> Iterator[JobReader]:
        state = self._current(cancellation)
        yield MemoryJobRepository(state.jobs, state.marks)

    def refusals(self, keep: int) -> MemoryRefusalRepository:
        return MemoryRefusalRepository(self._refused, keep)

    def check_room(self) -> None:
        pass

    def measure(self) -> StoreFigures:
        with self.job_reader() as jobs:
            return StoreFigures(jobs=jobs.counts())

    def maintain(self, *, quiet: bool) -> None:
        pass

    def close(self) -> None:
        if self._lifetime.end():
            self._committed = State()

    def _current(self, cancellation: Cancellation | None) -> State:
        self._lifetime.check()
        if cancellation is not None:
            cancellation.check()
        return self._committed

    def _publish(self, state: State) -> None:
        self._committed = state
