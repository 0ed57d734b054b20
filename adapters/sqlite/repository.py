"""The run repository over SQLite: what is said to the tables, and how rows become runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

import apsw
import attrs

from adapters.sqlite.errors import translated_errors
from core.listing import Cursor, Metadata, PageRequest, RunFilter, RunPage
from core.ports.repository import RunRepository
from core.run import FIELDS, CommitSource, EventId, JsonText, Run, Status

_COLUMNS = ", ".join(FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM runs"
_INSERT = f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('?' * len(FIELDS))}) ON CONFLICT (event_id) DO NOTHING"
# The cross join makes SQLite look each key up in the index instead of walking the table.
_SELECT_ARRIVED_BEFORE = f"SELECT {_COLUMNS} FROM carray(?) CROSS JOIN runs ON runs.event_id = value WHERE arrival <= ?"
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in FIELDS)} WHERE event_id = ?"
_TALLY = (
    "INSERT INTO tallies (field, name, runs) VALUES (?, ?, ?) "
    "ON CONFLICT (field, name) DO UPDATE SET runs = runs + excluded.runs"
)
_TALLIED = ("agent_name", "job_type")

_values = attrgetter(*FIELDS)
_CONVERTERS: Sequence[tuple[int, Callable[[Any], object]]] = [
    (FIELDS.index(name), convert)
    for name, convert in (
        ("status", Status),
        ("metrics_json", JsonText),
        ("context_json", JsonText),
        ("commit_source", CommitSource),
        ("extra", JsonText),
    )
]


class SqliteRunRepository(RunRepository):
    """The runs as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, event_id: EventId) -> Run | None:
        return self._one(f"{_SELECT} WHERE event_id = ?", (event_id,))

    def newest(self, run_id: str) -> Run | None:
        return self._one(f"{_SELECT} WHERE run_id = ? ORDER BY start_time DESC, arrival DESC LIMIT 1", (run_id,))

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        conditions, bindings = _conditions(which)
        if request.cursor is not None:
            conditions.append("(start_time, arrival) < (?, ?)")
            bindings += [request.cursor.start_time, request.cursor.arrival]
        sql = (
            f"SELECT arrival, {_COLUMNS} FROM runs{_where(conditions)} "
            "ORDER BY start_time DESC, arrival DESC LIMIT ? OFFSET ?"
        )
        # One row more than asked for tells whether there is a next page.
        rows = self._rows(sql, (*bindings, request.limit + 1, request.offset))
        runs = tuple(_to_run(row[1:]) for row in rows[: request.limit])
        more = len(rows) > request.limit
        return RunPage(runs, Cursor(runs[-1].start_time, rows[request.limit - 1][0]) if more else None)

    def count(self, which: RunFilter) -> int:
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
        if not given:
            return self._number("SELECT total(runs) FROM tallies WHERE field = 'agent_name'", ())
        if len(given) == 1 and (field := next(iter(given))) in _TALLIED:
            return self._number("SELECT total(runs) FROM tallies WHERE field = ? AND name = ?", (field, given[field]))
        conditions, bindings = _conditions(which)
        return self._number(f"SELECT count(*) FROM runs{_where(conditions)}", tuple(bindings))

    def metadata(self) -> Metadata:
        return Metadata(agent_names=self._names("agent_name"), job_types=self._names("job_type"))

    def add(self, runs: Sequence[Run]) -> Mapping[EventId, Run]:
        with translated_errors():
            last = self._number("SELECT coalesce(max(arrival), 0) FROM runs", ())
            changes = self._connection.total_changes()
            self._connection.executemany(_INSERT, map(_values, runs))
            before: dict[EventId, Run] = {}
            if self._connection.total_changes() - changes < len(runs):
                keys = apsw.carray(tuple(run.event_id for run in runs))
                before = {run.event_id: run for run in map(_to_run, self._rows(_SELECT_ARRIVED_BEFORE, (keys, last)))}
            self._tally([run for run in runs if run.event_id not in before] if before else runs)
        return before

    def replace(self, run: Run) -> None:
        with translated_errors():
            self._connection.execute(_REPLACE, (*_values(run), run.event_id))

    def _tally(self, runs: Iterable[Run]) -> None:
        for field in _TALLIED:
            names = Counter(map(attrgetter(field), runs))
            self._connection.executemany(_TALLY, [(field, name, count) for name, count in names.items()])

    def _names(self, field: str) -> tuple[str, ...]:
        return tuple(name for (name,) in self._rows("SELECT name FROM tallies WHERE field = ? ORDER BY name", (field,)))

    def _one(self, sql: str, bindings: tuple[Any, ...]) -> Run | None:
        rows = self._rows(sql, bindings)
        return _to_run(rows[0]) if rows else None

    def _number(self, sql: str, bindings: tuple[Any, ...]) -> int:
        return int(self._rows(sql, bindings)[0][0])

    def _rows(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with translated_errors():
            return cast(list[tuple[Any, ...]], self._connection.execute(sql, bindings).fetchall())


def _to_run(row: tuple[Any, ...]) -> Run:
    values = list(row)
    for position, convert in _CONVERTERS:
        if values[position] is not None:
            values[position] = convert(values[position])
    return Run(*values)


def _conditions(which: RunFilter) -> tuple[list[str], list[Any]]:
    """The filter as SQL conditions and their bindings."""
    operators = {"start_time_from": "start_time >= ?", "start_time_to": "start_time <= ?"}
    given = attrs.asdict(which, filter=lambda _, value: value is not None)
    return [operators.get(name, f"{name} = ?") for name in given], list(given.values())


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
