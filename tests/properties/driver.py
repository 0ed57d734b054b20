"""How the state machine talks to a store: one interface for every entrypoint, in the model's terms."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from threading import Event
from typing import Any, Final, Protocol, TypeVar

import attrs

from adapters.wire.structure import Structurer
from core.errors import BatchRolledBackError, EveryRunRefusedError, HorizonError, RunNotFoundError, RunRefusedError
from core.model.batch import BatchResult
from core.model.limits import Limits
from core.model.listing import PageRequest
from core.model.run import Timestamp
from core.ports.run_repository import RunReader
from core.ports.store import Store
from core.use_cases.amend import ingest_amending
from core.use_cases.ingest import Mode, Upload
from core.use_cases.retention import prune_slice, raise_horizon
from entrypoints.application import Application
from entrypoints.embedded import RunStore
from tests.contract.samples import HANG_GUARD_SECONDS
from tests.fakes.clock import SteppedClock
from tests.properties.model import Kept, seen

Sent = dict[str, Any]
_T = TypeVar("_T")

TOP: Final = ""
"""The cursor of the beginning of a list: like no cursor, but without counting."""


class Verdict(Enum):
    """The outcome of a batch as a whole."""

    TAKEN = auto()
    PARTLY = auto()
    REFUSED = auto()


@attrs.frozen
class Told:
    """The result of a batch: ``counts`` are total, created, existing, failed; ``bad`` is index and field."""

    verdict: Verdict
    counts: tuple[int, int, int, int]
    runs: list[Kept]
    conflicts: list[tuple[int, str, frozenset[str]]]
    bad: list[tuple[int, str | None]]


@attrs.frozen
class Page:
    """A part of the list; ``next_cursor`` is to be sent back."""

    runs: list[Kept]
    total: int | None
    next_cursor: Any


class Driver(Protocol):
    """A store behind an entrypoint. Results that are not found or rejected are ``None``."""

    def tick(self) -> str:
        """Begin a step; return the timestamp of everything created or changed in it."""
        ...

    def ingest(self, runs: Sequence[object], *, atomic: bool) -> Told: ...

    def create(self, run: Sent) -> Kept | None: ...

    def update(self, event_id: str, changes: Sent) -> Kept | None: ...

    def associate_commit(self, event_id: str, commit: Sent) -> Kept | None: ...

    def newest(self, run_id: str) -> Kept | None: ...

    def page(self, which: Mapping[str, str], *, limit: int, offset: int = 0, cursor: Any = None) -> Page:
        """Return the matching runs, counted unless a cursor is given."""
        ...

    def names(self) -> tuple[list[str], list[str]]:
        """Return the distinct agent names and job types."""
        ...

    def prune(self, horizon: str) -> None:
        """Raise the retention horizon, unless it is later already, and delete what starts before it."""
        ...

    def reopen(self) -> None:
        """Close the store and open it again."""
        ...

    def close(self) -> None: ...


class InProcessDriver(Driver):
    """The in-process API, on any store."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._structurer = Structurer()
        self._clock = SteppedClock()
        self._open()

    def _open(self) -> None:
        self._kept_in = self._open_store()
        self._application = Application.over(self._kept_in, self._clock, Limits())
        self._store = RunStore(self._application)

    def tick(self) -> str:
        self._clock.step += 1
        return self._clock.now()

    def ingest(self, runs: Sequence[Any], *, atomic: bool) -> Told:
        return _told_by(lambda: self._store.ingest_atomic(runs) if atomic else self._store.ingest_lenient(runs))

    def ingest_together(self, batches: Sequence[tuple[Sequence[Any], bool]]) -> list[Told]:
        """Ingest batches, each of them atomic or not, that wait for the same commit."""
        gate, now = Event(), self._clock.now()
        self._application.write(lambda _work: gate.wait(HANG_GUARD_SECONDS))
        futures = [
            self._application.ingest(
                Upload(
                    Mode.ATOMIC if atomic else Mode.LENIENT,
                    [self._structurer.run(run, index, now) for index, run in enumerate(runs)],
                    lambda _: None,
                )
            )
            for runs, atomic in batches
        ]
        gate.set()
        return [_told_by(future.result) for future in futures]

    def create(self, run: Sent) -> Kept | None:
        try:
            return seen(self._store.create(run))
        except RunRefusedError:
            return None

    def update(self, event_id: str, changes: Sent) -> Kept | None:
        try:
            return seen(self._store.update(event_id, changes))
        except RunNotFoundError:
            return None

    def associate_commit(self, event_id: str, commit: Sent) -> Kept | None:
        try:
            return seen(self._store.associate_commit(event_id, commit))
        except RunNotFoundError:
            return None

    def newest(self, run_id: str) -> Kept | None:
        try:
            return seen(self._store.get(run_id))
        except RunNotFoundError:
            return None

    def page(self, which: Mapping[str, str], *, limit: int, offset: int = 0, cursor: Any = None) -> Page:
        request = PageRequest(limit=limit, offset=offset, cursor=cursor or None, counted=cursor is None)
        page = self._store.page(self._structurer.run_filter(which), request)
        return Page([seen(run) for run in page.runs], page.total, page.next_cursor)

    def names(self) -> tuple[list[str], list[str]]:
        metadata = self._store.metadata()
        return list(metadata.agent_names.names), list(metadata.job_types.names)

    def look(self, query: Callable[[RunReader], _T]) -> _T:
        """Carry out a query that only in-process users have."""
        with self._kept_in.reader() as runs:
            return query(runs)

    def amend(self, runs: Sequence[Any]) -> BatchResult:
        """Send reports of runs, of which one that has ended amends one that is running."""
        now = self._clock.now()
        batch = [self._structurer.run(run, index, now) for index, run in enumerate(runs)]
        with self._kept_in.unit_of_work() as work:
            result = ingest_amending(batch, range(len(batch)), work)
            work.commit()
        return result

    def prune(self, horizon: str) -> None:
        prune_store(self._kept_in, horizon)

    def reopen(self) -> None:
        self._store.close()
        self._open()

    def close(self) -> None:
        self._store.close()


def prune_store(store: Store, horizon: str) -> None:
    """Do what ``runsink prune`` does, at the end of time, so that no horizon lies in the future."""
    with store.unit_of_work() as work:
        with suppress(HorizonError):
            raise_horizon(Timestamp(horizon), Timestamp("9999-12-31T23:59:59.999999Z"), work)
        work.commit()
    cursor, more = None, True
    while more:
        with store.unit_of_work() as work:
            cursor = prune_slice(cursor, work).next_cursor
            work.commit()
        more = cursor is not None


def _told_by(call: Callable[[], BatchResult]) -> Told:
    try:
        result = call()
    except (EveryRunRefusedError, BatchRolledBackError) as error:
        return _told(Verdict.REFUSED, error.result)
    return _told(Verdict.PARTLY if result.failed else Verdict.TAKEN, result)


def _told(verdict: Verdict, result: BatchResult) -> Told:
    return Told(
        verdict,
        (result.total, result.created, result.existing, result.failed),
        [seen(run) for run in result.runs],
        [(conflict.index, conflict.event_id, frozenset(conflict.fields)) for conflict in result.conflicts],
        [(refused.index, fault.field) for refused in result.refused for fault in refused.errors],
    )
