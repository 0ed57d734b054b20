"""Compare the runs of a file with the index of their IDs, in both directions.

Every run has one entry for its ``event_id`` and one for its ``run_id``, in one of the tables of keys. A server moves
entries from table to table and adds new ones all the time. So each comparison reads everything that it compares in one
transaction, and what takes long is done in slices, so that no transaction holds up checkpoints for long.
"""

from collections.abc import Iterator
from typing import Any, Final

import apsw

from adapters.sqlite.keys import HASH_SPAN, LOWEST_HASH, TABLES, event_hash, run_hash

_SLICES: Final = 4096
"""Into so many ranges of hashes the entries are cut; with ten million runs each holds 5000."""


def _sum_of(condition: str) -> str:
    """Return SQL for the number of entries, in all tables, that meet a condition."""
    return " + ".join(f"(SELECT count(*) FROM {table} AS k WHERE {condition})" for table in TABLES)


def _twin() -> str:
    """Return SQL for the arrival of an earlier run with the same ``event_id``."""
    found = (
        f"(SELECT min(k.arrival) FROM {table} AS k CROSS JOIN runs AS r ON r.arrival = k.arrival WHERE k.hash = "
        "s.event_hash AND k.start = 0 AND k.arrival < s.arrival AND r.event_id = s.event_id)"
        for table in TABLES
    )
    return f"coalesce({', '.join(found)})"


_ENTRIES_OF_RUNS: Final = f"""
WITH slice AS MATERIALIZED (
    SELECT arrival, event_id, start, event_hash(event_id) AS event_hash, run_hash(run_id) AS run_hash
    FROM runs WHERE arrival > ?1 AND arrival <= ?2
), found AS MATERIALIZED (
    SELECT
        event_id,
        arrival,
        {_sum_of("k.hash = s.event_hash AND k.start = 0 AND k.arrival = s.arrival")} AS events,
        {_sum_of("k.hash = s.run_hash AND k.start = s.start AND k.arrival = s.arrival")} AS names,
        {_twin()} AS twin
    FROM slice AS s
)
SELECT event_id, arrival, events, names, twin FROM found WHERE events <> 1 OR names <> 1 OR twin IS NOT NULL
"""

_COUNTS: Final = f"""
SELECT
    (SELECT count(*) FROM runs),
    {_sum_of("true")},
    {_sum_of("k.start = 0")},
    (SELECT count(*) FROM runs WHERE start = 0),
    (SELECT count(*) FROM runs WHERE start = 0 AND event_hash(event_id) = run_hash(run_id))
"""

_ENTRIES_WITHOUT_RUN: Final = f"""
WITH entries AS (
    {
    " UNION ALL ".join(
        f"SELECT '{table}' AS name, hash, start, arrival FROM {table} WHERE hash BETWEEN ?1 AND ?2" for table in TABLES
    )
}
)
SELECT e.name, e.hash, e.start, e.arrival FROM entries AS e LEFT JOIN runs AS r ON r.arrival = e.arrival
WHERE r.arrival IS NULL
OR NOT ((e.start = 0 AND e.hash = event_hash(r.event_id)) OR (e.start = r.start AND e.hash = run_hash(r.run_id)))
"""


def add_hash_functions(connection: apsw.Connection) -> None:
    """Let the connection's SQL compute the hashes of IDs, ``event_hash`` and ``run_hash``."""
    functions: tuple[Any, ...] = (event_hash, run_hash)
    for function in functions:
        connection.create_scalar_function(function.__name__, function, 1, deterministic=True)


def problems_of_slice(connection: apsw.Connection, after: int, last: int) -> Iterator[str]:
    """Say which runs with arrivals beyond ``after`` up to ``last`` lack an entry, have one twice, or have a twin."""
    for event_id, arrival, events, names, twin in connection.execute(_ENTRIES_OF_RUNS, (after, last)):
        run = f"run {event_id!r} (arrival {arrival})"
        for count, name in ((events, "event_id"), (names, "run_id")):
            if count != 1:
                yield f"{run} has {count or 'no'} entries for its {name} in the tables of keys"
        if twin is not None:
            yield f"{run} has the same event_id as the run with arrival {twin}"


def count_entries(connection: apsw.Connection) -> tuple[int, int, int]:
    """Return the number of runs, of entries of an ``event_id`` and of entries of a ``run_id``, in one statement."""
    ((runs, entries, at_zero, starting_at_zero, sharing),) = _rows(connection, _COUNTS)
    # An entry with a start of 0 is of an event_id, or of a run that starts then. One may serve both.
    events = at_zero - (starting_at_zero - sharing)
    return runs, events, entries - events + sharing


def entries_without_run(connection: apsw.Connection) -> Iterator[str]:
    """Name the entries that lead to no run, slice by slice. This reads a run for each entry and takes long."""
    for part in range(_SLICES):
        low = LOWEST_HASH + part * HASH_SPAN // _SLICES
        high = LOWEST_HASH + (part + 1) * HASH_SPAN // _SLICES - 1
        for table, hash_, start, arrival in _rows(connection, _ENTRIES_WITHOUT_RUN, (low, high)):
            yield f"the entry {hash_} of {table}, with start {start} and arrival {arrival}, belongs to no run"


def _rows(connection: apsw.Connection, sql: str, bindings: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
    return list(connection.execute(sql, bindings))
