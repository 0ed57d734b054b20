"""The run repository on a dictionary."""

from collections.abc import Callable, Iterator, Sequence
from operator import gt, lt

import attrs

from adapters.memory.figures import facets_of, statistics_of
from adapters.memory.matching import matches
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
    SummaryPage,
    examined_by,
    take_what_fits,
)
from core.model.run import EventId, Run, Timestamp, count_bytes, count_text_bytes
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest
from core.model.store_version import StoreVersion
from core.model.summary import RunSummary, count_summary_bytes, summarize
from core.model.tree import Children, Room, RunOutline, count_outline_bytes, outline, take_children
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
        found = self._part(which, request, count_text_bytes)
        return RunPage(
            tuple(stored.run for stored in found.stored), found.next_cursor, last_examined=found.last_examined
        )

    def summaries(self, which: RunFilter, request: PageRequest) -> SummaryPage:
        found = self._part(which, request, lambda run: count_summary_bytes(summarize(run)))
        summaries = tuple(summarize(stored.run) for stored in found.stored)
        return SummaryPage(summaries, found.next_cursor, last_examined=found.last_examined)

    def children(self, parents: Sequence[str], room: Room) -> Children[RunSummary]:
        return take_children(self._children(parents), count_summary_bytes, room)

    def outlines(self, parents: Sequence[str], room: Room) -> Children[RunOutline]:
        return take_children(map(outline, self._children(parents)), count_outline_bytes, room)

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        return statistics_of(self._newest_first(which), which, request)

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        return facets_of(self._newest_first(which), which, request)

    def count(self, which: RunFilter) -> int:
        return sum(1 for stored in self._stored.values() if matches(stored.run, which))

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

    def amend(self, keys: Sequence[EventId], change: Callable[[Run], Run | None]) -> None:
        for key in keys:
            stored = self._stored[key]
            self._stored[key] = attrs.evolve(stored, run=change(stored.run) or stored.run)

    def _children(self, parents: Sequence[str]) -> Iterator[RunSummary]:
        named = {name: place for place, name in enumerate(parents)}
        below = [stored for stored in self._stored.values() if stored.run.parent_run_id in named]
        below.sort(key=lambda stored: (named[stored.run.parent_run_id or ""], stored.place))
        return (summarize(stored.run) for stored in below)

    def _part(self, which: RunFilter, request: PageRequest, size_of: Callable[[Run], int]) -> "_Part":
        """Return part of the list, its runs measured like this."""
        ahead = self._examined(which)
        if request.oldest_first:
            ahead.reverse()
        passed = gt if request.oldest_first else lt
        if request.cursor is not None:
            ahead = [stored for stored in ahead if passed(stored.place, request.cursor)]
        limited = ahead[: request.max_examined]
        last_examined = limited[-1].place if len(limited) < len(ahead) else None
        if request.last_examined is not None:
            last_examined = request.last_examined
            limited = [stored for stored in ahead if not passed(stored.place, last_examined)]
        matching = [stored for stored in limited if matches(stored.run, which)][request.offset :]
        chosen, more = take_what_fits(
            matching, lambda stored: size_of(stored.run), request.limit, request.max_text_bytes
        )
        return _Part(chosen, chosen[-1].place if more else last_examined, last_examined)

    def _newest_first(self, which: RunFilter) -> list[Run]:
        return [stored.run for stored in self._examined(which)]

    def _examined(self, which: RunFilter) -> list[StoredRun]:
        """Return the runs to examine, newest first."""
        examined = examined_by(which)
        found = (stored for stored in self._stored.values() if matches(stored.run, examined))
        return sorted(found, key=lambda stored: stored.place, reverse=True)


@attrs.frozen
class _Part:
    """Part of the list; the rest as in ``RunPage``."""

    stored: Sequence[StoredRun]
    next_cursor: Cursor | None
    last_examined: Cursor | None
