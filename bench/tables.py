"""The product's tables, as the floor and the filling write them. The product itself creates them."""

from collections.abc import Sequence
from typing import Any

import apsw

from adapters.sqlite import keys
from adapters.sqlite.arrivals import Arrivals
from core.model.run import FIELDS

COLUMNS = ", ".join(FIELDS)
INSERT = f"INSERT INTO runs (arrival, {COLUMNS}) VALUES (?, {', '.join('?' * len(FIELDS))})"

_KNOWN_TABLES = {"runs", "tallies", "arrivals", "retention", "jobs", "job_findings", *keys.TABLES}
_EVENT_ID = FIELDS.index("event_id")
_RUN_ID = FIELDS.index("run_id")


class UnknownSchemaError(Exception):
    """The product's schema contains something that the benchmark would leave empty; update ``bench/tables.py``."""


def require_known_schema(connection: apsw.Connection) -> None:
    """Raise ``UnknownSchemaError`` unless the product could have written the same database as the benchmark.

    A column is known if it is a field of a run, is filled by SQLite, or has a default.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if unknown := {name for name in tables if not name.startswith("sqlite_")} - _KNOWN_TABLES:
        raise UnknownSchemaError(f"the bench does not fill the tables {sorted(unknown)}")
    # table_info omits generated columns; SQLite numbers an INTEGER primary key.
    columns = connection.execute("SELECT name, pk, dflt_value FROM pragma_table_info('runs')").fetchall()
    if left := [name for name, key, default in columns if name not in FIELDS and not key and default is None]:
        raise UnknownSchemaError(f"the bench does not fill the columns {left} of runs")


def insert_rows(connection: apsw.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Insert new rows, their values in the order of the fields, and their keys."""
    arrivals = Arrivals(connection)
    first = arrivals.take(len(rows))
    arrivals.keep()
    connection.executemany(INSERT, ((arrival, *row) for arrival, row in enumerate(rows, first)))
    hashes = [(keys.event_hash(row[_EVENT_ID]), keys.run_hash(row[_RUN_ID])) for row in rows]
    keys.add_keys(connection, hashes, first)


def schema_of(connection: apsw.Connection) -> Sequence[tuple[str, str, str]]:
    """Return kind, name and DDL of everything in the schema that has DDL, sorted."""
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name"
    return [(kind, name, ddl) for kind, name, ddl in connection.execute(sql)]
