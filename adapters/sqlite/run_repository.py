"""The run repository on SQLite: its statements, and the conversion of rows to runs."""

import json
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

import apsw
import attrs
import msgspec

from adapters.search_slices import Slices
from adapters.sql_rows import (
    AMENDED,
    CHANGING,
    COLUMNS,
    OUTLINE_COLUMNS,
    SUMMARY_COLUMNS,
    TALLIED,
    amended_values_of,
    changing_values_of,
    count_names,
    count_renamed,
    given_parts,
    outline_of,
    run_of,
    summary_of,
    values_of,
)
from adapters.sqlite.arrivals import Arrivals, read_version
from adapters.sqlite.errors import damaged, translated_errors
from adapters.sqlite.figures import SqliteFigures
from adapters.sqlite.keys import (
    AMONG_ARRIVALS,
    add_keys,
    event_hash,
    find_arrivals,
    integers,
    remove_keys,
    replace_keys,
    run_hash,
)
from adapters.sqlite.listing import Place, Row, RunList, stream
from adapters.sqlite.schema import time_of
from core.model.listing import (
    MAX_PART_BYTES,
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
from core.model.run import FIELDS, EventId, Run, Text, Timestamp, count_bytes, count_text_bytes
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest
from core.model.store_version import StoreVersion
from core.model.summary import RunSummary, count_summary_bytes
from core.model.tree import Children, Room, RunOutline, count_outline_bytes, take_children
from core.ports.run_repository import RunRepository, ignore

_SELECT = f"SELECT {COLUMNS} FROM runs"
_INSERT = f"INSERT INTO runs (arrival, {COLUMNS}) VALUES (?, {', '.join('?' * len(FIELDS))})"
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE event_id = ? AND {AMONG_ARRIVALS}"
_AMEND = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in AMENDED)} WHERE arrival = ?"
_TALLY = (
    "INSERT INTO tallies (field, name, runs) VALUES (?, ?, ?) "
    "ON CONFLICT (field, name) DO UPDATE SET runs = runs + excluded.runs"
)

_UNTALLY = "UPDATE tallies SET runs = runs - ? WHERE field = ? AND name = ?"
_FORGET = "DELETE FROM tallies WHERE field = ? AND name = ? AND runs <= 0"
_RAISE = (
    "INSERT INTO retention (id, horizon) VALUES (1, ?) "
    "ON CONFLICT (id) DO UPDATE SET horizon = max(horizon, excluded.horizon)"
)

_name_and_start = attrgetter("run_id", "start_time")

_Item = TypeVar("_Item")


@attrs.frozen
class _Part(Generic[_Item]):
    """Part of the list, with the place of each item; the rest as in ``RunPage``."""

    taken: list[tuple[Place, _Item]]
    next_cursor: Cursor | None
    last_examined: Cursor | None


class SqliteRunRepository(RunRepository):
    """The runs as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._list = RunList(connection)
        self.arrivals = Arrivals(connection)

    def version(self) -> StoreVersion:
        return read_version(self._connection)

    def get(self, event_id: EventId) -> Run | None:
        arrivals = self._arrivals([event_hash(event_id)])
        sql = f"{_SELECT} WHERE event_id = ? AND {AMONG_ARRIVALS}"
        rows = self._rows(sql, (event_id, integers(arrivals))) if arrivals else []
        return _to_run(rows[0]) if rows else None

    def newest(self, run_id: str) -> Run | None:
        runs = self.page(RunFilter(run_id=Text(run_id)), PageRequest(limit=1)).runs
        return runs[0] if runs else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        part = self._take(which, request, COLUMNS, run_of, count_text_bytes)
        return RunPage(tuple(run for _, run in part.taken), part.next_cursor, last_examined=part.last_examined)

    def summaries(self, which: RunFilter, request: PageRequest) -> SummaryPage:
        part = self._take(which, request, SUMMARY_COLUMNS, summary_of, count_summary_bytes)
        return SummaryPage(tuple(run for _, run in part.taken), part.next_cursor, last_examined=part.last_examined)

    def children(self, parents: Sequence[str], room: Room) -> Children[RunSummary]:
        with closing(self._children(parents, room, SUMMARY_COLUMNS)) as rows, _noticing_damage():
            return take_children(map(summary_of, rows), count_summary_bytes, room)

    def outlines(self, parents: Sequence[str], room: Room) -> Children[RunOutline]:
        with closing(self._children(parents, room, OUTLINE_COLUMNS)) as rows, _noticing_damage():
            return take_children(map(outline_of, rows), count_outline_bytes, room)

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        return SqliteFigures(self._connection).statistics(which, request)

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        return SqliteFigures(self._connection).facets(which, request)

    def count(self, which: RunFilter) -> int:
        given = given_parts(which)
        if not given:
            return self._number("SELECT total(runs) FROM tallies WHERE field = 'agent_name'", ())
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number("SELECT total(runs) FROM tallies WHERE field = ? AND name = ?", (field, given[field]))
        return self._list.count(which)

    def names(self, field: NameField, request: NamesRequest) -> Names:
        total = self._number("SELECT count(*) FROM tallies WHERE field = ?", (field,))
        sql = "SELECT name FROM tallies WHERE field = ? ORDER BY name LIMIT ? OFFSET ?"
        with closing(stream(self._connection, sql, (field, request.limit, request.offset))) as rows:
            names, _ = take_what_fits((name for (name,) in rows), count_bytes, request.limit, request.max_text_bytes)
        return Names(tuple(names), total)

    def retention_horizon(self) -> Timestamp | None:
        rows = self._rows("SELECT horizon FROM retention", ())
        return Timestamp(rows[0][0]) if rows else None

    def raise_retention_horizon(self, horizon: Timestamp) -> None:
        self._rows(_RAISE, (horizon,))

    def remove(self, which: RunFilter, request: PageRequest) -> RemovedPage:
        part = self._take(which, request, COLUMNS, run_of, count_text_bytes)
        taken = part.taken
        with translated_errors(self._connection):
            remove_keys(self._connection, (entry for place, run in taken for entry in _entries(place, run)))
            arrivals = integers(arrival for (_, arrival), _ in taken)
            self._connection.execute(f"DELETE FROM runs WHERE {AMONG_ARRIVALS}", {"arrivals": arrivals})
            names = count_names([run for _, run in taken])
            self._connection.executemany(_UNTALLY, [(count, *named) for named, count in names.items()])
            self._connection.executemany(_FORGET, list(names))
        return RemovedPage(len(taken), part.next_cursor)

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        with translated_errors(self._connection):
            hashes = {run.event_id: event_hash(run.event_id) for run in runs}
            before = self._find(hashes, found)
            new = [run for run in runs if run.event_id not in before] if before else runs
            if new:
                self._insert(new, hashes)

    def replace(self, run: Run) -> None:
        with translated_errors(self._connection):
            arrivals = self._arrivals([event_hash(run.event_id)])
            self._connection.execute(_REPLACE, (*changing_values_of(run), run.event_id, integers(arrivals)))

    def amend(self, keys: Sequence[EventId], change: Callable[[Run], Run | None]) -> None:
        wanted = frozenset(keys)
        rest = sorted(self._arrivals(map(event_hash, keys)))
        while rest:
            taken, more = self._among(rest, wanted)
            # Written after they were read, because a statement must not change the rows that another one is reading.
            self._amend([(place, run, changed) for place, run in taken if (changed := change(run)) is not None])
            rest = rest[bisect_right(rest, taken[-1][0][1]) :] if more else []

    def _among(self, arrivals: Sequence[int], wanted: Collection[EventId]) -> tuple[Sequence[tuple[Place, Run]], bool]:
        """Return the wanted runs with these sorted arrivals as far as they fit in a part, and whether more follow."""
        sql = f"SELECT start, arrival, {COLUMNS} FROM runs WHERE {AMONG_ARRIVALS} ORDER BY arrival"
        with closing(stream(self._connection, sql, {"arrivals": integers(arrivals)})) as rows:
            placed = ((row[:2], _to_run(row[2:])) for row in rows)
            found = ((place, run) for place, run in placed if run.event_id in wanted)
            return take_what_fits(found, lambda one: count_text_bytes(one[1]), len(arrivals), MAX_PART_BYTES)

    def _amend(self, changes: Sequence[tuple[Place, Run, Run]]) -> None:
        """Store what runs become, each given with its place and as it was before."""
        with translated_errors(self._connection):
            rows = ((*amended_values_of(after), arrival) for (_, arrival), _, after in changes)
            self._connection.executemany(_AMEND, rows)
            moved = [change for change in changes if _name_and_start(change[1]) != _name_and_start(change[2])]
            replace_keys(
                self._connection,
                (entry for place, before, _ in moved for entry in _entries(place, before)),
                (entry for place, _, after in moved for entry in _entries(self._place(after, place[1]), after)),
            )
            names = count_renamed([(before, after) for _, before, after in changes])
            self._connection.executemany(_TALLY, [(*named, change) for named, change in names.items()])
            self._connection.executemany(_FORGET, [named for named, change in names.items() if change < 0])

    def _place(self, run: Run, arrival: int) -> Place:
        return self._list.place_of(Cursor(run.start_time, arrival))

    def _take(
        self,
        which: RunFilter,
        request: PageRequest,
        columns: str,
        convert: Callable[[tuple[Any, ...]], _Item],
        size_of: Callable[[_Item], int],
    ) -> "_Part[_Item]":
        """Return part of the list, each run converted from these columns."""
        # One row more than requested tells whether there is a next page.
        asked = attrs.evolve(request, limit=request.limit + 1)
        slices = Slices(which, asked, self._last_examined(which, request), self._nth)
        with closing(self._rows_of(which, slices, columns)) as rows, _noticing_damage():
            placed = (((row[0], row[1]), convert(row[2:])) for row in rows)
            taken, more = take_what_fits(placed, lambda found: size_of(found[1]), request.limit, request.max_text_bytes)
        return _Part(taken, _cursor_at(taken[-1][0]) if more else slices.last, slices.last)

    def _last_examined(self, which: RunFilter, request: PageRequest) -> Cursor | None:
        """Return the place of the last run to examine; ``None`` if there is no limit, or none follows it."""
        if request.last_examined is not None or request.max_examined is None:
            return request.last_examined
        return self._nth(examined_by(which), request, request.max_examined)

    def _nth(self, which: RunFilter, request: PageRequest, number: int) -> Cursor | None:
        place = self._list.nth(which, request, number)
        return None if place is None else _cursor_at(place)

    def _rows_of(self, which: RunFilter, slices: Slices, columns: str) -> Generator[Row, None, None]:
        for request, last in slices:
            place = None if last is None else self._list.place_of(last)
            with closing(self._list.rows(which, request, columns, place)) as rows:
                yield from rows

    def _children(self, parents: Sequence[str], room: Room, columns: str) -> Generator[tuple[Any, ...], None, None]:
        """Read the children of these names, and one more than there is room for."""
        # The loops run in this order, and each name's children are in that of the index.
        sql = (
            f"SELECT {columns} FROM json_each(?) AS parents CROSS JOIN runs INDEXED BY runs_by_parent_run_id "
            "ON parent_run_id = parents.value LIMIT ?"
        )
        return stream(self._connection, sql, (json.dumps(parents), room.runs + 1))

    def _insert(self, runs: Sequence[Run], hashes: Mapping[EventId, int]) -> None:
        first = self.arrivals.take(len(runs))
        self._connection.executemany(_INSERT, ((arrival, *values_of(run)) for arrival, run in enumerate(runs, first)))
        add_keys(self._connection, [(hashes[run.event_id], run_hash(run.run_id)) for run in runs], first)
        self._tally(runs)

    def _find(self, hashes: Mapping[EventId, int], found: Callable[[Run], object]) -> set[EventId]:
        """Pass the runs stored under these keys, given with their hashes, to ``found``; return their keys."""
        arrivals = self._arrivals(hashes.values())
        keys: set[EventId] = set()
        if not arrivals:
            return keys
        sql = f"{_SELECT} WHERE {AMONG_ARRIVALS}"
        with closing(stream(self._connection, sql, {"arrivals": integers(arrivals)})) as rows:
            for run in map(_to_run, rows):
                if run.event_id in hashes:
                    keys.add(run.event_id)
                    found(run)
        return keys

    def _arrivals(self, hashes: Iterable[int]) -> list[int]:
        """Return the arrivals of the runs with one of the hashes; bind them as ``integers`` to ``AMONG_ARRIVALS``."""
        with translated_errors(self._connection):
            return find_arrivals(self._connection, hashes)

    def _tally(self, runs: Collection[Run]) -> None:
        names = count_names(runs)
        self._connection.executemany(_TALLY, [(*named, count) for named, count in names.items()])

    def _number(self, sql: str, bindings: tuple[Any, ...]) -> int:
        return int(self._rows(sql, bindings)[0][0])

    def _rows(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with translated_errors(self._connection):
            return cast(list[tuple[Any, ...]], self._connection.execute(sql, bindings).fetchall())


@contextmanager
def _noticing_damage() -> Iterator[None]:
    """Raise ``StoreDamagedError`` if a row has what was never written."""
    try:
        yield
    except (KeyError, msgspec.DecodeError) as error:
        raise damaged(error) from error


def _cursor_at(place: Place) -> Cursor:
    return Cursor(time_of(place[0]), place[1])


def _to_run(row: tuple[Any, ...]) -> Run:
    # Without a context manager, whose cost would show in every upload that is sent again.
    try:
        return run_of(row)
    except KeyError as error:
        raise damaged(error) from error


def _entries(place: Place, run: Run) -> Iterable[tuple[int, int, int]]:
    """Return the entries of a run in the index of keys."""
    start, arrival = place
    return (event_hash(run.event_id), 0, arrival), (run_hash(run.run_id), start, arrival)
