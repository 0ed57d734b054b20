"""Databases with many runs, filled directly and kept in a cache.

The product creates the tables. Their indexes are dropped for the bulk and created again, and the last runs are
inserted one by one with all indexes in place. A freshly built index has full pages, each of which splits at the next
insert, so a database that has just been built would be slower than one that has grown.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from adapters.sqlite import SqliteStore
from adapters.sqlite.connection import open_writer
from bench.bodies import make_pool, make_rows
from bench.tables import insert_rows, require_known_schema, schema_of
from core.model.listing import PageRequest, RunFilter

START: Final = datetime(2025, 1, 1)  # noqa: DTZ001 - written with Z, see make_rows
STEP_MS: Final = 3000
"""Ten million runs span most of a year."""

_FORMAT = 2
_TRANSACTION_RUNS = 100_000
_BATCH_RUNS = 1000
_GROWN_SHARE = 0.05
_CACHE_KIB = 2 * 1024 * 1024
_COPY_BYTES = 16 * 1024 * 1024


def filled_database(cache: Path, size: int) -> Path:
    """Return the database with this many runs, from the cache or built from the largest smaller one."""
    cache.mkdir(parents=True, exist_ok=True)
    key = _schema_key(cache)
    path = cache / f"runs-{size}-{key}.db"
    if path.exists():
        return path
    smaller = [(int(found.name.split("-")[1]), found) for found in cache.glob(f"runs-*-{key}.db")]
    base_size, base = max(((known, found) for known, found in smaller if known < size), default=(0, None))
    print(f"  filling {path} with {size:,} runs, from {base_size:,}", flush=True)
    unfinished = path.with_suffix(".part")
    for leftover in cache.glob(f"{unfinished.name}*"):
        leftover.unlink()
    if base is not None:
        copy_database(base, unfinished)
    _fill(unfinished, base_size, size)
    _check(unfinished, size)
    unfinished.rename(path)
    return path


def copy_database(source: Path, target: Path) -> None:
    """Copy a file and sync it, so that no measurement has to wait for that."""
    with source.open("rb") as ours, target.open("wb") as theirs:
        shutil.copyfileobj(ours, theirs, _COPY_BYTES)
        theirs.flush()
        os.fsync(theirs.fileno())
        # The copy should be in the page cache, not the original.
        os.posix_fadvise(ours.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _fill(path: Path, have: int, size: int) -> None:
    open_writer(path).close()
    connection = apsw.Connection(str(path))
    try:
        require_known_schema(connection)
        # An unfinished file is discarded, so nothing has to survive a crash.
        for name, value in (("journal_mode", "off"), ("synchronous", "off"), ("cache_size", -_CACHE_KIB)):
            connection.pragma(name, value)
        schema = schema_of(connection)
        indexes = [(name, ddl) for kind, name, ddl in schema if kind == "index"]
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        bulk_end = max(have, size - int(size * _GROWN_SHARE))
        _insert(connection, have, bulk_end)
        for name, ddl in indexes:
            print(f"    {name}", flush=True)
            connection.execute(ddl)
        _insert(connection, bulk_end, size)
        _tally(connection)
        if schema_of(connection) != schema:
            raise AssertionError("the schema is not what it was")
    finally:
        connection.close()
    open_writer(path).close()


def _insert(connection: apsw.Connection, first: int, end: int) -> None:
    rows = make_rows(make_pool(), first, end - first, START, STEP_MS)
    for start in range(first, end, _TRANSACTION_RUNS):
        connection.execute("BEGIN")
        for _ in range(0, min(_TRANSACTION_RUNS, end - start), _BATCH_RUNS):
            insert_rows(connection, list(islice(rows, _BATCH_RUNS)))
        connection.execute("COMMIT")
        if start % 1_000_000 == 0:
            print(f"    {start:,} of {end:,}", flush=True)


def _tally(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM tallies")
    for field in ("agent_name", "job_type"):
        sql = f"INSERT INTO tallies (field, name, runs) SELECT ?, {field}, count(*) FROM runs GROUP BY {field}"
        connection.execute(sql, (field,))


def _check(path: Path, size: int) -> None:
    """Check that the product itself finds what was written."""
    store = SqliteStore(path)
    try:
        with store.reader() as runs:
            if (found := runs.count(RunFilter())) != size:
                raise AssertionError(f"the product counts {found} runs, not {size}")
            page = runs.page(RunFilter(), PageRequest(counted=False))
            if any(runs.get(run.event_id) != run for run in page.runs):
                raise AssertionError("the product does not find the runs of the first page by their keys")
    finally:
        store.close()


def _schema_key(cache: Path) -> str:
    """Return a key that distinguishes databases of different schema versions or contents."""
    empty = cache / f"schema-{os.getpid()}.db"
    connection = open_writer(empty)
    try:
        version = connection.pragma("user_version")
        parts: Sequence[object] = (_FORMAT, version, schema_of(connection), make_pool()[0].row, STEP_MS)
    finally:
        connection.close()
        for path in cache.glob(f"{empty.name}*"):
            path.unlink()
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
