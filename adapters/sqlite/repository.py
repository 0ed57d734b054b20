"""The run repository over SQLite: what is said to the tables, and how rows become runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import apsw
import attrs

from adapters.rows import CHANGING, COLUMNS, TALLIED, changing_values_of, count_names, run_of, values_of
from adapters.sqlite.errors import damaged, translated_errors
from adapters.sqlite.keys import AMONG_ARRIVALS, add_keys, event_hash, find_arrivals, integers, run_hash, take_arrivals
from adapters.sqlite.listing import RunList
from core.listing import Cursor, Metadata, PageRequest, RunFilter, RunPage
from core.ports.repository import RunRepository
from core.run import FIELDS, EventId, Run, Text

_SELECT = f"SELECT {COLUMNS} FROM runs"
_INSERT = f"INSERT INTO runs (arrival, {COLUMNS}) VALUES (?, {', '.join('?' * len(FIELDS))})"
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE event_id = ? AND {AMONG_ARRIVALS}"
_TALLY = (
    "INSERT INTO tallies (field, name, runs) VALUES (?, ?, ?) "
    "ON CONFLICT (field, name) DO UPDATE SET runs = runs + excluded.runs"
)


class SqliteRunRepository(RunRepository):
    """The runs as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._list = RunList(connection)

    def get(self, event_id: EventId) -> Run | None:
        arrivals = self._arrivals([event_hash(event_id)])
        sql = f"{_SELECT} WHERE event_id = ? AND {AMONG_ARRIVALS}"
        rows = self._rows(sql, (event_id, integers(arrivals))) if arrivals else []
        return _to_run(rows[0]) if rows else None

    def newest(self, run_id: str) -> Run | None:
        runs = self.page(RunFilter(run_id=Text(run_id)), PageRequest(limit=1)).runs
        return runs[0] if runs else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        # One row more than asked for tells whether there is a next page.
        rows = self._list.rows(which, attrs.evolve(request, limit=request.limit + 1))
        runs = tuple(_to_run(row[2:]) for row in rows[: request.limit])
        more = len(rows) > request.limit
        return RunPage(runs, Cursor(runs[-1].start_time, rows[request.limit - 1][1]) if more else None)

    def count(self, which: RunFilter) -> int:
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
        if not given:
            return self._number("SELECT total(runs) FROM tallies WHERE field = 'agent_name'", ())
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number("SELECT total(runs) FROM tallies WHERE field = ? AND name = ?", (field, given[field]))
        return self._list.count(which)

    def metadata(self) -> Metadata:
        return Metadata(agent_names=self._names("agent_name"), job_types=self._names("job_type"))

    def add(self, runs: Sequence[Run]) -> Mapping[EventId, Run]:
        with translated_errors(self._connection):
            hashes = {run.event_id: event_hash(run.event_id) for run in runs}
            before = self._kept(hashes)
            new = [run for run in runs if run.event_id not in before] if before else runs
            if new:
                self._insert(new, hashes)
        return before

    def replace(self, run: Run) -> None:
        with translated_errors(self._connection):
            arrivals = self._arrivals([event_hash(run.event_id)])
            self._connection.execute(_REPLACE, (*changing_values_of(run), run.event_id, integers(arrivals)))

    def _insert(self, runs: Sequence[Run], hashes: Mapping[EventId, int]) -> None:
        first = take_arrivals(self._connection, len(runs))
        self._connection.executemany(_INSERT, ((arrival, *values_of(run)) for arrival, run in enumerate(runs, first)))
        add_keys(self._connection, [(hashes[run.event_id], run_hash(run.run_id)) for run in runs], first)
        self._tally(runs)

    def _kept(self, hashes: Mapping[EventId, int]) -> dict[EventId, Run]:
        """The runs that are kept under these keys, given with their hashes."""
        arrivals = self._arrivals(hashes.values())
        if not arrivals:
            return {}
        rows = self._rows(f"{_SELECT} WHERE {AMONG_ARRIVALS}", (integers(arrivals),))
        return {run.event_id: run for run in map(_to_run, rows) if run.event_id in hashes}

    def _arrivals(self, hashes: Iterable[int]) -> list[int]:
        """The arrivals of the runs that have one of the hashes; bound as ``integers`` to ``AMONG_ARRIVALS``."""
        with translated_errors(self._connection):
            return find_arrivals(self._connection, hashes)

    def _tally(self, runs: Iterable[Run]) -> None:
        names = count_names(runs)
        self._connection.executemany(_TALLY, [(*named, count) for named, count in names.items()])

    def _names(self, field: str) -> tuple[str, ...]:
        return tuple(name for (name,) in self._rows("SELECT name FROM tallies WHERE field = ? ORDER BY name", (field,)))

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
