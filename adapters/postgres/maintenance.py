"""Check a database: its schema, every run, that no key is there twice, and the tallies.

What is compared with each other is read in one transaction, so servers may be at work meanwhile; while the runs are
read, VACUUM keeps the rows that were deleted or replaced since. That the pages of tables and indexes are whole,
PostgreSQL itself verifies (data checksums, amcheck); here an index only has to exist and to be valid.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, Final

import attrs
import psycopg

from adapters.postgres.connection import open_for_check
from adapters.postgres.errors import translated_errors
from adapters.postgres.schema import VERSION, created_objects, found_version, missing_parts
from adapters.sql_rows import COLUMNS, TALLIED
from adapters.store_check import (
    MAX_PROBLEMS,
    Advance,
    StoreReport,
    ignore_progress,
    problems_of_horizon,
    problems_of_run,
)
from core.errors import StoreUnusableError

FETCHED_RUNS: Final = 16
"""So many runs are in memory at a time, since each may be large."""

_DAMAGE: Final = (psycopg.DataError, psycopg.ProgrammingError, psycopg.InternalError, UnicodeDecodeError)
"""What reading a damaged table raises: corrupted pages, or a table that is not what it should be."""

_INDEXES: Final = (
    "SELECT c.relname::text, i.indisvalid AND i.indisready FROM pg_index AS i "
    "JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = current_schema()"
)
_KEYED_TABLES: Final = (
    "SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND i.indisprimary"
)
_SIZE: Final = "SELECT pg_total_relation_size(%s::regclass)"
_SUMMARY: Final = """
SELECT
    (SELECT count(*) FROM runs),
    (SELECT count(DISTINCT event_id) FROM runs),
    (SELECT count(DISTINCT name) FROM tallies WHERE field = 'agent_name'),
    (SELECT count(DISTINCT name) FROM tallies WHERE field = 'job_type'),
    (SELECT count(*) FROM jobs),
    (SELECT count(*) FROM jobs WHERE finished_at IS NULL),
    (SELECT min(start_time) FROM runs),
    (SELECT max(start_time) FROM runs),
    (SELECT max(horizon) FROM retention),
    (SELECT count(*) FROM runs WHERE start_time < (SELECT max(horizon) FROM retention))
"""
_TWINS: Final = (
    f"SELECT event_id, count(*) FROM runs GROUP BY event_id HAVING count(*) > 1 ORDER BY event_id LIMIT {MAX_PROBLEMS}"
)
_TALLIES: Final = f"""
SELECT name, sum(kept)::bigint, sum(counted)::bigint FROM (
    SELECT name, runs AS kept, 0 AS counted FROM tallies WHERE field = '{{field}}'
    UNION ALL SELECT {{field}}, 0, count(*) FROM runs GROUP BY {{field}}
) AS named GROUP BY name HAVING sum(kept) <> sum(counted) ORDER BY name LIMIT {MAX_PROBLEMS}
"""


_Part = Callable[[], Iterable[str]]


def check_postgres(url: str, shown: str, advance: Advance = ignore_progress) -> StoreReport:
    """Check the store in a database and return what was found; damage is in the report.

    Raises:
        StoreUnusableError: there is no store, or one of a newer version.
        StoreBusyError: the database cannot be reached.
        StoreError: reading it failed.
    """
    with closing(open_for_check(url, shown)) as connection, translated_errors():
        version = found_version(connection)
        connection.commit()
        if version == 0:
            raise StoreUnusableError(
                f"cannot use {shown}: it has no tables of runsink; name another database or schema"
            )
        return _Check(connection, version, advance).run()


class _Check:
    """One check, each part in a transaction of its own. A part that cannot be carried out is itself a problem."""

    def __init__(self, connection: psycopg.Connection, version: int, advance: Advance) -> None:
        self._connection = connection
        self._advance = advance
        self._report = StoreReport(schema_version=version)

    def run(self) -> StoreReport:
        """Carry out the parts one after the other, until there are too many problems to report."""
        tallies = (partial(self._tally, field) for field in TALLIED)
        parts: tuple[_Part, ...] = (self._schema, self._summary, self._twins, *tallies, self._runs)
        for part in parts:
            self._carry_out(part)
        return self._report

    def _carry_out(self, part: _Part) -> None:
        if not self._report.is_full:
            found = tuple(islice(self._or_damage(part), MAX_PROBLEMS))
            self._report = self._report.with_problems(found)

    def _or_damage(self, part: _Part) -> Iterator[str]:
        """Yield what a part finds; damage that ends it is found as well, and ends its transaction."""
        try:
            with self._connection.transaction():
                yield from part()
        except psycopg.errors.InsufficientPrivilege:
            raise
        except _DAMAGE as error:
            yield f"the database cannot be read further: {' '.join(str(error).split())}"

    def _schema(self) -> Iterator[str]:
        if self._report.schema_version != VERSION:
            yield f"it has schema version {self._report.schema_version} instead of {VERSION}"
        yield from missing_parts(self._connection)
        keyed = {name for (name,) in self._rows(_KEYED_TABLES)}
        valid = dict(self._rows(_INDEXES))
        for name, kind in created_objects().items():
            if kind == "table" and name not in keyed:
                yield f"the table {name} has no primary key"
            elif kind == "index" and not valid.get(name, True):
                yield f"the index {name} is not valid"

    def _summary(self) -> Iterator[str]:
        ((runs, events, names, types, jobs, unfinished, oldest, newest, horizon, expired),) = self._rows(_SUMMARY)
        tables = [name for name, kind in created_objects().items() if kind == "table"]
        self._report = attrs.evolve(
            self._report,
            runs=runs,
            event_ids=events,
            agent_names=names,
            job_types=types,
            jobs=jobs,
            unfinished_jobs=unfinished,
            oldest_start_time=oldest,
            newest_start_time=newest,
            retention_horizon=horizon,
            runs_before_horizon=expired,
            database_bytes=sum(self._rows(_SIZE, name)[0][0] for name in tables),
        )
        yield from problems_of_horizon(horizon)

    def _twins(self) -> Iterator[str]:
        for event_id, count in self._rows(_TWINS):
            yield f"{count} runs have the event_id {event_id!r}"

    def _tally(self, field: str) -> Iterator[str]:
        for name, kept, counted in self._rows(_TALLIES.format(field=field)):
            yield f"{field} {name!r} has {counted} runs but a tally of {kept}"

    def _runs(self) -> Iterator[str]:
        """Compare every run with the rules of its fields."""
        whole = self._report.runs or 0
        with self._connection.cursor("checked_runs") as cursor:
            cursor.execute(f"SELECT {COLUMNS} FROM runs".encode())
            done = 0
            while rows := cursor.fetchmany(FETCHED_RUNS):
                for row in rows:
                    yield from (f"run {row[0]!r}: {problem}" for problem in problems_of_run(row))
                done += len(rows)
                self._advance(done, whole)

    def _rows(self, sql: str, *bindings: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode(), bindings or None).fetchall()
