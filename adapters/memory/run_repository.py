"""The run repository over a dictionary."""

from collections.abc import Callable, Iterator, Sequence
from operator import gt, lt

import attrs

from core.model.listing import (
    Cursor,
    NameField,
    Names,
    NamesRequest,
    PageRequest,
    RunFilter,
    RunPage,
    take_what_fits,
)
from core.model.run import EventId, Run, count_bytes, count_text_bytes
from core.ports.run_repository import RunRepository, ignore


@attrs.frozen
class Kept:
    """A run and its number in the order of arrival."""

    run: Run
    arrival: int

    @property
    def place(self) -> Cursor:
        """Where the run stands in the list."""
        return Cursor(self.run.start_time, self.arrival)


class MemoryRunRepository(RunRepository):
    """Runs by key, in order of arrival."""

    def __init__(self, kept: dict[EventId, Kept]) -> None:
        self._kept = kept

    def get(self, event_id: EventId) -> Run | None:
        kept = self._kept.get(event_id)
        return kept.run if kept else None

    def newest(self, run_id: str) -> Run | None:
        named = (kept for kept in self._kept.values() if kept.run.run_id == run_id)
        newest = max(named, key=lambda kept: kept.place, default=None)
        return newest.run if newest else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        matching = sorted(self._matching(which), key=lambda kept: kept.place, reverse=not request.oldest_first)
        if request.cursor is not None:
            passed = gt if request.oldest_first else lt
            matching = [kept for kept in matching if passed(kept.place, request.cursor)]
        chosen, more = take_what_fits(
            matching[request.offset :], lambda kept: count_text_bytes(kept.run), request.limit, request.max_text_bytes
        )
        return RunPage(tuple(kept.run for kept in chosen), chosen[-1].place if more else None)

    def count(self, which: RunFilter) -> int:
        return sum(1 for _ in self._matching(which))

    def names(self, field: NameField, request: NamesRequest) -> Names:
        names = sorted({getattr(kept.run, field) for kept in self._kept.values()})
        chosen, _ = take_what_fits(names[request.offset :], count_bytes, request.limit, request.max_text_bytes)
        return Names(tuple(chosen), len(names))

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        for run in runs:
            if run.event_id in self._kept:
                found(self._kept[run.event_id].run)
            else:
                self._kept[run.event_id] = Kept(run, arrival=len(self._kept))

    def replace(self, run: Run) -> None:
        self._kept[run.event_id] = Kept(run, self._kept[run.event_id].arrival)

    def _matching(self, which: RunFilter) -> Iterator[Kept]:
        return (kept for kept in self._kept.values() if _matches(kept.run, which))


def _matches(run: Run, which: RunFilter) -> bool:
    ranges = {"start_time_from", "start_time_to"}
    equals = attrs.asdict(which, filter=lambda field, value: value is not None and field.name not in ranges)
    return (
        all(getattr(run, name) == value for name, value in equals.items())
        and (which.start_time_from is None or run.start_time >= which.start_time_from)
        and (which.start_time_to is None or run.start_time <= which.start_time_to)
    )
