"""The run repository on a dictionary."""

from collections.abc import Callable, Iterator, Sequence
from operator import gt, lt

import attrs

from adapters.store_version import new_version
from core.model.listing import (
    Cursor,
    NameField,
    Names,
    NamesRequest,
    PageRequest,
    RemovedPage,
    RunFilter,
    RunPage,
    take_what_fits,
)
from core.model.run import EventId, Run, Timestamp, count_bytes, count_text_bytes
from core.model.store_version import StoreVersion
from core.ports.run_repository import RunRepository, ignore


@attrs.frozen
class StoredRun:
    """A run and its arrival number."""

    run: Run
    arrival: int

    @property
    def place(self) -> Cursor:
        """The position of the run in the list."""
        return Cursor(self.run.start_time, self.arrival)


@attrs.define
class Marks:
    """What a store knows beside its runs: the retention horizon, the number of runs that ever arrived, its version."""

    horizon: Timestamp | None = None
    arrived: int = 0
    version: StoreVersion = attrs.field(factory=new_version, eq=False)


class MemoryRunRepository(RunRepository):
    """Runs by key, in order of arrival."""

    def __init__(self, stored: dict[EventId, StoredRun], marks: Marks) -> None:
        self._stored = stored
        self._marks = marks

    def version(self) -> StoreVersion:
        return self._marks.version

    def get(self, event_id: EventId) -> Run | None:
        stored = self._stored.get(event_id)
        return stored.run if stored else None

    def newest(self, run_id: str) -> Run | None:
        named = (stored for stored in self._stored.values() if stored.run.run_id == run_id)
        newest = max(named, key=lambda stored: stored.place, default=None)
        return newest.run if newest else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        matching = sorted(self._matching(which), key=lambda stored: stored.place, reverse=not request.oldest_first)
        if request.cursor is not None:
            passed = gt if request.oldest_first else lt
            matching = [stored for stored in matching if passed(stored.place, request.cursor)]
        chosen, more = take_what_fits(
            matching[request.offset :],
            lambda stored: count_text_bytes(stored.run),
            request.limit,
            request.max_text_bytes,
        )
        return RunPage(tuple(stored.run for stored in chosen), chosen[-1].place if more else None)

    def count(self, which: RunFilter) -> int:
        return sum(1 for _ in self._matching(which))

    def names(self, field: NameField, request: NamesRequest) -> Names:
        names = sorted({getattr(stored.run, field) for stored in self._stored.values()})
        chosen, _ = take_what_fits(names[request.offset :], count_bytes, request.limit, request.max_text_bytes)
        return Names(tuple(chosen), len(names))

    def retention_horizon(self) -> Timestamp | None:
        return self._marks.horizon

    def raise_retention_horizon(self, horizon: Timestamp) -> None:
        self._marks.horizon = max(horizon, self._marks.horizon or horizon)

    def remove(self, which: RunFilter, request: PageRequest) -> RemovedPage:
        page = self.page(which, request)
        for run in page.runs:
            del self._stored[run.event_id]
        return RemovedPage(len(page.runs), page.next_cursor)

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        for run in runs:
            if run.event_id in self._stored:
                found(self._stored[run.event_id].run)
            else:
                self._stored[run.event_id] = StoredRun(run, arrival=self._marks.arrived)
                self._marks.arrived += 1

    def replace(self, run: Run) -> None:
        self._stored[run.event_id] = StoredRun(run, self._stored[run.event_id].arrival)

    def _matching(self, which: RunFilter) -> Iterator[StoredRun]:
        return (stored for stored in self._stored.values() if _matches(stored.run, which))


def _matches(run: Run, which: RunFilter) -> bool:
    ranges = {"start_time_from", "start_time_to"}
    equals = attrs.asdict(which, filter=lambda field, value: value is not None and field.name not in ranges)
    return (
        all(getattr(run, name) == value for name, value in equals.items())
        and (which.start_time_from is None or run.start_time >= which.start_time_from)
        and (which.start_time_to is None or run.start_time <= which.start_time_to)
    )
