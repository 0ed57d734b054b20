"""A store whose commits tests watch, hold up and let fail."""

from contextlib import AbstractContextManager
from threading import Event
from types import TracebackType
from typing import Self

from adapters.memory import MemoryStore
from core.errors import StoreError, TransactionConflictError
from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader, JobRepository
from core.ports.refusal_repository import RefusalRepository
from core.ports.run_repository import RunReader, RunRepository
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import HANG_GUARD_SECONDS


class ObservedStore(Store):
    """A store in memory that counts commits, can hold them up and can fail."""

    def __init__(self) -> None:
        self._inner = MemoryStore()
        self.commits = 0
        self.commit_reached = Event()
        self.commit_allowed = Event()
        self.entering_fails: StoreError | None = None
        self.commit_fails: StoreError | None = None
        self.conflicts = 0
        self.maintenance_fails: StoreError | None = None
        self.maintained: list[bool] = []

    def unit_of_work(self) -> UnitOfWork:
        return ObservedWork(self, self._inner.unit_of_work())

    def reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[RunReader]:
        return self._inner.reader(cancellation)

    def job_reader(self, cancellation: Cancellation | None = None) -> AbstractContextManager[JobReader]:
        return self._inner.job_reader(cancellation)

    def refusals(self, keep: int) -> RefusalRepository:
        return self._inner.refusals(keep)

    def check_room(self) -> None:
        self._inner.check_room()

    def measure(self) -> StoreFigures:
        return self._inner.measure()

    def maintain(self, *, quiet: bool) -> None:
        self.maintained.append(quiet)
        if self.maintenance_fails:
            raise self.maintenance_fails

    def close(self) -> None:
        self._inner.close()


class ObservedWork(UnitOfWork):
    """Hands everything on to the unit of work inside it."""

    def __init__(self, store: ObservedStore, inner: UnitOfWork) -> None:
        self._store = store
        self._inner = inner

    @property
    def runs(self) -> RunRepository:
        return self._inner.runs

    @property
    def jobs(self) -> JobRepository:
        return self._inner.jobs

    def __enter__(self) -> Self:
        if self._store.entering_fails:
            raise self._store.entering_fails
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._inner.savepoint()

    def commit(self) -> None:
        self._store.commits += 1
        self._store.commit_reached.set()
        assert self._store.commit_allowed.wait(HANG_GUARD_SECONDS)
        if self._store.conflicts:
            self._store.conflicts -= 1
            raise TransactionConflictError("somebody else was faster")
        if self._store.commit_fails:
            raise self._store.commit_fails
        self._inner.commit()
