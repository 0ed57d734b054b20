"""The run repository on PostgreSQL: what the reader does, and writing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import psycopg

from adapters.postgres.binary_arrays import BigintArray, TextArray
from adapters.postgres.errors import translated_errors
from adapters.postgres.run_reader import PostgresRunReader, digest, take_part
from adapters.postgres.statements import (
    TEXT_BYTES,
)
from adapters.sql_rows import (
    AMENDED,
    CHANGING,
    COLUMNS,
    TALLIED,
    changing_values_of,
    count_names,
    count_renamed,
    run_of,
    values_of,
)
from core.errors import TransactionConflictError
from core.model.listing import (
    Cursor,
    PageRequest,
    RemovedPage,
    RunFilter,
)
from core.model.run import FIELDS, Count, EventId, Run, Timestamp
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunRepository, ignore

ARRIVALS_PER_CALL: Final = 1 << 16
"""Each value of the sequence stands for this many arrivals, distinguished by their positions in the batch."""

_NUMBERS = frozenset(field.name for field in attrs.fields(Run) if field.type == Count | None)
_ARRAYS = tuple(BigintArray if name in _NUMBERS else TextArray for name in FIELDS)
_TYPES = ", ".join(f"%s::{'bigint' if array is BigintArray else 'text'}[]" for array in _ARRAYS)
_INSERT_INTO = f"INSERT INTO runs (arrival, {COLUMNS})"
_THE_NEW = "ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
_INSERT = (
    f"{_INSERT_INTO} SELECT (SELECT nextval('arrivals')) * {ARRIVALS_PER_CALL} + place, {COLUMNS} "
    f"FROM unnest(%s::bigint[], {_TYPES}) AS sent (place, {COLUMNS}) {_THE_NEW}"
)
# Citus sends a row of VALUES to its shard alone, but gathers what it selects and spreads it over all of them.
_INSERT_ONE = (
    f"{_INSERT_INTO} VALUES (nextval('arrivals') * {ARRIVALS_PER_CALL}, {', '.join('%s' for _ in FIELDS)}) {_THE_NEW}"
)
_REPLACE = f"UPDATE runs SET {', '.join(f'{name} = %s' for name in CHANGING)} WHERE event_id = %s"
_LOCK = f"SELECT {COLUMNS} FROM runs WHERE event_id = ANY(%s::text[]) ORDER BY event_id FOR UPDATE"
_AMEND = (
    f"UPDATE runs SET {', '.join(f'{name} = sent.{name}' for name in AMENDED)} "
    f"FROM unnest({_TYPES}) AS sent ({COLUMNS}) WHERE runs.event_id = sent.event_id"
)
_TALLY = (
    "INSERT INTO tallies (field, digest, slot, name, runs) "
    "SELECT field, digest, slot, name, runs "
    "FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[]) "
    "AS added (field, digest, slot, name, runs) "
    "ON CONFLICT (field, digest, slot) DO UPDATE SET runs = tallies.runs + excluded.runs"
)
_TALLY_ARRAYS = (TextArray, TextArray, BigintArray, TextArray, BigintArray)

_DELETE = (
    f"DELETE FROM runs WHERE event_id = ANY(%s::text[]) AND arrival = ANY(%s::bigint[]) RETURNING {', '.join(TALLIED)}"
)
_EMPTIED = (
    "SELECT digest FROM tallies WHERE field = %s AND digest = ANY(%s::text[]) GROUP BY digest HAVING sum(runs) <= 0"
)
_TAKE_TALLIES = "DELETE FROM tallies WHERE field = %s AND digest = ANY(%s::text[]) RETURNING field, name, runs"

_RELY_ON_HORIZON = "SELECT horizon FROM retention WHERE slot = %s FOR SHARE"
_RAISE = "UPDATE retention SET horizon = %s WHERE horizon IS NULL OR horizon < %s"


@attrs.define
class KnownHorizon:
    """The retention horizon as this process last read it; ``is_read`` says whether it did."""

    value: Timestamp | None = None
    is_read: bool = False


class PostgresRunRepository(PostgresRunReader, RunRepository):
    """The same in a writing transaction, for the server with this slot."""

    def __init__(self, connection: psycopg.Connection, slot: int, known: KnownHorizon) -> None:
        super().__init__(connection, Cancellation().check)
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
        gone = self._rows(_DELETE, (TextArray(keys), BigintArray(arrivals)))
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

    def amend(self, keys: Sequence[EventId], change: Callable[[Run], Run | None]) -> None:
        sizes = self._rows(
            f"SELECT event_id, {TEXT_BYTES} FROM runs WHERE event_id = ANY(%s::text[]) ORDER BY event_id",
            (TextArray(keys),),
        )
        rest, found = iter(sizes), 0
        while part := list(take_part(rest)):
            # Locked in key order, so that two batches with keys in common wait for each other instead of deadlocking.
            runs = [run_of(row) for row in self._rows(_LOCK, (TextArray([key for key, _ in part]),))]
            self._amend([(run, changed) for run in runs if (changed := change(run)) is not None])
            found += len(runs)
        if found != len(keys):
            raise TransactionConflictError("a run was deleted while it was being sent; retry")

    def _amend(self, changes: Sequence[tuple[Run, Run]]) -> None:
        """Store what runs become, each given as it was before."""
        if changes:
            columns = zip(*(values_of(run) for _, run in changes), strict=True)
            self._write(_AMEND, [*map(_column, _ARRAYS, columns)])
            self._change_tallies(count_renamed(changes))

    def _insert(self, runs: Sequence[Run]) -> set[EventId]:
        """Store the runs that are new; return their keys."""
        if len(runs) == 1:
            return {key for (key,) in self._rows(_INSERT_ONE, values_of(runs[0]))}
        # In key order, so that two batches with keys in common wait for each other instead of deadlocking.
        ordered = sorted(enumerate(runs), key=lambda numbered: numbered[1].event_id)
        columns = zip(*(values_of(run) for _, run in ordered), strict=True)
        places = BigintArray([place for place, _ in ordered])
        return {key for (key,) in self._rows(_INSERT, (places, *map(_column, _ARRAYS, columns)))}

    def _find(self, keys: Sequence[EventId], found: Callable[[Run], object]) -> int:
        """Pass the runs stored under these keys to ``found``, one part at a time; return their number."""
        if not keys:
            return 0
        among = "FROM runs WHERE event_id = ANY(%s::text[])"
        sizes = self._rows(f"SELECT event_id, {TEXT_BYTES} {among}", (TextArray(keys),))
        rest = iter(sizes)
        while part := list(take_part(rest)):
            for row in self._rows(f"SELECT {COLUMNS} {among}", (TextArray([key for key, _ in part]),)):
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
        added = sorted((field, digest(name), self._slot, name, count) for (field, name), count in names.items())
        if added:
            columns = zip(_TALLY_ARRAYS, zip(*added, strict=True), strict=True)
            self._write(_TALLY, [array(column) for array, column in columns])

    def _untally(self, gone: Iterable[Sequence[str]]) -> None:
        """Subtract deleted runs, given by their names, from the tallies."""
        names = Counter(named for row in gone for named in zip(TALLIED, row, strict=True))
        self._change_tallies({named: -count for named, count in names.items()})

    def _change_tallies(self, changes: Mapping[tuple[str, str], int]) -> None:
        """Add to the tallies, or subtract from them, and forget names that no run has any more."""
        self._tally(changes)
        for field in TALLIED:
            digests = [digest(name) for (column, name), change in changes.items() if column == field and change < 0]
            if digests and (emptied := [digest for (digest,) in self._rows(_EMPTIED, (field, TextArray(digests)))]):
                self._forget_names(field, emptied)

    def _forget_names(self, field: str, digests: Sequence[str]) -> None:
        """Delete the rows of names; what other servers added to them meanwhile is added again, so no run is missed."""
        left: Counter[tuple[str, str]] = Counter()
        for column, name, count in self._rows(_TAKE_TALLIES, (field, TextArray(digests))):
            left[column, name] += count
        self._tally({named: count for named, count in left.items() if count})


def _column(array: type[TextArray | BigintArray], values: tuple[Any, ...]) -> TextArray | BigintArray | None:
    """Return the values as an array. If all are ``None``, return ``None``; ``unnest`` then fills in NULL."""
    return array(values) if values.count(None) < len(values) else None
