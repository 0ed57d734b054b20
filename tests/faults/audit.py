"""Inspect a database directly, without the product's reading side: whether it is sound and consistent."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from adapters.sqlite.keys import TABLES, event_hash, run_hash

EPOCH = datetime(2028, 1, 1, tzinfo=UTC)


@contextmanager
def looked_into(path: Path) -> Iterator[apsw.Connection]:
    """Open a connection that leaves the database as it is: closing it does not checkpoint a killed server's WAL."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.set_busy_timeout(10_000)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("query_only", "ON")
        yield connection


def integrity_errors(connection: apsw.Connection, *, thorough: bool) -> list[str]:
    """Return the errors that SQLite finds (https://www.sqlite.org/pragma.html#pragma_integrity_check)."""
    check = "integrity_check" if thorough else "quick_check"
    return [line for (line,) in connection.execute(f"PRAGMA {check}") if line != "ok"]


def disagreements(connection: apsw.Connection) -> list[str]:
    """Return the derived tables that do not match the rows, and whether a key is stored twice."""
    with connection:
        rows = connection.execute(
            "SELECT arrival, event_id, run_id, agent_name, job_type, start_time FROM runs"
        ).fetchall()
        found = {
            "keys": Counter(_stored_keys(connection)),
            "tallies": Counter(connection.execute("SELECT field, name, runs FROM tallies")),
        }
    expected = {"keys": Counter(_expected_keys(rows)), "tallies": Counter(_expected_tallies(rows))}
    repeated = {"event_id"} if len({row[1] for row in rows}) < len(rows) else set()
    return sorted({name for name in found if found[name] != expected[name]} | repeated)


def _stored_keys(connection: apsw.Connection) -> Iterator[tuple[Any, ...]]:
    yield from connection.execute(" UNION ALL ".join(f"SELECT hash, start, arrival FROM {table}" for table in TABLES))


def _expected_keys(rows: list[tuple[Any, ...]]) -> Iterator[tuple[int, int, int]]:
    """Return an entry for each of a run's two IDs, that of the name with its start."""
    for arrival, event_id, run_id, *_, start_time in rows:
        yield event_hash(event_id), 0, arrival
        yield run_hash(run_id), (datetime.fromisoformat(start_time) - EPOCH) // timedelta(microseconds=1), arrival


def _expected_tallies(rows: list[tuple[Any, ...]]) -> Iterator[tuple[str, str, int]]:
    for field, column in (("agent_name", 3), ("job_type", 4)):
        for name, number in Counter(row[column] for row in rows).items():
            yield field, name, number
