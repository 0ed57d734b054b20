"""Reading the list of runs by key, so that a page costs the same wherever it is and however many runs match."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final, cast

import apsw
import attrs

from adapters.sql_rows import COLUMNS, LAST_ARRIVAL, Walk, walk_of
from adapters.sqlite.conditions import conditions_of, index_of
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.keys import AMONG_ARRIVALS, ENTRIES, event_hash, find_arrivals, integers, run_hash
from adapters.sqlite.schema import start_of
from core.model.listing import Cursor, PageRequest, RunFilter, examined_by
from core.model.run import Timestamp

SLICE_ENTRIES: Final = 1000
"""The maximum number of a name's entries read at a time; a page starts with as many as it needs if all match."""

_ROWS_AT_A_TIME: Final = 16
"""The maximum number of a name's rows in memory, since each may be large."""

Row = tuple[Any, ...]
"""The position of a run in the list (its start and its arrival), and its fields."""

Place = tuple[int, int]
"""The start and the arrival of a run, as in keys."""

_FIRST: Final = (Timestamp("0001-01-01T00:00:00.000000Z"), -1)
_LAST: Final = (Timestamp("9999-12-31T23:59:59.999999Z"), LAST_ARRIVAL)

_ALL: Final = PageRequest(limit=SLICE_ENTRIES)
_STARTS = f"SELECT {start_of('?1')}, {start_of('?2')}"


class RunList:
    """The list of runs as one connection sees it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(
        self, which: RunFilter, request: PageRequest, columns: str = COLUMNS, last: Place | None = None
    ) -> Generator[Row, None, None]:
        """Read the rows of a page one by one, up to the run at ``last``; close the generator if it is not exhausted."""
        if which.event_id is not None:
            return self._rows_of_key(which, request, columns, last)
        if which.run_id is not None:
            return self._rows_of_name(which, request, columns, last)
        return self._rows_of_list(which, request, columns, last)

    def count(self, which: RunFilter) -> int:
        """Count the matching runs one by one."""
        if which.event_id is None and which.run_id is not None:
            return sum(1 for _ in self._places(which, _ALL, None))
        walk, condition, bindings = self._range(which, _ALL, None)
        beyond = walk.sql("(start, arrival) {beyond} (:start, :arrival) AND start {within} :until")
        sql = f"SELECT count(*) FROM runs{index_of(which)} WHERE {condition} {beyond}"
        return int(self._query(sql, bindings)[0][0])

    def nth(self, which: RunFilter, request: PageRequest, number: int) -> Place | None:
        """Return the place of the matching run with this number, counted from 1; ``None`` if none follows it."""
        behind = attrs.evolve(request, offset=number - 1, limit=2)
        # No column of the table, so that an index is all that is read.
        with closing(self.rows(which, behind, "NULL")) as rows:
            found = [row[:2] for row in rows]
        return found[0] if len(found) == 2 else None

    def place_of(self, cursor: Cursor) -> Place:
        """Return the place at which a cursor is."""
        ((start, _),) = self._query(_STARTS, (cursor.start_time, cursor.start_time))
        return start, cursor.arrival

    def newest(self, which: RunFilter, last: Place | None, limit: int) -> tuple[str, dict[str, Any]]:
        """Return the matching runs down to the one at ``last`` as SQL, to follow ``FROM``, and the bindings.

        Of a name's runs, at most ``limit`` are examined in any case.
        """
        _, condition, bindings = self._range(which, _ALL, last)
        if which.event_id is None and which.run_id is not None:
            places = islice(self._places(examined_by(which), _ALL, last), limit)
            bindings |= {"arrivals": integers(arrival for _, arrival in places)}
            condition += f"{AMONG_ARRIVALS} AND "
        return f"runs{index_of(which)} WHERE {condition} start BETWEEN :until AND :start", bindings

    def _rows_of_key(
        self, which: RunFilter, request: PageRequest, columns: str, last: Place | None
    ) -> Generator[Row, None, None]:
        """Return the row of a key. At most one run has it, so there is nothing to order."""
        walk, condition, bindings = self._range(which, request, last)
        sql = walk.sql(
            f"{_select(columns)} {condition} (start, arrival) {{beyond}} (:start, :arrival) "
            "AND start {within} :until LIMIT :limit OFFSET :offset"
        )
        return stream(self._connection, sql, bindings | _limits(request))

    def _rows_of_list(
        self, which: RunFilter, request: PageRequest, columns: str, last: Place | None
    ) -> Generator[Row, None, None]:
        """Return the rows in index order, first those with the start at which the walk begins.

        The query has two parts, because SQLite has no index range over a column and ``arrival``, which is the rowid: it
        would scan all runs with that start for each page.
        """
        walk, condition, bindings = self._range(which, request, last)
        select = f"{_select(columns, index_of(which))} {condition}"
        sql = walk.sql(
            f"{select} start = :start AND arrival {{beyond}} :arrival AND :start {{within}} :until "
            f"UNION ALL {select} start {{beyond}} :start AND start {{within}} :until "
            "ORDER BY start {order}, arrival {order} LIMIT :limit OFFSET :offset"
        )
        return stream(self._connection, sql, bindings | _limits(request))

    def _rows_of_name(
        self, which: RunFilter, request: PageRequest, columns: str, last: Place | None
    ) -> Generator[Row, None, None]:
        """Yield the rows in the order of their entries."""
        # In two steps, because the sum of the two may be more than a slice can count to.
        places = islice(islice(self._places(which, request, last), request.offset, None), request.limit)
        while part := list(islice(places, _ROWS_AT_A_TIME)):
            arrivals = integers(arrival for _, arrival in part)
            sql = f"{_select(columns)} {AMONG_ARRIVALS}"
            rows = {row[:2]: row for row in self._query(sql, {"arrivals": arrivals})}
            yield from (rows[place] for place in part)

    def _places(self, which: RunFilter, request: PageRequest, last: Place | None) -> Iterator[Place]:
        """Yield the positions of all matching runs of a name, in order."""
        _, condition, bindings = self._range(which, request, last)
        sql = f"SELECT start, arrival FROM runs WHERE {condition} {AMONG_ARRIVALS}"
        for entries in self._entries(which, request):
            # Names that share the hash also have entries, and so do runs that were deleted by hand.
            arrivals = integers(arrival for _, arrival in entries)
            found = set(self._query(sql, bindings | {"arrivals": arrivals}))
            yield from (place for place in entries if place in found)

    def _entries(self, which: RunFilter, request: PageRequest) -> Iterator[Sequence[Place]]:
        """Yield the entries of a name, slice by slice."""
        walk, ends = self._walk(which, request)
        after = (ends["start"], ends["arrival"])
        size = request.offset + request.limit
        while True:
            size = min(size, SLICE_ENTRIES)
            entries = self._query(walk.sql(ENTRIES), (run_hash(which.run_id or ""), *after, ends["until"], size))
            if entries:
                yield entries
            if len(entries) < size:
                return
            after = entries[-1]
            size *= 2

    def _range(self, which: RunFilter, request: PageRequest, last: Place | None) -> tuple[Walk, str, dict[str, Any]]:
        """Return the walk, the filter without the time range and its end as SQL, and the bindings of everything."""
        walk, bindings = self._walk(which, request)
        condition, given = self.conditions(which)
        if last is None:
            return walk, condition, bindings | given
        # First the place, since a search of the run's texts takes longest.
        end = walk.sql("(start, arrival) {within} (:last_start, :last_arrival) AND ")
        ends = {"until": last[0], "last_start": last[0], "last_arrival": last[1]}
        return walk, end + condition, bindings | given | ends

    def _walk(self, which: RunFilter, request: PageRequest) -> tuple[Walk, dict[str, Any]]:
        """Return the walk that the page is part of, and its ends as ``:start``, ``:arrival`` and ``:until``."""
        walk = walk_of(which, request)
        first, last = (_FIRST, _LAST) if request.oldest_first else (_LAST, _FIRST)
        (after, arrival), until = walk.after or first, walk.until or last[0]
        ((start, end),) = self._query(_STARTS, (after, until))
        return walk, {"start": start, "arrival": arrival, "until": end}

    def conditions(self, which: RunFilter) -> tuple[str, dict[str, Any]]:
        """Return the filter without the time range as SQL, to be followed by another condition, and its bindings."""
        terms, bindings = conditions_of(which)
        if which.event_id is not None:
            with translated_errors(self._connection):
                arrivals = find_arrivals(self._connection, [event_hash(which.event_id)])
            terms.append(AMONG_ARRIVALS)
            bindings["arrivals"] = integers(arrivals)
        return "".join(f"{term} AND " for term in terms), bindings

    def _query(self, sql: str, bindings: Mapping[str, Any] | Sequence[Any]) -> list[Row]:
        with translated_errors(self._connection):
            return cast(list[Row], self._connection.execute(sql, bindings).fetchall())


def _select(columns: str, index: str = "") -> str:
    return f"SELECT start, arrival, {columns} FROM runs{index} WHERE"


def _limits(request: PageRequest) -> dict[str, int]:
    return {"limit": request.limit, "offset": request.offset}


def stream(
    connection: apsw.Connection, sql: str, bindings: Mapping[str, Any] | Sequence[Any]
) -> Generator[tuple[Any, ...], None, None]:
    """Read rows one by one.

    Close the generator if it is not exhausted: an open statement would hold up checkpoints.
    """
    with translated_errors(connection), closing(connection.execute(sql, bindings)) as rows:
        yield from rows
