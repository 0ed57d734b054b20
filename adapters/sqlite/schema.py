"""The tables, and the migrations from older versions."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apsw

from adapters.sqlite.keys import TABLES
from core.errors import StoreUnusableError
from core.model.run import Timestamp
from core.model.summary import MAX_METRIC
from core.validation.fields import format_timestamp

APPLICATION_ID = 0x52_55_4E_53
"""``RUNS`` in ASCII: marks the file as runsink's (https://www.sqlite.org/pragma.html#pragma_application_id)."""

EPOCH: Final = 1_830_297_600  # 2028-01-01: starts from July 2023 to June 2032 take 6 bytes, all others 8

_EPOCH_TIME: Final = datetime.fromtimestamp(EPOCH, UTC)

_log = logging.getLogger("runsink")


def start_of(time: str) -> str:
    """Return SQL for a start as used in keys, in microseconds since 2028, given SQL for a ``Timestamp`` of any year."""
    # SQLite rounds fractions of a second to milliseconds, so omit them.
    return f"(unixepoch(substr({time}, 1, 19)) - {EPOCH}) * 1000000 + substr({time}, 21, 6)"


def metric_of(name: str) -> str:
    """Return SQL for a member of ``metrics_json``, NULL unless it counts as reported."""
    path = f"'$.\"{name}\"'"
    value = f"json_extract(metrics_json, {path})"
    # true is the integer 1 to json_extract. A damaged text must not make copying the database fail.
    return (
        "CASE WHEN json_valid(metrics_json) THEN "
        f"CASE WHEN json_type(metrics_json, {path}) IN ('integer', 'real') "
        f"AND {value} BETWEEN -{MAX_METRIC} AND {MAX_METRIC} THEN {value} END END"
    )


def time_of(start: int) -> Timestamp:
    """Return the ``Timestamp`` of a start as used in keys."""
    return format_timestamp(_EPOCH_TIME + timedelta(microseconds=start))


def _version_1(connection: apsw.Connection) -> None:
    """Create the first version. Columns are in the order of ``core.model.run.Run``."""
    connection.execute(
        f"""
        CREATE TABLE runs (
            arrival INTEGER PRIMARY KEY,  -- the order of arrival; settles the order among equal starts
            event_id TEXT NOT NULL,
            run_id TEXT NOT NULL,
            agent_name TEXT NOT NULL,
            job_type TEXT NOT NULL,
            start_time TEXT NOT NULL,  -- all times are UTC texts of 27 characters: text order is time order
            start INTEGER NOT NULL AS ({start_of("start_time")}) STORED,  -- the same in fewer bytes, for keys
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            status TEXT NOT NULL,
            parent_run_id TEXT,  -- no foreign key: a parent may arrive later, or never
            product TEXT,
            product_family TEXT,
            platform TEXT,
            subdomain TEXT,
            website TEXT,
            website_section TEXT,
            item_name TEXT,
            git_repo TEXT,
            git_branch TEXT,
            end_time TEXT,
            duration_ms INTEGER,
            items_discovered INTEGER,
            items_succeeded INTEGER,
            items_failed INTEGER,
            items_skipped INTEGER,
            input_summary TEXT,
            output_summary TEXT,
            error_summary TEXT,
            error_details TEXT,
            metrics_json TEXT,  -- this, context_json and extra: JSON objects, keys sorted, no blanks
            context_json TEXT,
            commit_hash TEXT,
            commit_source TEXT,
            commit_author TEXT,
            commit_timestamp TEXT,
            extra TEXT
        ) STRICT
        """
    )
    # GET /runs: newest first. Filters that match many runs are in the index, so that a scan reads no other rows.
    # There is no unique index on event_id and none on run_id: see adapters/sqlite/keys.py.
    connection.execute(
        "CREATE INDEX runs_by_start_time ON runs (start, arrival, status, job_type, agent_name, product)"
    )
    # GET /runs?roots=true, and statistics and facets of them, which read nothing else. Only roots pay for it. The
    # last two columns are the metrics that are mostly asked for.
    connection.execute(
        f"""
        CREATE INDEX runs_without_parent ON runs (
            start, arrival, status, job_type, agent_name, product, git_repo, duration_ms,
            {metric_of("cost_usd")}, {metric_of("total_tokens")}
        ) WHERE parent_run_id IS NULL
        """
    )
    # GET /runs?parent_run_id=: the children of a run, newest first.
    connection.execute(
        "CREATE INDEX runs_by_parent_run_id ON runs (parent_run_id, start) WHERE parent_run_id IS NOT NULL"
    )
    for table in TABLES:
        connection.execute(
            f"""
            CREATE TABLE {table} (
                hash INTEGER NOT NULL,  -- of an event_id or a run_id
                start INTEGER NOT NULL,  -- of a run_id: start_time in microseconds since 2028; of an event_id: 0
                arrival INTEGER NOT NULL,
                PRIMARY KEY (hash, start, arrival)
            ) STRICT, WITHOUT ROWID
            """
        )
    # What each commit writes. There is no row until the first one.
    connection.execute(
        """
        CREATE TABLE arrivals (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            last INTEGER NOT NULL,  -- the last arrival number assigned: none is used twice, even if runs are deleted
            version TEXT NOT NULL  -- random, another one after each commit
        ) STRICT
        """
    )
    # How many runs each name has, for the metadata and the size of the whole list without counting rows.
    connection.execute(
        """
        CREATE TABLE tallies (
            field TEXT NOT NULL,  -- agent_name or job_type
            name TEXT NOT NULL,
            runs INTEGER NOT NULL,
            PRIMARY KEY (field, name)
        ) STRICT, WITHOUT ROWID
        """
    )
    # The retention horizon: no run may start before it. There is no row until it is raised.
    connection.execute("CREATE TABLE retention (id INTEGER PRIMARY KEY CHECK (id = 1), horizon TEXT NOT NULL) STRICT")
    # A row for each background job; its body is in the spool.
    connection.execute(
        """
        CREATE TABLE jobs (
            number INTEGER PRIMARY KEY,  -- the order of the list
            job_id TEXT NOT NULL UNIQUE,
            spool TEXT NOT NULL,  -- whose files hold the body
            format TEXT NOT NULL,  -- ndjson or json
            coding TEXT,  -- the content coding of the body
            created_at TEXT NOT NULL,
            bytes_total INTEGER NOT NULL,
            state TEXT NOT NULL,
            started_at TEXT,
            finished_at TEXT,  -- of finished jobs, and of no others
            bytes_done INTEGER NOT NULL,
            detail TEXT,
            total INTEGER NOT NULL,
            created INTEGER NOT NULL,
            existing INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            last_line INTEGER NOT NULL,
            errors_omitted INTEGER NOT NULL,
            conflicts_omitted INTEGER NOT NULL,
            found_bytes INTEGER NOT NULL  -- about so many have the rows in job_findings; 0 if there are none
        ) STRICT
        """
    )
    connection.execute("CREATE INDEX jobs_to_run ON jobs (spool, number) WHERE finished_at IS NULL")
    # The errors and conflicts of one chunk of a job, so that those before it are not written again.
    connection.execute(
        """
        CREATE TABLE job_findings (
            job_id TEXT NOT NULL,
            line INTEGER NOT NULL,  -- the last one of the chunk
            found TEXT NOT NULL,
            PRIMARY KEY (job_id, line)
        ) STRICT, WITHOUT ROWID
        """
    )


_STEPS: Sequence[Callable[[apsw.Connection], None]] = (_version_1,)
"""Step ``n`` takes a database from version ``n`` to ``n + 1``."""

VERSION = len(_STEPS)


def migrate(connection: apsw.Connection) -> None:
    """Migrate the database to this version, in one transaction; several processes may do so at once.

    Raises:
        StoreUnusableError: the file belongs to another application or a newer version; it is left untouched.
    """
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)
        for step in _STEPS[found:]:
            step(connection)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", VERSION)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    if found < VERSION:
        _log.info("migrated the database from schema version %d to %d", found, VERSION)


def identify(application_id: int, user_version: int, schema_version: int) -> int:
    """Return the version of a database, from the marks in its header; 0 if it is empty.

    Raises:
        StoreUnusableError: it belongs to another application or a newer version.
    """
    if application_id == user_version == schema_version == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise StoreUnusableError("it is a database of another application; name another file")
    if user_version > VERSION:
        raise StoreUnusableError(
            f"it has schema version {user_version} but this runsink supports only up to {VERSION}; upgrade runsink"
        )
    return user_version


def _version(connection: apsw.Connection) -> int:
    # One statement, so that another process's commit is seen either whole or not at all.
    marks: Any = connection.execute("SELECT * FROM pragma_application_id, pragma_user_version, pragma_schema_version")
    ((application_id, user_version, schema_version),) = marks
    return identify(application_id, user_version, schema_version)
