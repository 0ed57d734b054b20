"""Failures of the database engine, and the errors that they are translated to."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Barrier

import psycopg
import pytest
from psycopg.sql import SQL

from adapters.group_commit import GroupCommitWriter
from adapters.postgres import PostgresStore, connection
from adapters.postgres import store as store_module
from adapters.postgres.errors import translated_errors
from core.errors import StoreBusyError, StoreError, StoreFullError, StoreTimeoutError, TransactionConflictError
from core.model.limits import Limits
from core.model.run import EventId
from core.ports.unit_of_work import UnitOfWork
from entrypoints.databases import open_database
from tests.contract.samples import HANG_GUARD_SECONDS, agent_names, all_keys, keep, read, sample_run


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    """Yield an empty store."""
    opened = PostgresStore(postgres_url, "postgresql://…", Limits(max_read_seconds=1))
    yield opened
    opened.close()


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """Yield an operator's connection."""
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


def end_connections(admin: psycopg.Connection) -> int:
    """End every connection of the store to this schema; return their number."""
    found = admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = current_schema() AND pid <> pg_backend_pid()"
    ).fetchall()
    return len(found)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", TransactionConflictError),
        ("40P01", TransactionConflictError),
        ("53100", StoreFullError),
        ("53300", StoreBusyError),
        ("57P01", StoreBusyError),
        ("57P03", StoreBusyError),
        ("57014", StoreBusyError),
        ("55P03", StoreBusyError),
        ("25006", StoreBusyError),
        ("40003", StoreBusyError),
        ("08006", StoreBusyError),
        ("42501", StoreError),
        ("XX001", StoreError),
        ("58030", StoreError),
    ],
)
def test_errors_of_the_engine_become_errors_of_the_domain(
    admin: psycopg.Connection, state: str, kind: type[StoreError]
) -> None:
    """The SQLSTATE alone determines the error raised."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'staged' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(StoreError) as caught, translated_errors():
        admin.execute(SQL(raising))  # type: ignore[arg-type]
    assert type(caught.value) is kind


def test_programming_errors_pass(admin: psycopg.Connection) -> None:
    """An invalid statement is a programming error and passes through."""
    with pytest.raises(psycopg.ProgrammingError), translated_errors():
        admin.execute("SELECT nonsense")


def test_a_deadlock_is_a_conflict_and_resolves_itself(postgres_url: str) -> None:
    """Two servers that change the same runs in opposite order both succeed, at least one of them after a retry."""
    stores = [open_database(postgres_url) for _ in range(2)]
    keep(stores[0], sample_run("a"), sample_run("b"))
    met = Barrier(2)
    conflicts: list[str] = []

    def touch(first: str, second: str) -> Callable[[UnitOfWork], None]:
        attempts = []

        def command(work: UnitOfWork) -> None:
            attempts.append(first)
            work.runs.get(EventId(first))
            if len(attempts) == 1:
                met.wait(HANG_GUARD_SECONDS)
            else:
                conflicts.append(first)
            work.runs.replace(sample_run(second, output_summary=f"{first} first"))

        return command

    writers = [GroupCommitWriter(store) for store in stores]
    try:
        done = [writers[0].submit(touch("a", "b")), writers[1].submit(touch("b", "a"))]
        assert [future.result(HANG_GUARD_SECONDS * 2) for future in done] == [None, None]
    finally:
        for writer, store in zip(writers, stores, strict=True):
            writer.close()
            store.close()
    # The retry may meet the other server again, and then that one has to retry.
    assert conflicts


def test_a_lock_that_is_held_for_long_is_busy(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str, admin: psycopg.Connection
) -> None:
    """Waiting for a run locked by another transaction times out, and succeeds once it is free."""
    monkeypatch.setitem(connection.SESSION, "lock_timeout", "100ms")
    store = open_database(postgres_url)
    with admin.transaction():
        keep(store, sample_run("a"))
        admin.execute("SELECT * FROM runs WHERE event_id = 'a' FOR UPDATE")
        with pytest.raises(StoreBusyError), store.unit_of_work() as work:
            work.runs.get(EventId("a"))
    keep(store, sample_run("b"))
    assert all_keys(store) == {"a", "b"}
    store.close()


def test_a_run_that_vanishes_while_it_is_sent_is_never_acknowledged(
    store: PostgresStore, admin: psycopg.Connection
) -> None:
    """A run that is neither added nor found is a conflict."""
    admin.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.event_id = 'a' THEN RETURN NULL; END IF; RETURN NEW; END $$"
    )
    admin.execute("CREATE TRIGGER swallow BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION swallow()")
    with pytest.raises(TransactionConflictError), store.unit_of_work() as work:
        work.runs.add([sample_run("a"), sample_run("b")])
    assert all_keys(store) == set()


def test_idle_connections_that_broke_harm_nobody(store: PostgresStore, admin: psycopg.Connection) -> None:
    """After all connections were ended, the next write and the next read succeed."""
    keep(store, sample_run("a"))
    assert end_connections(admin) >= 1
    keep(store, sample_run("b"))
    assert end_connections(admin) >= 1
    assert all_keys(store) == {"a", "b"}


def test_a_connection_lost_in_a_unit_of_work_keeps_nothing(store: PostgresStore, admin: psycopg.Connection) -> None:
    """The unit of work raises ``StoreBusyError`` and is rolled back, and the next one succeeds."""
    with pytest.raises(StoreBusyError), store.unit_of_work() as work, work.savepoint():  # noqa: PT012 - the block is what is tested
        work.runs.add([sample_run("a")])
        end_connections(admin)
        work.runs.add([sample_run("b")])
    keep(store, sample_run("c"))
    assert all_keys(store) == {"c"}


def test_a_connection_lost_in_a_reader_is_busy(store: PostgresStore, admin: psycopg.Connection) -> None:
    """A read raises ``StoreBusyError``, and the next reader succeeds."""
    keep(store, sample_run("a"))
    with pytest.raises(StoreBusyError), store.reader() as runs:  # noqa: PT012 - the block is what is tested
        end_connections(admin)
        agent_names(runs)
    assert read(store, agent_names) == ("translator",)


def test_a_connection_lost_before_the_commit_says_that_nobody_knows(
    store: PostgresStore, admin: psycopg.Connection
) -> None:
    """The outcome of a commit without a response is unknown; the error says so, and retrying is safe."""
    unknown = pytest.raises(StoreBusyError, match="the outcome is unknown")
    with unknown, store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        end_connections(admin)
        work.commit()
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}


def test_a_transaction_that_failed_cannot_be_committed(store: PostgresStore) -> None:
    """PostgreSQL turns such a COMMIT into a rollback without an error; the store raises one."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        # Which of the two raises depends on psycopg.
        with pytest.raises(psycopg.ProgrammingError):  # noqa: PT012
            work._execute("SELECT nonsense")  # noqa: SLF001 - no method of the port sends nonsense
            work.runs.get(EventId("a"))
        with suppress(psycopg.Error):
            work._pipeline.sync()  # noqa: SLF001 - after which PostgreSQL goes on, to nowhere
        with pytest.raises(StoreError, match="rolled back the transaction"):
            work.commit()
    assert all_keys(store) == set()


def test_a_statement_that_nobody_read_ends_the_commit(store: PostgresStore) -> None:
    """An error of a statement that was not awaited is raised by the commit at the latest."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        with pytest.raises(psycopg.ProgrammingError):  # noqa: PT012 - which of the two says so depends on psycopg
            work._execute("SELECT nonsense")  # noqa: SLF001 - no method of the port sends nonsense
            work.commit()
    assert all_keys(store) == set()


def test_a_savepoint_undoes_what_failed_in_it(store: PostgresStore) -> None:
    """After a statement failed in a savepoint, the unit of work continues."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        with pytest.raises(psycopg.ProgrammingError), work.savepoint():  # noqa: PT012 - the block is what is tested
            work.runs.add([sample_run("b")])
            work._execute("SELECT nonsense")  # noqa: SLF001 - no method of the port sends nonsense
            work.runs.add([sample_run("c")])
        work.runs.add([sample_run("d")])
        work.commit()
    assert all_keys(store) == {"a", "d"}


def test_a_pool_that_is_used_up_is_busy_after_a_while(store: PostgresStore) -> None:
    """If no connection is available, entering times out and blocks nobody else."""
    held = [store.reader() for _ in range(connection.MAX_CONNECTIONS)]
    for reader in held:
        reader.__enter__()
    store._pool.timeout = 0.1  # noqa: SLF001 - to wait for less than the 5 seconds of the product
    for _ in range(2):
        with pytest.raises(StoreBusyError), store.unit_of_work():
            pass
    for reader in held:
        reader.__exit__(None, None, None)
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}


def test_a_slow_read_is_given_up(store: PostgresStore) -> None:
    """A query beyond the time limit raises an error that says how to ask for less; the store keeps working."""
    keep(store, sample_run("first"))
    with pytest.raises(StoreTimeoutError, match="max_read_seconds"), store.reader() as runs:
        # Sent like the reader's own queries; filling ten million rows would take too long.
        runs._number("SELECT count(pg_sleep(5))", ())  # type: ignore[attr-defined]  # noqa: SLF001
    assert all_keys(store) == {"first"}


def test_an_engine_without_a_figure_is_still_measured(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot tell is left out, and the rest is there."""
    monkeypatch.setattr(store_module, "_SIZE", "SELECT no_such_function()")
    figures = store.measure()
    assert figures.database_bytes is None
    assert figures.oldest_transaction_seconds is not None
