"""The unit of work in memory: it works on a copy, which becomes the store's state on commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import attrs

from adapters.lifetime import Lifetime
from adapters.memory.job_repository import KeptJob, MemoryJobRepository
from adapters.memory.run_repository import Marks, MemoryRunRepository, StoredRun
from adapters.store_version import new_version
from core.model.job import JobId
from core.model.run import EventId
from core.ports.unit_of_work import UnitOfWork


@attrs.frozen
class State:
    """What a store holds."""

    runs: dict[EventId, StoredRun] = attrs.field(factory=dict)
    jobs: dict[JobId, KeptJob] = attrs.field(factory=dict)
    marks: Marks = attrs.field(factory=Marks)

    def copy(self) -> Self:
        """Return a state that may be changed by itself."""
        return attrs.evolve(self, runs=dict(self.runs), jobs=dict(self.jobs), marks=attrs.evolve(self.marks))

    def become(self, other: "State") -> None:
        """Hold what another state holds."""
        self.runs.clear()
        self.runs.update(other.runs)
        self.jobs.clear()
        self.jobs.update(other.jobs)
        for name, value in attrs.asdict(other.marks).items():
            setattr(self.marks, name, value)


class MemoryUnitOfWork(UnitOfWork):
    """Holds the store's lock from entry to exit."""

    def __init__(self, read: Callable[[], State], publish: Callable[[State], None], lifetime: Lifetime) -> None:
        self._read = read
        self._publish = publish
        self._lifetime = lifetime
        self._state = State()
        self._runs = MemoryRunRepository(self._state.runs, self._state.marks)
        self._jobs = MemoryJobRepository(self._state.jobs, self._state.marks)

    @property
    def runs(self) -> MemoryRunRepository:
        return self._runs

    @property
    def jobs(self) -> MemoryJobRepository:
        return self._jobs

    def __enter__(self) -> Self:
        self._lifetime.acquire()
        self._state.become(self._read())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetime.release()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = self._state.copy()
        try:
            yield
        except BaseException:
            self._state.become(before)
            raise

    def check_writable(self) -> None:
        """Do nothing: memory accepts every write."""

    def commit(self) -> None:
        changed = self._state.copy()
        if changed != self._read():
            changed.marks.version = new_version()
        self._publish(changed)
