"""The run repository on PostgreSQL: its statements, and the conversion of rows to runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import chain
from typing import Any, Final, cast

import attrs
import psycopg

from adapters.postgres.errors import translated_errors
from adapters.postgres.statements import (
    SUMMARY_BYTES,
    TEXT_BYTES,
    bucket_of,
    children_sql,
    is_storable,
    metric_of,
    where_of,
)
from adapters.postgres.version import read_version
from adapters.sql_figures import Source, compute_facets, compute_statistics
from adapters.sql_rows import (
    CHANGING,
    COLUMNS,
    OUTLINE_COLUMNS,
    SUMMARY_COLUMNS,
    TALLIED,
    changing_values_of,
    count_names,
    given_parts,
    outline_of,
    run_of,
    summary_of,
    values_of,
    walk_of,
)
from core.errors import TransactionConflictError
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
from core.model.run import FIELDS, Count, EventId, Run, Text, Timestamp
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest
from core.model.store_version import StoreVersion
from core.model.summary import RunSummary, count_summary_bytes
from core.model.tree import Children, Room, RunOutline, count_outline_bytes, take_children
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader, RunRepository, ignore

ARRIVALS_PER_CALL: Final = 1 << 16
"""Each value of the sequence stands for this many arrivals, distinguished by their positions in the batch."""

_NUMBERS = frozenset(field.name for field in attrs.fields(Run) if field.type == Count | None)
_ARRAYS = ", ".join(f"%s::{'bigint' if name in _NUMBERS else 'text'}[]" for name in FIELDS)
_SELECT = f"SELECT {COLUMNS} FROM runs"
_INSERT = (
    f"INSERT INTO runs (arrival, {COLUMNS}) "
    f"SELECT (SELECT nextval('arrivals')) * {ARRIVALS_PER_CALL} + place, {COLUMNS} "
    f"FROM unnest(%s::bigint[], {_ARRAYS}) AS sent (place, {COLUMNS}) "
    "ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
)
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = %s' for name in CHANGING)} WHERE event_id = %s"
_TALLY = (
    "INSERT INTO tallies (field, digest, slot, name, runs) "
    "SELECT field, digest, slot, name, runs "
    "FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[]) "
    "AS added (field, digest, slot, name, runs) "
    "ON CONFLICT (field, digest, slot) DO UPDATE SET runs = tallies.runs + excluded.runs"
)

_DELETE = (
    f"DELETE FROM runs WHERE event_id = ANY(%s::text[]) AND arrival = ANY(%s::bigint[]) RETURNING {', '.join(TALLIED)}"
)
_EMPTIED = (
    "SELECT digest FROM tallies WHERE field = %s AND digest = ANY(%s::text[]) GROUP BY digest HAVING sum(runs) <= 0"
)
_TAKE_TALLIES = "DELETE FROM tallies WHERE field = %s AND digest = ANY(%s::text[]) RETURNING field, name, runs"
_USED_NAMES = "SELECT name FROM tallies WHERE field = %s GROUP BY name HAVING sum(runs) > 0"

_RELY_ON_HORIZON = "SELECT horizon FROM retention WHERE slot = %s FOR SHARE"
_RAISE = "UPDATE retention SET horizon = %s WHERE horizon IS NULL OR horizon < %s"

_FETCH: Final = "FETCH 200 FROM children"
"""So many children are in memory at a time, since each may have large metrics."""


@attrs.define
class KnownHorizon:
    """The retention horizon as this process last read it; ``is_read`` says whether it did."""

    value: Timestamp | None = None
    is_read: bool = False


@attrs.frozen
class _Part:
    """Rows of a page; the rest as in ``RunPage``."""

    rows: list[tuple[Any, ...]]
    next_cursor: Cursor | None
    examined: int | None


class PostgresRunReader(RunReader):
    """The runs as one transaction sees them, until cancellation is requested."""

    def __init__(self, connection: psycopg.Connection, cancellation: Cancellation) -> None:
        self._connection = connection
        self._cancellation = cancellation

    def version(self) -> StoreVersion:
        self._cancellation.check()
        return read_version(self._connection)

    def get(self, event_id: EventId) -> Run | None:
        return self._one(event_id, "")

    def newest(self, run_id: str) -> Run | None:
        runs = self.page(RunFilter(run_id=Text(run_id)), PageRequest(limit=1)).runs
        return runs[0] if runs else None

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        part = self._part(which, request, TEXT_BYTES, COLUMNS)
        return RunPage(tuple(map(run_of, part.rows)), part.next_cursor, examined=part.examined)

    def summaries(self, which: RunFilter, request: PageRequest) -> SummaryPage:
        part = self._part(which, request, SUMMARY_BYTES, SUMMARY_COLUMNS)
        return SummaryPage(tuple(map(summary_of, part.rows)), part.next_cursor, examined=part.examined)

    def children(self, parents: Sequence[str], room: Room) -> Children[RunSummary]:
        with self._reading_children(parents, room, SUMMARY_COLUMNS) as rows:
            return take_children(map(summary_of, rows), count_summary_bytes, room)

    def outlines(self, parents: Sequence[str], room: Room) -> Children[RunOutline]:
        with self._reading_children(parents, room, OUTLINE_COLUMNS) as rows:
            return take_children(map(outline_of, rows), count_outline_bytes, room)

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        source = self._source(which, request.max_runs)
        return compute_statistics(source, request, bucket_of(request.bucket_seconds), metric_of)

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        return compute_facets(self._source(which, request.max_runs), request)

    def count(self, which: RunFilter) -> int:
        given = given_parts(which)
        tallied = "SELECT coalesce(sum(runs), 0)::bigint FROM tallies WHERE field = %s"
        if not given:
            return self._number(tallied, (TALLIED[0],))
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number(f"{tallied} AND digest = %s", (field, _digest(given[field])))
        return self._count(which, PageRequest(), None)

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

    def _part(self, which: RunFilter, request: PageRequest, size: str, columns: str) -> "_Part":
        """Return these columns of a page, whose runs have the size that this SQL says."""
        last = None if request.max_examined is None else self._nth(examined_by(which), request, request.max_examined)
        # Read the sizes first, because psycopg fetches all rows of a result before it returns one.
        fitting, more = self._fitting(which, request, f"{size}, start_time, arrival", last)
        rows: list[tuple[Any, ...]] = []
        if fitting:
            rows = self._listed(which, attrs.evolve(request, limit=len(fitting)), columns, last)
        if more:
            last = Cursor(*fitting[-1][1:])
        examined = None if request.max_examined is None else self._count(examined_by(which), request, last)
        return _Part(rows, last, examined)

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
        return self._rows(walk.sql(sql, columns), (*bindings, request.limit, request.offset))

    def _nth(self, which: RunFilter, request: PageRequest, number: int) -> Cursor | None:
        """Return the place of the matching run with this number, counted from 1; ``None`` if none follows it."""
        behind = attrs.evolve(request, offset=number - 1, limit=2)
        found = self._listed(which, behind, "start_time, arrival", None)
        return Cursor(*found[0]) if len(found) == 2 else None

    def _count(self, which: RunFilter, request: PageRequest, last: Cursor | None) -> int:
        """Count the matching runs from the beginning of a page to the run at ``last``, or the end."""
        walk = walk_of(which, request)
        where, bindings = where_of(which, walk, last)
        return self._number(walk.sql(f"SELECT count(*) FROM runs{where}"), bindings)

    @contextmanager
    def _reading_children(self, parents: Sequence[str], room: Room, columns: str) -> Iterator[Iterator[Sequence[Any]]]:
        """Yield rows of the children of these names, and of one more than there is room for."""
        # A cursor of the database, because psycopg fetches all rows of a result before it returns one. A statement,
        # because psycopg has none for a pipeline.
        most = room.runs + 1
        declare = f"DECLARE children NO SCROLL CURSOR FOR {children_sql(columns)}"
        with translated_errors():
            self._connection.execute(declare.encode(), (list(parents), most, most))
        parts = iter(lambda: self._rows(_FETCH, ()), [])
        yield chain.from_iterable(parts)
        # After an error, the transaction takes it along.
        with translated_errors():
            self._connection.execute(b"CLOSE children")

    def _source(self, which: RunFilter, max_runs: int) -> Source:
        examined = examined_by(which)
        last = self._nth(examined, PageRequest(), max_runs)
        walk = walk_of(which, PageRequest())
        where, bindings = where_of(which, walk, last)
        count = max_runs if last else self._count(examined, PageRequest(), None)
        sql = walk.sql(f"runs{where or ' WHERE TRUE'}")
        return Source(sql, lambda statement: self._rows(statement, bindings), count, last.start_time if last else None)

    def _one(self, event_id: EventId, ending: str) -> Run | None:
        sql = f"{_SELECT} WHERE event_id = %s{ending}"
        rows = self._rows(sql, (event_id,)) if is_storable(event_id) else []
        return run_of(rows[0]) if rows else None

    def _number(self, sql: str, bindings: Sequence[Any]) -> int:
        return int(self._rows(sql, bindings)[0][0])

    def _rows(self, sql: str, bindings: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._cancellation.check()
        with translated_errors():
            return self._connection.execute(sql.encode(), bindings).fetchall()


class PostgresRunRepository(PostgresRunReader, RunRepository):
    """The same in a writing transaction, for the server with this slot."""

    def __init__(self, connection: psycopg.Connection, slot: int, known: KnownHorizon) -> None:
        super().__init__(connection, Cancellation())
        self._slot = slot
        self._known = known
        self.changed = False
        """Whether anything was written, which a savepoint may have undone."""
        self._relies_on_horizon = False
        self._has_raised = False
        self._unconfirmed: psycopg.Cursor | None = None

    def get(self, event_id: EventId) -> Run | None:
        return self._one(event_id, " FOR UPDATE")

    def retention_horizon(self) -> Timestamp | None:
        """See the port. The known horizon is returned at once, and confirmed by ``add``, which waits in any case."""
        if not self._relies_on_horizon:
            with translated_errors():
                self._unconfirmed = self._connection.execute(_RELY_ON_HORIZON.encode(), (self._slot,))
            self._relies_on_horizon = True
        if not self._known.is_read:
            self._read_horizon()
        return self._known.value

    def forget_horizon(self) -> None:
        """Rely on the horizon no longer: a savepoint was rolled back, and maybe the lock with it."""
        self._relies_on_horizon, self._unconfirmed = False, None
        if self._has_raised:
            self._known = KnownHorizon()

    def raise_retention_horizon(self, horizon: Timestamp) -> None:
        self._confirm_horizon()
        self._known.is_read = False
        # Until this is committed, what is read concerns no other unit of work.
        self._has_raised = True
        self.forget_horizon()
        self._write(_RAISE, (horizon, horizon))

    def remove(self, which: RunFilter, request: PageRequest) -> RemovedPage:
        fitting, more = self._fitting(which, request, f"{TEXT_BYTES}, event_id, start_time, arrival", None)
        if not fitting:
            return RemovedPage(0, None)
        keys, arrivals = sorted(event_id for _, event_id, *_ in fitting), [arrival for *_, arrival in fitting]
        # Meanwhile another prune may have deleted a run, and an upload stored a later one under its key.
        gone = self._rows(_DELETE, (keys, arrivals))
        self._untally(gone)
        return RemovedPage(len(gone), Cursor(*fitting[-1][2:]) if more else None)

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        if not runs:
            return
        new = self._insert(runs)
        self._confirm_horizon()
        existing = self._find([run.event_id for run in runs if run.event_id not in new], found)
        if len(new) + existing != len(runs):
            # Neither new nor existing: another transaction deleted it between the two statements.
            raise TransactionConflictError("a run was deleted while it was being sent; retry")
        self._tally(count_names([run for run in runs if run.event_id in new]))

    def replace(self, run: Run) -> None:
        self._write(_REPLACE, (*changing_values_of(run), run.event_id))

    def _insert(self, runs: Sequence[Run]) -> set[EventId]:
        """Store the runs that are new; return their keys."""
        # In key order, so that two batches with keys in common wait for each other instead of deadlocking.
        ordered = sorted(enumerate(runs), key=lambda numbered: numbered[1].event_id)
        columns = zip(*(values_of(run) for _, run in ordered), strict=True)
        return {key for (key,) in self._rows(_INSERT, ([place for place, _ in ordered], *map(_column, columns)))}

    def _find(self, keys: Sequence[EventId], found: Callable[[Run], object]) -> int:
        """Pass the runs stored under these keys to ``found``, one part at a time; return their number."""
        if not keys:
            return 0
        among = "FROM runs WHERE event_id = ANY(%s::text[])"
        sizes = self._rows(f"SELECT event_id, {TEXT_BYTES} {among}", (keys,))
        rest = iter(sizes)
        while part := list(_part(rest)):
            for row in self._rows(f"SELECT {COLUMNS} {among}", ([key for key, _ in part],)):
                found(run_of(row))
        return len(sizes)

    def _write(self, sql: str, bindings: Sequence[Any]) -> None:
        self.changed = True
        with translated_errors():
            self._connection.execute(sql.encode(), bindings)

    def _read_horizon(self) -> None:
        if self._unconfirmed is not None:
            with translated_errors():
                ((self._known.value,),) = self._unconfirmed.fetchall()
            self._known.is_read, self._unconfirmed = True, None

    def _confirm_horizon(self) -> None:
        """Raise ``TransactionConflictError`` if the horizon was raised since this process read it."""
        relied_on = self._known.value
        self._read_horizon()
        if self._known.value != relied_on:
            raise TransactionConflictError("the retention horizon was raised; retry")

    def _tally(self, names: Mapping[tuple[str, str], int]) -> None:
        """Add to the number of runs with each name, by column and name."""
        added = sorted((field, _digest(name), self._slot, name, count) for (field, name), count in names.items())
        if added:
            self._write(_TALLY, [list(column) for column in zip(*added, strict=True)])

    def _untally(self, gone: Iterable[Sequence[str]]) -> None:
        """Subtract deleted runs, given by their names, from the tallies, and forget names that no run has any more."""
        names = Counter(named for row in gone for named in zip(TALLIED, row, strict=True))
        self._tally({named: -count for named, count in names.items()})
        for field in TALLIED:
            digests = [_digest(name) for column, name in names if column == field]
            if emptied := [digest for (digest,) in self._rows(_EMPTIED, (field, digests))]:
                self._forget_names(field, emptied)

    def _forget_names(self, field: str, digests: Sequence[str]) -> None:
        """Delete the rows of names; what other servers added to them meanwhile is added again, so no run is missed."""
        left: Counter[tuple[str, str]] = Counter()
        for column, name, count in self._rows(_TAKE_TALLIES, (field, digests)):
            left[column, name] += count
        self._tally({named: count for named, count in left.items() if count})


def _part(sizes: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield keys with their sizes until they add up to a part."""
    total = 0
    while total < MAX_PART_BYTES and (row := next(sizes, None)) is not None:
        total += row[1]
        yield row


def _column(values: tuple[Any, ...]) -> list[Any] | None:
    """Return the values as an array. If all are ``None``, return ``None``; ``unnest`` then fills in NULL."""
    return list(values) if values.count(None) < len(values) else None


def _digest(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
