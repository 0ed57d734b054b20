"""The check of a database: what is wrong is found and named, and a sound one is never accused."""

from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread

import psycopg
import pytest

from adapters.postgres import PostgresStore, maintenance
from adapters.postgres.maintenance import check_postgres
from adapters.store_check import MAX_PROBLEMS
from core.errors import StoreBusyError, StoreUnusableError
from core.model.limits import Limits
from core.model.run import Timestamp
from tests.contract.samples import at, keep, sample_run

RUNS = 40
Change = Callable[..., None]


@pytest.fixture
def filled(postgres_url: str) -> str:
    """Return the URL of a store with some runs."""
    with closing(PostgresStore(postgres_url, "shown", Limits())) as store:
        keep(store, *(sample_run(f"event-{number}", start_time=at(number)) for number in range(RUNS)))
    return postgres_url


@pytest.fixture
def change(postgres_url: str) -> Change:
    """Return a function that changes the database from outside."""

    def execute(*statements: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return execute


def problems(url: str) -> tuple[str, ...]:
    """What a check finds."""
    return check_postgres(url, "shown").problems


def test_a_sound_store_is_reported(filled: str) -> None:
    """Counts and times are those of the store; a database on a server has no WAL of its own."""
    seen = []
    report = check_postgres(filled, "shown", lambda done, whole: seen.append((done, whole)))
    assert report.problems == ()
    assert (report.schema_version, report.runs, report.event_ids) == (1, RUNS, RUNS)
    assert (report.agent_names, report.job_types, report.jobs, report.unfinished_jobs) == (1, 1, 0, 0)
    assert (report.oldest_start_time, report.newest_start_time) == (at(0), at(RUNS - 1))
    assert report.database_bytes
    assert (report.wal_bytes, report.free_pages) == (None, None)
    assert (report.retention_horizon, report.runs_before_horizon) == (None, 0)
    assert seen[0] == (16, RUNS)


def test_runs_before_the_horizon_are_counted_and_no_damage(filled: str) -> None:
    """A prune that was interrupted leaves some."""
    with closing(PostgresStore(filled, "shown", Limits())) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp(at(3)))
        work.commit()
    report = check_postgres(filled, "shown")
    assert (report.problems, report.retention_horizon, report.runs_before_horizon) == ((), at(3), 3)


def test_a_store_under_load_is_never_accused(filled: str) -> None:
    """Checks while runs are added find nothing."""
    over, begun = Event(), Event()

    def write() -> None:
        with closing(PostgresStore(filled, "shown", Limits())) as store:
            number = 0
            while not over.is_set():
                with store.unit_of_work() as work:
                    work.runs.add([sample_run(f"e{number}-{place}", agent_name=f"a{place}") for place in range(50)])
                    work.commit()
                number += 1
                begun.set()

    writing = Thread(target=write)
    writing.start()
    try:
        assert begun.wait(30)
        found = [problems(filled) for _ in range(3)]
    finally:
        over.set()
        writing.join()
    assert found == [()] * 3


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE tallies SET runs = runs + 1 WHERE field = 'agent_name'", "agent_name 'translator' has 40 runs but"),
        ("DROP INDEX runs_by_run_id", "the index runs_by_run_id is missing"),
        ("ALTER TABLE runs DROP CONSTRAINT runs_pkey", "the table runs has no primary key"),
        ("UPDATE runs SET status = 'odd' WHERE event_id = 'event-5'", "run 'event-5': status must be one of"),
        ("UPDATE runs SET extra = '{' WHERE event_id = 'event-5'", "run 'event-5': extra is not the text of a JSON"),
        ("UPDATE retention SET horizon = '2026'", "the retention horizon '2026' "),
        ("ALTER TABLE jobs DROP COLUMN detail", "the table jobs has no column detail"),
        ("ALTER TABLE jobs DROP COLUMN state, DROP COLUMN finished_at CASCADE", "the index jobs_to_run is missing"),
    ],
)
def test_damage_is_named(filled: str, change: Change, statement: str, said: str) -> None:
    """What is missing or wrong is named."""
    change(statement)
    assert any(problem.startswith(said) for problem in problems(filled)), problems(filled)


def test_another_version_is_named(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was not migrated yet is not what this runsink reads."""
    monkeypatch.setattr(maintenance, "VERSION", 2)
    assert problems(filled) == ("it has schema version 1 instead of 2",)


def test_an_index_that_is_not_valid_is_named(filled: str, change: Change) -> None:
    """PostgreSQL does not use an index whose creation was broken off."""
    change(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_by_run_id'::regclass",
    )
    assert problems(filled) == ("the index runs_by_run_id is not valid",)


def test_a_run_that_is_there_twice_is_named(filled: str, change: Change) -> None:
    """Even where the index that forbids it is gone."""
    change(
        "ALTER TABLE runs DROP CONSTRAINT runs_pkey",
        "UPDATE runs SET event_id = 'event-5' WHERE event_id IN ('event-6', 'event-7')",
    )
    assert "3 runs have the event_id 'event-5'" in problems(filled)


def test_a_missing_table_is_named_and_the_rest_is_checked(filled: str, change: Change) -> None:
    """A part that cannot be carried out says so, and the others go on."""
    change("DROP TABLE tallies", "UPDATE runs SET status = 'odd' WHERE event_id = 'event-5'")
    found = problems(filled)
    assert found[0] == "the table tallies is missing"
    assert any(problem.startswith("the database cannot be read further: ") for problem in found)
    assert found[-1].startswith("run 'event-5': status must be one of")


def test_so_many_problems_are_reported(filled: str, change: Change) -> None:
    """A store that is wrong everywhere does not fill the memory."""
    change("UPDATE runs SET status = 'odd', job_type = '', extra = '['")
    assert len(problems(filled)) == MAX_PROBLEMS


def test_a_database_without_a_store_is_refused(postgres_url: str, change: Change) -> None:
    """And nothing is created in it."""
    with pytest.raises(StoreUnusableError, match="cannot use shown: it has no tables of runsink"):
        check_postgres(postgres_url, "shown")
    change("CREATE TABLE runs (mine TEXT)")
    with pytest.raises(StoreUnusableError, match="another application"):
        check_postgres(postgres_url, "shown")


def test_a_database_that_cannot_be_reached_is_busy() -> None:
    """It may be there later."""
    with pytest.raises(StoreBusyError, match="cannot reach shown: "):
        check_postgres("postgresql://127.0.0.1:1/none", "shown")
    with pytest.raises(StoreUnusableError, match="not a PostgreSQL URL"):
        check_postgres("postgresql://127.0.0.1/none?odd=1", "shown")
