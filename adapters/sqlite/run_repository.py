"""The run repository on SQLite: its statements, and the conversion of rows to runs."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import apsw
import attrs

from adapters.sql_rows import CHANGING, COLUMNS, TALLIED, changing_values_of, count_names, run_of, values_of
from adapters.sqlite.arrivals import Arrivals, read_version
from adapters.sqlite.errors import damaged, translated_errors
from adapters.sqlite.keys import AMONG_ARRIVALS, add_keys, event_hash, find_arrivals, integers, remove_keys, run_hash
from adapters.sqlite.listing import RunList, stream
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
from core.model.run import FIELDS, EventId, Run, Text, Timestamp, count_bytes, count_text_bytes
from core.model.store_version import StoreVersion
from core.ports.run_repository import RunRepository, ignore

_SELECT = f"SELECT {COLUMNS} FROM runs"
_INSERT = f"INSERT INTO runs (arrival, {COLUMNS}) VALUES (?, {', '.join('?' * len(FIELDS))})"
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE event_id = ? AND {AMONG_ARRIVALS}"
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

_Place = tuple[int, int]
"""The start and the arrival of a run, as in keys."""


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
        taken, next_cursor = self._take(which, request)
        return RunPage(tuple(run for _, run in taken), next_cursor)

    def count(self, which: RunFilter) -> int:
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
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
        taken, next_cursor = self._take(which, request)
        with translated_errors(self._connection):
            remove_keys(self._connection, (entry for place, run in taken for entry in _entries(place, run)))
            arrivals = integers(arrival for (_, arrival), _ in taken)
            self._connection.execute(f"DELETE FROM runs WHERE {AMONG_ARRIVALS}", {"arrivals": arrivals})
            names = count_names([run for _, run in taken])
            self._connection.executemany(_UNTALLY, [(count, *named) for named, count in names.items()])
            self._connection.executemany(_FORGET, list(names))
        return RemovedPage(len(taken), next_cursor)

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

    def _take(self, which: RunFilter, request: PageRequest) -> tuple[list[tuple[_Place, Run]], Cursor | None]:
        """Return the runs of a page, each with its start and arrival, and the cursor of the next page."""
        # One row more than requested tells whether there is a next page.
        with closing(self._list.rows(which, attrs.evolve(request, limit=request.limit + 1))) as rows:
            placed = (((row[0], row[1]), _to_run(row[2:])) for row in rows)
            taken, more = take_what_fits(
                placed, lambda found: count_text_bytes(found[1]), request.limit, request.max_text_bytes
            )
        return taken, Cursor(taken[-1][1].start_time, taken[-1][0][1]) if more else None

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


def _to_run(row: tuple[Any, ...]) -> Run:
    try:
        return run_of(row)
    except KeyError as error:
        raise damaged(error) from error


def _entries(place: _Place, run: Run) -> Iterable[tuple[int, int, int]]:
    """Return the entries of a run in the index of keys."""
    start, arrival = place
    return (event_hash(run.event_id), 0, arrival), (run_hash(run.run_id), start, arrival)
