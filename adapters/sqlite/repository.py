"""The run repository over SQLite: what is said to the tables, and how rows become runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import apsw
import attrs

from adapters.rows import CHANGING, COLUMNS, TALLIED, changing_values_of, count_names, run_of, values_of
from adapters.sqlite.errors import damaged, translated_errors
from adapters.sqlite.keys import add_keys, event_hash, find_arrivals, integers, run_hash
from core.listing import (
    Cursor,
    NameField,
    Names,
    NamesRequest,
    PageRequest,
    RunFilter,
    RunPage,
    take_what_fits,
)
from core.ports.repository import RunRepository, ignore
from core.run import FIELDS, EventId, Run, count_bytes, count_text_bytes

_SELECT = f"SELECT {COLUMNS} FROM runs"
_INSERT = f"INSERT INTO runs (arrival, {COLUMNS}) VALUES (?, {', '.join('?' * len(FIELDS))})"
_AMONG = "arrival IN (SELECT value FROM carray(?))"
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE event_id = ? AND {_AMONG}"
_TALLY = (
    "INSERT INTO tallies (field, name, runs) VALUES (?, ?, ?) "
    "ON CONFLICT (field, name) DO UPDATE SET runs = runs + excluded.runs"
)


class SqliteRunRepository(RunRepository):
    """The runs as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, event_id: EventId) -> Run | None:
        arrivals = self._arrivals([event_hash(event_id)])
        return self._one(f"{_SELECT} WHERE event_id = ? AND {_AMONG}", event_id, arrivals)

    def newest(self, run_id: str) -> Run | None:
        arrivals = self._arrivals([run_hash(run_id)])
        sql = f"{_SELECT} WHERE run_id = ? AND {_AMONG} ORDER BY start_time DESC, arrival DESC LIMIT 1"
        return self._one(sql, run_id, arrivals)

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        conditions, bindings = self._conditions(which)
        if request.cursor is not None:
            conditions.append(f"(start_time, arrival) {'>' if request.oldest_first else '<'} (?, ?)")
            bindings += [request.cursor.start_time, request.cursor.arrival]
        order = "ASC" if request.oldest_first else "DESC"
        sql = (
            f"SELECT arrival, {COLUMNS} FROM runs{_where(conditions)} "
            f"ORDER BY start_time {order}, arrival {order} LIMIT ? OFFSET ?"
        )
        # One row more than asked for tells whether there is a next page.
        with self._walk(sql, (*bindings, request.limit + 1, request.offset)) as rows:
            found = ((row[0], _to_run(row[1:])) for row in rows)
            taken, more = take_what_fits(
                found, lambda placed: count_text_bytes(placed[1]), request.limit, request.max_text_bytes
            )
        return RunPage(tuple(run for _, run in taken), Cursor(taken[-1][1].start_time, taken[-1][0]) if more else None)

    def count(self, which: RunFilter) -> int:
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
        if not given:
            return self._number("SELECT total(runs) FROM tallies WHERE field = 'agent_name'", ())
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number("SELECT total(runs) FROM tallies WHERE field = ? AND name = ?", (field, given[field]))
        conditions, bindings = self._conditions(which)
        return self._number(f"SELECT count(*) FROM runs{_where(conditions)}", tuple(bindings))

    def names(self, field: NameField, request: NamesRequest) -> Names:
        total = self._number("SELECT count(*) FROM tallies WHERE field = ?", (field,))
        sql = "SELECT name FROM tallies WHERE field = ? ORDER BY name LIMIT ? OFFSET ?"
        with self._walk(sql, (field, request.limit, request.offset)) as rows:
            names, _ = take_what_fits((name for (name,) in rows), count_bytes, request.limit, request.max_text_bytes)
        return Names(tuple(names), total)

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        with translated_errors(self._connection):
            hashes = {run.event_id: event_hash(run.event_id) for run in runs}
            before = self._find(hashes, found)
            new = [run for run in runs if run.event_id not in before] if before else runs
            first = self._next_arrival()
            self._connection.executemany(
                _INSERT, ((arrival, *values_of(run)) for arrival, run in enumerate(new, first))
            )
            add_keys(self._connection, [(hashes[run.event_id], run_hash(run.run_id)) for run in new], first)
            self._tally(new)

    def replace(self, run: Run) -> None:
        with translated_errors(self._connection):
            arrivals = self._arrivals([event_hash(run.event_id)])
            self._connection.execute(_REPLACE, (*changing_values_of(run), run.event_id, integers(arrivals)))

    def _next_arrival(self) -> int:
        return self._number("SELECT coalesce(max(arrival), 0) + 1 FROM runs", ())

    def _find(self, hashes: Mapping[EventId, int], found: Callable[[Run], object]) -> set[EventId]:
        """Hand over the runs that are kept under these keys, given with their hashes; return their keys."""
        arrivals = self._arrivals(hashes.values())
        keys: set[EventId] = set()
        if not arrivals:
            return keys
        with self._walk(f"{_SELECT} WHERE {_AMONG}", (integers(arrivals),)) as rows:
            for run in map(_to_run, rows):
                if run.event_id in hashes:
                    keys.add(run.event_id)
                    found(run)
        return keys

    def _arrivals(self, hashes: Iterable[int]) -> list[int]:
        """The arrivals of the runs that have one of the hashes; bound as ``integers`` to ``_AMONG``."""
        with translated_errors(self._connection):
            return find_arrivals(self._connection, hashes)

    def _conditions(self, which: RunFilter) -> tuple[list[str], list[Any]]:
        """The filter as SQL conditions and their bindings."""
        operators = {"start_time_from": "start_time >= ?", "start_time_to": "start_time <= ?"}
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
        conditions = [operators.get(name, f"{name} = ?") for name in given]
        bindings = list(given.values())
        for given_id, id_hash in ((which.event_id, event_hash), (which.run_id, run_hash)):
            if given_id is not None:
                conditions.append(_AMONG)
                bindings.append(integers(self._arrivals([id_hash(given_id)])))
        return conditions, bindings

    def _tally(self, runs: Iterable[Run]) -> None:
        names = count_names(runs)
        self._connection.executemany(_TALLY, [(*named, count) for named, count in names.items()])

    def _one(self, sql: str, key: str, arrivals: Sequence[int]) -> Run | None:
        """The run that has the key and one of the arrivals."""
        rows = self._rows(sql, (key, integers(arrivals))) if arrivals else []
        return _to_run(rows[0]) if rows else None

    def _number(self, sql: str, bindings: tuple[Any, ...]) -> int:
        return int(self._rows(sql, bindings)[0][0])

    @contextmanager
    def _walk(self, sql: str, bindings: tuple[Any, ...]) -> Iterator[Iterable[tuple[Any, ...]]]:
        """Read rows one by one; none is read that is not drawn within the block."""
        with translated_errors(self._connection), closing(self._connection.execute(sql, bindings)) as rows:
            yield rows

    def _rows(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with translated_errors(self._connection):
            return cast(list[tuple[Any, ...]], self._connection.execute(sql, bindings).fetchall())


def _to_run(row: tuple[Any, ...]) -> Run:
    try:
        return run_of(row)
    except KeyError as error:
        raise damaged(error) from error


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
