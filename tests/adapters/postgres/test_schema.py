"""The PostgreSQL schema: created by the first process, never touching other tables."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier

import psycopg
import pytest
from psycopg.sql import SQL

from adapters.postgres import schema
from adapters.postgres.connection import configure
from adapters.postgres.schema import VERSION, in_dialect, migrate
from core.errors import StoreUnusableError
from entrypoints.databases import open_database
from tests.contract.samples import all_keys, keep, sample_run

SERVERS = 10

FIRST_VERSION = "cb0b55bdda6c8cc62b8bfca376a4c07deffd66e699b45d37e9531ff9aa77b970"
"""The digest of the statements of version 1."""


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to an empty database."""
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def tables(connection: psycopg.Connection) -> set[str]:
    """Return the contents of the schema."""
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    return {name for (name,) in rows}


def test_ten_servers_may_start_at_once(postgres_url: str, connection: psycopg.Connection) -> None:
    """On an empty database, all stores open: one creates the tables, and all share them."""
    barrier = Barrier(SERVERS)

    def start(number: int) -> None:
        barrier.wait()
        store = open_database(postgres_url)
        keep(store, sample_run(f"event-{number}"))
        store.close()

    with ThreadPoolExecutor(SERVERS) as pool:
        list(pool.map(start, range(SERVERS)))
    store = open_database(postgres_url)
    assert all_keys(store) == {f"event-{number}" for number in range(SERVERS)}
    store.close()
    assert connection.execute("SELECT * FROM runsink_schema").fetchall() == [(1, VERSION)]


def test_a_migration_that_broke_off_is_finished(postgres_url: str, connection: psycopg.Connection) -> None:
    """If DDL was not rolled back, the next start creates what is missing and leaves the rest."""
    migrate(connection)
    connection.execute("UPDATE runsink_schema SET version = 0")
    connection.execute("DROP TABLE tallies")
    store = open_database(postgres_url)
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}
    store.close()


def test_cockroach_is_told_no_collation() -> None:
    """The collation is the only difference in that engine's dialect; it is the default there."""
    statement = 'CREATE TABLE t (a TEXT COLLATE "C" NOT NULL, b TEXT COLLATE "C")'
    assert in_dialect(statement, "v25.4.0") == "CREATE TABLE t (a TEXT NOT NULL, b TEXT)"
    assert in_dialect(statement, None) == statement


def test_a_newer_schema_is_refused(postgres_url: str, connection: psycopg.Connection) -> None:
    """The message names both versions and the remedy."""
    migrate(connection)
    connection.execute("UPDATE runsink_schema SET version = 999")
    with pytest.raises(StoreUnusableError, match=f"version 999 .* up to {VERSION}; upgrade runsink"):
        open_database(postgres_url)


@pytest.mark.parametrize("name", ["runs", "tallies"])
def test_a_table_of_another_application_is_refused(
    postgres_url: str, connection: psycopg.Connection, name: str
) -> None:
    """A table with one of our names but without our mark is left unchanged, and no others are created."""
    connection.execute(SQL(f"CREATE TABLE {name} (event_id TEXT)"))  # type: ignore[arg-type]
    with pytest.raises(StoreUnusableError, match=f"has a table {name} of another application"):
        open_database(postgres_url)
    assert tables(connection) == {name}


def test_a_database_that_cannot_keep_every_text_is_refused(postgres_server: str) -> None:
    """An encoding that cannot represent every character is rejected."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE runsink_test_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with pytest.raises(StoreUnusableError, match="encoding is LATIN1, which cannot store every text"):
                open_database(postgres_server.rpartition("/")[0] + "/runsink_test_latin1")
        finally:
            connection.execute("DROP DATABASE runsink_test_latin1")


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
def test_commits_are_durable_whatever_the_default(connection: psycopg.Connection, given: str, used: str) -> None:
    """Every session waits at least for the disk."""
    connection.execute("SELECT set_config('synchronous_commit', %s, false)", (given,))
    configure(connection)
    assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE retention", "the table retention is missing"),
        ("DROP INDEX runs_by_run_id", "the index runs_by_run_id is missing"),
        ("ALTER TABLE jobs DROP COLUMN found_bytes", "the table jobs has no column found_bytes"),
    ],
)
def test_tables_of_another_layout_are_refused(
    postgres_url: str, connection: psycopg.Connection, statement: str, said: str
) -> None:
    """The mark of the current version is not enough: what an upload needs must be there when the store is opened."""
    migrate(connection)
    connection.execute(statement.encode())
    with pytest.raises(StoreUnusableError, match=f"schema version {VERSION} but {said}; .* from a backup"):
        open_database(postgres_url)


def test_the_first_version_is_frozen() -> None:
    """Stores of version 1 exist: whatever changes in its tables and indexes has to be a step to the next version."""
    statements = "\n".join(schema._STEPS[0])  # noqa: SLF001 - the version as it is
    assert sha256(statements.encode()).hexdigest() == FIRST_VERSION
