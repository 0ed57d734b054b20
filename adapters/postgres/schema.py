"""The tables, and the migrations from older versions.

Everything here works on PostgreSQL, Citus, CockroachDB and YugabyteDB. Not all of them roll back DDL with its
transaction, so each statement can be executed again after a failure midway.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg
from psycopg.sql import SQL

from adapters.postgres.errors import CONFLICTS
from core.errors import StoreUnusableError

_log = logging.getLogger("runsink")

NAME_PREFIX: Final = 255
"""How many characters of a text are indexed. A row of a PostgreSQL index holds about 2700 bytes and texts have no
limit, so a lookup compares the whole text as well."""

FILTER_PREFIX: Final = 64
"""The same for columns that are in the list's index only to skip rows."""

SLOTS: Final = 64
"""Each server picks one of so many slots. Those with different slots never wait for each other where rows belong to
slots; those with the same slot are still correct."""

_BY_CODE_POINT = ' COLLATE "C"'  # as SQLite does, whatever the database's locale
_TEXT = f"TEXT{_BY_CODE_POINT}"

_VERSION_1: Final = (
    # Columns are in the order of core.model.run.Run, after the order of arrival.
    f"""
    CREATE TABLE IF NOT EXISTS runs (
        arrival BIGINT NOT NULL,  -- the order of arrival; settles the order among equal starts
        event_id {_TEXT} NOT NULL,
        run_id {_TEXT} NOT NULL,
        agent_name {_TEXT} NOT NULL,
        job_type {_TEXT} NOT NULL,
        start_time {_TEXT} NOT NULL,  -- all times are UTC texts of 27 characters: text order is time order
        created_at {_TEXT} NOT NULL,
        updated_at {_TEXT} NOT NULL,
        status {_TEXT} NOT NULL,
        parent_run_id {_TEXT},  -- no foreign key: a parent may arrive later, or never
        product {_TEXT},
        product_family {_TEXT},
        platform {_TEXT},
        subdomain {_TEXT},
        website {_TEXT},
        website_section {_TEXT},
        item_name {_TEXT},
        git_repo {_TEXT},
        git_branch {_TEXT},
        end_time {_TEXT},
        duration_ms BIGINT,
        items_discovered BIGINT,
        items_succeeded BIGINT,
        items_failed BIGINT,
        items_skipped BIGINT,
        input_summary {_TEXT},
        output_summary {_TEXT},
        error_summary {_TEXT},
        error_details {_TEXT},
        metrics_json {_TEXT},  -- this, context_json and extra: JSON objects as they are; jsonb would change them
        context_json {_TEXT},
        commit_hash {_TEXT},
        commit_source {_TEXT},
        commit_author {_TEXT},
        commit_timestamp {_TEXT},
        extra {_TEXT},
        PRIMARY KEY (event_id)  -- ensures exactly-once; a distributed engine also distributes the runs by it
    )
    """,
    # Each call of add takes one value, for all of its runs.
    "CREATE SEQUENCE IF NOT EXISTS arrivals",
    # GET /runs: newest first. Filters that match many runs are in the index, so that a scan reads no other rows. DESC
    # is explicit because YugabyteDB distributes a first column without an order by its hash.
    f"""
    CREATE INDEX IF NOT EXISTS runs_by_start_time ON runs (
        start_time DESC, arrival DESC, status,
        left(job_type, {FILTER_PREFIX}), left(agent_name, {FILTER_PREFIX}), left(product, {FILTER_PREFIX})
    )
    """,
    # GET /runs?roots=true, and statistics and facets of them. Only roots pay for it.
    f"""
    CREATE INDEX IF NOT EXISTS runs_without_parent ON runs (
        start_time DESC, arrival DESC, status,
        left(job_type, {FILTER_PREFIX}), left(agent_name, {FILTER_PREFIX}), left(product, {FILTER_PREFIX})
    ) WHERE parent_run_id IS NULL
    """,
    # GET /runs/{run_id}: the newest run with a name.
    f"CREATE INDEX IF NOT EXISTS runs_by_run_id ON runs (left(run_id, {NAME_PREFIX}), start_time DESC, arrival DESC)",
    # GET /runs?parent_run_id=: the children of a run, newest first.
    f"""
    CREATE INDEX IF NOT EXISTS runs_by_parent_run_id
    ON runs (left(parent_run_id, {NAME_PREFIX}), start_time DESC, arrival DESC) WHERE parent_run_id IS NOT NULL
    """,
    # How many runs each name has, for the metadata and the size of the whole list without counting rows.
    f"""
    CREATE TABLE IF NOT EXISTS tallies (
        field {_TEXT} NOT NULL,  -- agent_name or job_type
        digest {_TEXT} NOT NULL,  -- of the name, which may be too long for an index
        slot BIGINT NOT NULL,  -- each server adds to rows of its own; their sum counts
        name {_TEXT} NOT NULL,
        runs BIGINT NOT NULL,
        PRIMARY KEY (field, digest, slot)
    )
    """,
    # The retention horizon, the same in every row: no run may start before it. Each server locks a row of its own while
    # it relies on it, and raising it locks all of them.
    f"""
    CREATE TABLE IF NOT EXISTS retention (
        slot BIGINT NOT NULL,
        horizon {_TEXT},  -- NULL until it is raised
        PRIMARY KEY (slot)
    )
    """,
    f"INSERT INTO retention (slot) SELECT generate_series(0, {SLOTS - 1}) ON CONFLICT (slot) DO NOTHING",
    # What each commit writes. Each server writes a row of its own, and all rows together are the version of the store.
    f"""
    CREATE TABLE IF NOT EXISTS versions (
        slot BIGINT NOT NULL,
        version {_TEXT} NOT NULL,  -- random, another one after each commit
        PRIMARY KEY (slot)
    )
    """,
    # A row for each background job; its body is in the spool of one server.
    f"""
    CREATE TABLE IF NOT EXISTS jobs (
        job_id {_TEXT} NOT NULL,
        number BIGINT NOT NULL,  -- the order of the list
        spool {_TEXT} NOT NULL,  -- whose files hold the body
        format {_TEXT} NOT NULL,  -- ndjson or json
        coding {_TEXT},  -- the content coding of the body
        created_at {_TEXT} NOT NULL,
        bytes_total BIGINT NOT NULL,
        state {_TEXT} NOT NULL,
        started_at {_TEXT},
        finished_at {_TEXT},  -- of finished jobs, and of no others
        bytes_done BIGINT NOT NULL,
        detail {_TEXT},
        total BIGINT NOT NULL,
        created BIGINT NOT NULL,
        existing BIGINT NOT NULL,
        failed BIGINT NOT NULL,
        last_line BIGINT NOT NULL,
        errors_omitted BIGINT NOT NULL,
        conflicts_omitted BIGINT NOT NULL,
        found_bytes BIGINT NOT NULL,  -- about so many have the rows in job_findings; 0 if there are none
        PRIMARY KEY (job_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS jobs_by_number ON jobs (number DESC)",
    "CREATE INDEX IF NOT EXISTS jobs_to_run ON jobs (spool, number DESC) WHERE finished_at IS NULL",
    # The errors and conflicts of one chunk of a job, so that those before it are not written again.
    f"""
    CREATE TABLE IF NOT EXISTS job_findings (
        job_id {_TEXT} NOT NULL,
        line BIGINT NOT NULL,  -- the last one of the chunk
        found {_TEXT} NOT NULL,
        PRIMARY KEY (job_id, line)
    )
    """,
    # The refused runs that are kept, if they are.
    f"""
    CREATE TABLE IF NOT EXISTS refusals (
        number BIGINT NOT NULL,  -- consecutive; the order of the list
        start BIGINT NOT NULL,  -- the bytes of all refusals that were ever added before this one
        size BIGINT NOT NULL,
        received_at {_TEXT} NOT NULL,
        event_id {_TEXT},
        run_id {_TEXT},
        fields {_TEXT} NOT NULL,  -- the names of the invalid fields, with a blank before and after each
        errors BYTEA NOT NULL,  -- JSON: [[field, reason, kind], …]
        body BYTEA NOT NULL,  -- what was sent, as text in UTF-8, which may hold NUL
        PRIMARY KEY (number)
    )
    """,
    # One row, which a server locks while it adds refusals.
    """
    CREATE TABLE IF NOT EXISTS refusal_marks (
        id BIGINT NOT NULL,
        last BIGINT NOT NULL,  -- the last number given
        total BIGINT NOT NULL,  -- the bytes of all refusals that were ever added
        PRIMARY KEY (id)
    )
    """,
    "INSERT INTO refusal_marks (id, last, total) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING",
)

_STEPS: Final[Sequence[Sequence[str]]] = (_VERSION_1,)
"""Step ``n`` takes a database from version ``n`` to ``n + 1``."""

VERSION: Final = len(_STEPS)

_OURS: Final = (
    "CREATE TABLE IF NOT EXISTS runsink_schema (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
    "INSERT INTO runsink_schema (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING",
)

_REPEATABLE: Final = (*CONFLICTS, "23505", "42710", "42P07", "XX000")
"""Two processes create the same table at once. Despite ``IF NOT EXISTS``, one of them may get a unique violation in the
catalogue, a duplicate type or table or, when it creates an index, "tuple concurrently updated"."""

_ATTEMPTS: Final = 20

_CREATED: Final = re.compile(r"CREATE (TABLE|INDEX|SEQUENCE) IF NOT EXISTS (\w+)")


def migrate(connection: psycopg.Connection) -> None:
    """Migrate the database to this version; several processes may do so at once.

    The lock is the row of ``runsink_schema``, which exists before any other table. Every engine has row locks.

    Raises:
        StoreUnusableError: the tables belong to another application or a newer version; they are left untouched.
        psycopg.Error: the database failed.
    """
    for remaining in reversed(range(_ATTEMPTS)):
        try:
            if found_version(connection) < VERSION:
                _migrate(connection)
        except psycopg.Error as error:
            if error.sqlstate not in _REPEATABLE or not remaining:
                raise
        else:
            return


def _migrate(connection: psycopg.Connection) -> None:
    for statement in _OURS:
        connection.execute(SQL(statement))
    with connection.transaction():
        row = connection.execute("SELECT version FROM runsink_schema WHERE id = 1 FOR UPDATE").fetchone()
        found = _known(row)
        for step in _STEPS[found:]:
            for statement in step:
                connection.execute(SQL(in_dialect(statement, connection.info.parameter_status("crdb_version"))))
        connection.execute("UPDATE runsink_schema SET version = %s WHERE id = 1", (VERSION,))
    if found < VERSION:
        _log.info("migrated the database from schema version %d to %d", found, VERSION)


def in_dialect(statement: str, cockroach_version: str | None) -> str:
    """Return the statement in the engine's dialect.

    CockroachDB compares by code point anyway and rejects columns that say so
    (https://github.com/cockroachdb/cockroach/pull/96828).
    """
    return statement if cockroach_version is None else statement.replace(_BY_CODE_POINT, "")


def found_version(connection: psycopg.Connection) -> int:
    """Return the version of the connection's schema; 0 if it is empty."""
    rows = connection.execute(
        # The information schema would hide tables that this role may not use.
        "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = current_schema() AND relname IN ('runs', 'tallies', 'retention', 'versions', 'jobs', "
        "'job_findings', 'refusals', 'refusal_marks', 'runsink_schema')"
    ).fetchall()
    found = {name for (name,) in rows}
    if "runsink_schema" in found:
        return _known(connection.execute("SELECT version FROM runsink_schema WHERE id = 1").fetchone())
    if found:
        raise StoreUnusableError(f"it has a table {min(found)} of another application; name another database or schema")
    return 0


def created_objects() -> Mapping[str, str]:
    """Return the kind of each object that the migrations create, such as ``table``, by its name."""
    statements = "".join(statement for step in _STEPS for statement in step)
    return {name: kind.lower() for kind, name in _CREATED.findall(statements)}


def _known(row: tuple[int, ...] | None) -> int:
    version = row[0] if row else 0
    if version > VERSION:
        raise StoreUnusableError(
            f"it has schema version {version} but this runsink supports only up to {VERSION}; upgrade runsink"
        )
    return version
