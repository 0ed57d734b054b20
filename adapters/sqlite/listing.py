"""Reading the list of runs by key, so that a page costs the same wherever it is and however many runs match."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final, cast

import apsw
import attrs

from adapters.sql_rows import COLUMNS, LAST_ARRIVAL, TIMES, Walk, walk_of
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.keys import AMONG_ARRIVALS, ENTRIES, event_hash, find_arrivals, integers, run_hash
from adapters.sqlite.schema import start_of
from core.model.listing import PageRequest, RunFilter
from core.model.run import Timestamp

SLICE_ENTRIES: Final = 1000
"""The maximum number of a name's entries read at a time; a page starts with as many as it needs if all match."""

_ROWS_AT_A_TIME: Final = 16
"""The maximum number of a name's rows in memory, since each may be large."""

Row = tuple[Any, ...]
"""The position of a run in the list (its start and its arrival), and its fields."""

_Place = tuple[int, int]

_FIRST: Final = (Timestamp("0001-01-01T00:00:00.000000Z"), -1)
_LAST: Final = (Timestamp("9999-12-31T23:59:59.999999Z"), LAST_ARRIVAL)

_SELECT = f"SELECT start, arrival, {COLUMNS} FROM runs WHERE"
_STARTS = f"SELECT {start_of('?1')}, {start_of('?2')}"


class RunList:
    """The list of runs as one connection sees it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, which: RunFilter, request: PageRequest) -> Generator[Row, None, None]:
        """Read the rows of a page one by one; close the generator if it is not exhausted."""
        if which.event_id is not None:
            return self._rows_of_key(which, request)
        if which.run_id is not None:
            return self._rows_of_name(which, request)
        return self._rows_of_list(which, request)

    def count(self, which: RunFilter) -> int:
        """Count the matching runs one by one."""
        if which.event_id is None and which.run_id is not None:
            return sum(1 for _ in self._places(which, PageRequest(limit=SLICE_ENTRIES)))
        conditions, bindings = self._conditions(which)
        _, ends = self._walk(which, PageRequest(oldest_first=True))
        sql = f"SELECT count(*) FROM runs WHERE {conditions} (start, arrival) > (:start, :arrival) AND start <= :until"
        return int(self._query(sql, bindings | ends)[0][0])

    def _rows_of_key(self, which: RunFilter, request: PageRequest) -> Generator[Row, None, None]:
        """Return the row of a key. At most one run has it, so there is nothing to order."""
        conditions, bindings = self._conditions(which)
        walk, ends = self._walk(which, request)
        sql = walk.sql(
            f"{_SELECT} {conditions} (start, arrival) {{beyond}} (:start, :arrival) "
            "AND start {within} :until LIMIT :limit OFFSET :offset"
        )
        return stream(self._connection, sql, bindings | ends | _limits(request))

    def _rows_of_list(self, which: RunFilter, request: PageRequest) -> Generator[Row, None, None]:
        """Return the rows in index order, first those with the start at which the walk begins.

        The query has two parts, because SQLite has no index range over a column and ``arrival``, which is the rowid: it
        would scan all runs with that start for each page.
        """
        conditions, bindings = self._conditions(which)
        walk, ends = self._walk(which, request)
        sql = walk.sql(
            f"{_SELECT} {conditions} start = :start AND arrival {{beyond}} :arrival AND :start {{within}} :until "
            f"UNION ALL {_SELECT} {conditions} start {{beyond}} :start AND start {{within}} :until "
            "ORDER BY start {order}, arrival {order} LIMIT :limit OFFSET :offset"
        )
        return stream(self._connection, sql, bindings | ends | _limits(request))

    def _rows_of_name(self, which: RunFilter, request: PageRequest) -> Generator[Row, None, None]:
        """Yield the rows in the order of their entries."""
        # In two steps, because the sum of the two may be more than a slice can count to.
        places = islice(islice(self._places(which, request), request.offset, None), request.limit)
        while part := list(islice(places, _ROWS_AT_A_TIME)):
            arrivals = integers(arrival for _, arrival in part)
            rows = {row[:2]: row for row in self._query(f"{_SELECT} {AMONG_ARRIVALS}", {"arrivals": arrivals})}
            yield from (rows[place] for place in part)

    def _places(self, which: RunFilter, request: PageRequest) -> Iterator[_Place]:
        """Yield the positions of all matching runs of a name, in order."""
        conditions, bindings = self._conditions(which)
        sql = f"SELECT start, arrival FROM runs WHERE {conditions} {AMONG_ARRIVALS}"
        for entries in self._entries(which, request):
            # Names that share the hash also have entries, and so do runs that were deleted by hand.
            arrivals = integers(arrival for _, arrival in entries)
            found = set(self._query(sql, bindings | {"arrivals": arrivals}))
            yield from (place for place in entries if place in found)

    def _entries(self, which: RunFilter, request: PageRequest) -> Iterator[Sequence[_Place]]:
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

    def _walk(self, which: RunFilter, request: PageRequest) -> tuple[Walk, dict[str, Any]]:
        """Return the walk that the page is part of, and its ends as ``:start``, ``:arrival`` and ``:until``."""
        walk = walk_of(which, request)
        first, last = (_FIRST, _LAST) if request.oldest_first else (_LAST, _FIRST)
        (after, arrival), until = walk.after or first, walk.until or last[0]
        ((start, end),) = self._query(_STARTS, (after, until))
        return walk, {"start": start, "arrival": arrival, "until": end}

    def _conditions(self, which: RunFilter) -> tuple[str, dict[str, Any]]:
        """Return the filter without the time range as SQL, to be followed by another condition, and its bindings."""
        bindings = attrs.asdict(which, filter=lambda part, value: value is not None and part.name not in TIMES)
        conditions = "".join(f"{name} = :{name} AND " for name in bindings)
        if which.event_id is None:
            return conditions, bindings
        with translated_errors(self._connection):
            arrivals = find_arrivals(self._connection, [event_hash(which.event_id)])
        return f"{conditions}{AMONG_ARRIVALS} AND ", bindings | {"arrivals": integers(arrivals)}

    def _query(self, sql: str, bindings: Mapping[str, Any] | Sequence[Any]) -> list[Row]:
        with translated_errors(self._connection):
            return cast(list[Row], self._connection.execute(sql, bindings).fetchall())


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
