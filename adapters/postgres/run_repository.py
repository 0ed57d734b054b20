"""The run repository on PostgreSQL: its statements, and the conversion of rows to runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, cast

import attrs
import psycopg

from adapters.postgres.errors import translated_errors
from adapters.postgres.schema import FILTER_PREFIX, NAME_PREFIX
from adapters.postgres.version import read_version
from adapters.sql_rows import (
    CHANGING,
    COLUMNS,
    TALLIED,
    TIMES,
    Walk,
    changing_values_of,
    count_names,
    run_of,
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
    take_what_fits,
)
from core.model.run import FIELDS, LONG_TEXTS, Count, EventId, Run, Text, Timestamp
from core.model.store_version import StoreVersion
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader, RunRepository, ignore

ARRIVALS_PER_CALL: Final = 1 << 16
"""Each value of the sequence stands for this many arrivals, distinguished by their positions in the batch."""

_NUMBERS = frozenset(field.name for field in attrs.fields(Run) if field.type == Count | None)
_ARRAYS = ", ".join(f"%s::{'bigint' if name in _NUMBERS else 'text'}[]" for name in FIELDS)
TEXT_BYTES: Final = " + ".join(f"coalesce(octet_length({name}), 0)" for name in LONG_TEXTS)
"""The result of ``count_text_bytes``, computed by PostgreSQL without reading texts stored out of line."""

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

_PREFIXES: Mapping[str, int] = {
    **dict.fromkeys(("run_id", "parent_run_id"), NAME_PREFIX),
    **dict.fromkeys((*TALLIED, "product"), FILTER_PREFIX),
}
"""How many characters of a column are indexed."""


@attrs.define
class KnownHorizon:
    """The retention horizon as this process last read it; ``is_read`` says whether it did."""

    value: Timestamp | None = None
    is_read: bool = False


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
        # Read the sizes first, because psycopg fetches all rows of a result before it returns one.
        fitting, more = self._fitting(which, request, "")
        if not fitting:
            return RunPage((), None)
        rows = self._listed(which, attrs.evolve(request, limit=len(fitting)), f"arrival, {COLUMNS}")
        runs = tuple(run_of(row[1:]) for row in rows)
        return RunPage(runs, Cursor(runs[-1].start_time, rows[-1][0]) if more else None)

    def count(self, which: RunFilter) -> int:
        given = attrs.asdict(which, filter=lambda _, value: value is not None)
        tallied = "SELECT coalesce(sum(runs), 0)::bigint FROM tallies WHERE field = %s"
        if not given:
            return self._number(tallied, (TALLIED[0],))
        if len(given) == 1 and (field := next(iter(given))) in TALLIED:
            return self._number(f"{tallied} AND digest = %s", (field, _digest(given[field])))
        where, bindings = _where(which, walk := walk_of(which, PageRequest()))
        return self._number(walk.sql(f"SELECT count(*) FROM runs{where}"), bindings)

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

    def _fitting(self, which: RunFilter, request: PageRequest, columns: str) -> tuple[Sequence[tuple[Any, ...]], bool]:
        """Return the sizes of the runs of a page, each followed by these columns, and whether more runs follow."""
        # One row more than requested tells whether there is a next page.
        sizes = self._listed(which, attrs.evolve(request, limit=request.limit + 1), TEXT_BYTES + columns)
        return take_what_fits(sizes, lambda row: row[0], request.limit, request.max_text_bytes)

    def _listed(self, which: RunFilter, request: PageRequest, columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of part of the list, whatever its size."""
        walk = walk_of(which, request)
        where, bindings = _where(which, walk)
        sql = f"SELECT {{}} FROM runs{where} ORDER BY start_time {{order}}, arrival {{order}} LIMIT %s OFFSET %s"
        return self._rows(walk.sql(sql, columns), (*bindings, request.limit, request.offset))

    def _one(self, event_id: EventId, ending: str) -> Run | None:
        sql = f"{_SELECT} WHERE event_id = %s{ending}"
        rows = self._rows(sql, (event_id,)) if _is_storable(event_id) else []
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
        fitting, more = self._fitting(which, request, ", event_id, start_time, arrival")
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


def _where(which: RunFilter, walk: Walk) -> tuple[str, list[Any]]:
    """Return the filter and the ends of the walk as a template for ``Walk.sql``, and its bindings."""
    given = attrs.asdict(which, filter=lambda part, value: value is not None and part.name not in TIMES)
    if not all(map(_is_storable, given.values())):
        return " WHERE FALSE", []
    conditions = [_equals(name, value) for name, value in given.items()]
    bindings = [
        value for condition, value in zip(conditions, given.values(), strict=True) for _ in range(condition.count("%s"))
    ]
    if walk.after is not None:
        conditions.append("(start_time, arrival) {beyond} (%s, %s)")
        bindings += walk.after
    if walk.until is not None:
        conditions.append("start_time {within} %s")
        bindings.append(walk.until)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), bindings


def _part(sizes: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield keys with their sizes until they add up to a part."""
    total = 0
    while total < MAX_PART_BYTES and (row := next(sizes, None)) is not None:
        total += row[1]
        yield row


def _equals(name: str, value: str) -> str:
    """Return the condition that a column has this value, in a form that can use an index.

    A text that fits in the index is compared only there. With a second condition, the planner would expect so few rows
    that it would sort them instead.
    """
    length = _PREFIXES.get(name)
    if length is None:
        return f"{name} = %s"
    prefix = f"left({name}, {length}) = left(%s, {length})"
    return prefix if len(value) < length else f"{prefix} AND {name} = %s"


def _is_storable(text: str) -> bool:
    """Return whether a run can have this text; PostgreSQL rejects queries for any other."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _column(values: tuple[Any, ...]) -> list[Any] | None:
    """Return the values as an array. If all are ``None``, return ``None``; ``unnest`` then fills in NULL."""
    return list(values) if values.count(None) < len(values) else None


def _digest(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
