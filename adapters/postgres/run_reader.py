"""Reading runs from PostgreSQL: its statements, and the conversion of rows to runs."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import psycopg

from adapters.postgres.binary_arrays import TextArray
from adapters.postgres.errors import translated_errors
from adapters.postgres.statements import (
    FIGURES_SQL,
    METRICS_BYTES,
    SUMMARY_BYTES,
    TEXT_BYTES,
    bucket_of,
    children_sql,
    is_storable,
    where_of,
)
from adapters.postgres.version import read_version
from adapters.search_slices import Slices
from adapters.sql_figures import Source, compute_facets, compute_statistics
from adapters.sql_rows import (
    COLUMNS,
    LAST_ARRIVAL,
    OUTLINE_COLUMNS,
    SUMMARY_COLUMNS,
    TALLIED,
    given_parts,
    outline_of,
    run_of,
    summary_of,
    walk_of,
)
from core.model.listing import (
    MAX_PART_BYTES,
    Cursor,
    NameField,
    Names,
    NamesRequest,
    PageRequest,
    RunFilter,
    RunPage,
    SummaryPage,
    examined_by,
    take_what_fits,
)
from core.model.run import EventId, Run, Text, Timestamp
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest
from core.model.store_version import StoreVersion
from core.model.summary import RunSummary, count_summary_bytes
from core.model.tree import Children, Room, RunOutline, count_outline_bytes, take_children
from core.ports.run_repository import RunReader

_ROWS_AT_A_TIME: Final = 1000
"""The maximum number of rows in memory whose texts are small."""

_SELECT = f"SELECT {COLUMNS} FROM runs"
_USED_NAMES = "SELECT name FROM tallies WHERE field = %s GROUP BY name HAVING sum(runs) > 0"

_Item = TypeVar("_Item")


@attrs.frozen
class _Part(Generic[_Item]):
    """Part of the list; the rest as in ``RunPage``."""

    taken: tuple[_Item, ...]
    next_cursor: Cursor | None
    last_examined: Cursor | None


class PostgresRunReader(RunReader):
    """The runs as one transaction sees them. ``check`` is called before each statement, and ends a read by raising."""

    def __init__(self, connection: psycopg.Connection, check: Callable[[], object]) -> None:
        self._connection = connection
        self._check = check

    def version(self) -> StoreVersion:
        self._check()
        return read_version(self._connection)

    def get(self, event_id: EventId) -> Run | None:
        return self._one(event_id, "")

    def newest(self, run_id: str) -> Run | None:
        runs = self.page(RunFilter(run_id=Text(run_id)), PageRequest(limit=1)).runs
        return runs[0] if runs else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        part = self._take(which, request, TEXT_BYTES, COLUMNS, run_of)
        return RunPage(part.taken, part.next_cursor, last_examined=part.last_examined)

    def summaries(self, which: RunFilter, request: PageRequest) -> SummaryPage:
        part = self._take(which, request, SUMMARY_BYTES, SUMMARY_COLUMNS, summary_of)
        return SummaryPage(part.taken, part.next_cursor, last_examined=part.last_examined)

    def children(self, parents: Sequence[str], room: Room) -> Children[RunSummary]:
        return take_children(map(summary_of, self._children(parents, room, SUMMARY_COLUMNS)), count_summary_bytes, room)

    def outlines(self, parents: Sequence[str], room: Room) -> Children[RunOutline]:
        return take_children(map(outline_of, self._children(parents, room, OUTLINE_COLUMNS)), count_outline_bytes, room)

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        source = self._source(which, request.max_runs)
        return compute_statistics(source, request, bucket_of(request.bucket_seconds), FIGURES_SQL)

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        return compute_facets(self._source(which, request.max_runs), request)

    def count(self, which: RunFilter) -> int:
        given = given_parts(which)
        tallied = "SELECT coalesce(sum(runs), 0)::bigint FROM tallies WHERE field = %s"
        if not given:
            return self._number(tallied, (TALLIED[0],))
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number(f"{tallied} AND digest = %s", (field, digest(given[field])))
        return self._count(which)

    def names(self, field: NameField, request: NamesRequest) -> Names:
        total = self._number(f"SELECT count(*) FROM ({_USED_NAMES}) AS used", (field,))
        sql = f"SELECT {{}} FROM ({_USED_NAMES}) AS used ORDER BY name"
        sizes = self._rows(
            f"{sql.format('octet_length(name)')} LIMIT %s OFFSET %s", (field, request.limit, request.offset)
        )
        fitting, _ = take_what_fits(sizes, lambda row: row[0], request.limit, request.max_text_bytes)
        rows = self._rows(f"{sql.format('name')} LIMIT %s OFFSET %s", (field, len(fitting), request.offset))
        return Names(tuple(name for (name,) in rows), total)

    def retention_horizon(self) -> Timestamp | None:
        return cast(Timestamp | None, self._rows("SELECT max(horizon) FROM retention", ())[0][0])

    def _take(
        self,
        which: RunFilter,
        request: PageRequest,
        size: str,
        columns: str,
        convert: Callable[[Sequence[Any]], _Item],
    ) -> _Part[_Item]:
        """Return part of the list, whose runs have the size that this SQL says, each converted from these columns."""
        # One row more than requested tells whether there is a next page.
        asked = attrs.evolve(request, limit=request.limit + 1)
        slices = Slices(which, asked, self._last_examined(which, request), self._nth)
        # Read the sizes first, because psycopg fetches all rows of a result before it returns one.
        sizes = self._sizes(which, slices, f"{size}, {METRICS_BYTES}, event_id, start_time, arrival")
        fitting, more = take_what_fits(sizes, lambda row: row[0], request.limit, request.max_text_bytes)
        # Metrics are no part of a summary's size, but they are fetched.
        keyed = ((row[2], row[1]) for row in fitting)
        taken = tuple(map(convert, self._keyed(keyed, columns)))
        return _Part(taken, Cursor(*fitting[-1][3:]) if more else slices.last, slices.last)

    def _sizes(self, which: RunFilter, slices: Slices, columns: str) -> Iterator[tuple[Any, ...]]:
        for request, last in slices:
            yield from self._listed(which, request, columns, last)

    def _keyed(self, sizes: Iterator[tuple[Any, ...]], columns: str) -> Iterator[tuple[Any, ...]]:
        """Read the runs with these keys, each followed by a size, in parts; the first column is the key."""
        sql = f"SELECT {columns} FROM runs WHERE event_id = ANY(%s::text[])"
        while part := list(take_part(sizes)):
            keys = [key for key, _ in part]
            rows = {row[0]: row for row in self._rows(sql, (TextArray(keys),))}
            # While reading in a unit of work, another one may have deleted some.
            yield from (rows[key] for key in keys if key in rows)

    def _last_examined(self, which: RunFilter, request: PageRequest) -> Cursor | None:
        """Return the place of the last run to examine; ``None`` if there is no limit, or none follows it."""
        if request.last_examined is not None or request.max_examined is None:
            return request.last_examined
        return self._nth(examined_by(which), request, request.max_examined)

    def _fitting(
        self, which: RunFilter, request: PageRequest, columns: str, last: Cursor | None
    ) -> tuple[Sequence[tuple[Any, ...]], bool]:
        """Return columns of a page, of which the first is the size of a run, and whether more runs follow."""
        # One row more than requested tells whether there is a next page.
        sizes = self._listed(which, attrs.evolve(request, limit=request.limit + 1), columns, last)
        return take_what_fits(sizes, lambda row: row[0], request.limit, request.max_text_bytes)

    def _listed(
        self, which: RunFilter, request: PageRequest, columns: str, last: Cursor | None
    ) -> list[tuple[Any, ...]]:
        """Return these columns of part of the list, whatever its size, up to the run at ``last``."""
        walk = walk_of(which, request)
        where, bindings = where_of(which, walk, last)
        sql = f"SELECT {{}} FROM runs{where} ORDER BY start_time {{order}}, arrival {{order}} LIMIT %s OFFSET %s"
        # Citus adds the two, and no store has so many runs.
        offset = min(request.offset, LAST_ARRIVAL - request.limit)
        return self._rows(walk.sql(sql, columns), (*bindings, request.limit, offset))

    def _nth(self, which: RunFilter, request: PageRequest, number: int) -> Cursor | None:
        """Return the place of the matching run with this number, counted from 1; ``None`` if none follows it."""
        behind = attrs.evolve(request, offset=number - 1, limit=2)
        found = self._listed(which, behind, "start_time, arrival", None)
        return Cursor(*found[0]) if len(found) == 2 else None

    def _count(self, which: RunFilter) -> int:
        """Count the matching runs one by one."""
        walk = walk_of(which, PageRequest())
        where, bindings = where_of(which, walk)
        return self._number(walk.sql(f"SELECT count(*) FROM runs{where}"), bindings)

    def _children(self, parents: Sequence[str], room: Room, columns: str) -> Iterator[tuple[Any, ...]]:
        """Read the children of these names, and one more than there is room for; the first column is the key."""
        most = room.runs + 1
        # The sizes first, for the same reason as those of a page.
        sizes = iter(
            self._rows(children_sql(f"event_id, {SUMMARY_BYTES} + {METRICS_BYTES}"), (TextArray(parents), most, most))
        )
        return self._keyed(sizes, columns)

    def _source(self, which: RunFilter, max_runs: int) -> Source:
        examined = examined_by(which)
        last = self._nth(examined, PageRequest(), max_runs)
        walk = walk_of(which, PageRequest())
        where, bindings = where_of(which, walk, last)
        count = max_runs if last else self._count(examined)
        sql = walk.sql(f"runs{where or ' WHERE TRUE'}")
        return Source(sql, lambda statement: self._rows(statement, bindings), count, last.start_time if last else None)

    def _one(self, event_id: EventId, ending: str) -> Run | None:
        sql = f"{_SELECT} WHERE event_id = %s{ending}"
        rows = self._rows(sql, (event_id,)) if is_storable(event_id) else []
        return run_of(rows[0]) if rows else None

    def _number(self, sql: str, bindings: Sequence[Any]) -> int:
        return int(self._rows(sql, bindings)[0][0])

    def _rows(self, sql: str, bindings: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._check()
        with translated_errors():
            return self._connection.execute(sql.encode(), bindings).fetchall()


def take_part(sizes: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows, whose second value is a size, until they add up to a part."""
    total = 0
    for row in islice(sizes, _ROWS_AT_A_TIME):
        yield row
        total += row[1]
        if total >= MAX_PART_BYTES:
            return


def digest(name: str) -> str:
    """Return the digest by which a name is tallied."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
