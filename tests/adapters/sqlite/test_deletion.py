"""Rows deleted by hand: runs sent again are stored again, and nothing else is affected."""

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite import SqliteStore, keys
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import migrate
from core.model.listing import PageRequest, RunFilter
from core.model.run import EventId, Run, Text
from tests.adapters.sqlite.test_keys import hurry, runs_of
from tests.contract.samples import add, at, everything, keep, read, sample_run

DELETIONS = {
    "all": "DELETE FROM runs",
    "newest": "DELETE FROM runs WHERE arrival > (SELECT max(arrival) FROM runs) - 20",
    "oldest": "DELETE FROM runs WHERE arrival < (SELECT min(arrival) FROM runs) + 20",
    "some": "DELETE FROM runs WHERE arrival * 7 % 11 < 4",
    "newest and numbers": "DELETE FROM runs WHERE arrival > (SELECT max(arrival) FROM runs) - 20; DELETE FROM arrivals",
}


def by_hand(path: Path, sql: str) -> None:
    """Execute SQL as with SQLite's shell."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(sql).fetchall()


def arrivals(path: Path) -> Sequence[int]:
    """Return the arrival numbers of all runs."""
    with closing(apsw.Connection(str(path))) as connection:
        return [int(number) for (number,) in connection.execute("SELECT arrival FROM runs ORDER BY arrival")]  # type: ignore[arg-type]


def assert_found(runs: SqliteRunRepository, kept: Sequence[Run]) -> None:
    """Check that the list has exactly these runs in order, and each is found by its key and its name."""
    listed = sorted(kept, key=lambda run: run.start_time, reverse=True)
    assert list(runs.page(RunFilter(), PageRequest(limit=10_000)).runs) == listed
    assert [runs.get(run.event_id) for run in listed] == listed
    for name in {run.run_id for run in listed}:
        same = [run for run in listed if run.run_id == name]
        which = RunFilter(run_id=Text(name))
        assert list(runs.page(which, PageRequest()).runs) == same
        assert runs.newest(name) == same[0]
        assert runs.count(which) == len(same)


@settings(max_examples=60)
@given(
    steps=st.lists(st.one_of(st.integers(1, 40), st.sampled_from(sorted(DELETIONS))), max_size=12),
    turns=st.tuples(st.integers(4, 40), st.integers(4, 200)),
)
def test_deleted_runs_can_be_sent_again(steps: list[int | str], turns: tuple[int, int]) -> None:
    """Wherever the merge is and whatever is deleted, deleted runs are new again and the others exist."""
    with closing(apsw.Connection(":memory:")) as connection, pytest.MonkeyPatch.context() as patch:
        hurry(patch, *turns)
        migrate(connection)
        runs = SqliteRunRepository(connection)
        sent: list[Run] = []
        for step in steps:
            if isinstance(step, int):
                batch = runs_of(range(len(sent), len(sent) + step))
                assert add(runs, batch) == {}
                sent += batch
            else:
                connection.execute(DELETIONS[step]).fetchall()
                left = everything_of(connection)
                assert_found(runs, [run for run in sent if run.event_id in left])
                assert set(add(runs, sent)) == left
            assert_found(runs, sent)


def everything_of(connection: apsw.Connection) -> set[str]:
    """Return the keys of all rows."""
    return {str(key) for (key,) in connection.execute("SELECT event_id FROM runs")}


@pytest.mark.parametrize("deletion", DELETIONS.values(), ids=DELETIONS)
def test_a_store_goes_on_after_a_deletion(path: Path, monkeypatch: pytest.MonkeyPatch, deletion: str) -> None:
    """With entries in all key tables, deleted runs are accepted again, and so are all later ones."""
    hurry(monkeypatch, 10, 50)
    with closing(SqliteStore(path)) as store:
        keep(store, *runs_of(range(200)))
        by_hand(path, deletion)
        for _ in range(2):
            keep(store, *runs_of(range(200)))
        keep(store, *runs_of(range(200, 400)))
        with store.unit_of_work() as work:
            assert_found(work.runs, runs_of(range(400)))


def test_an_arrival_number_is_never_given_twice(path: Path) -> None:
    """Arrival numbers are not reused even if the newest runs are deleted and another process writes next."""
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        given: list[int] = []
        for number, store in enumerate((one, other, other, one)):
            with store.unit_of_work() as work:
                work.runs.add([sample_run(f"{number}-{key}") for key in "abc"])
                work.commit()
            given += arrivals(path)
            by_hand(path, "DELETE FROM runs")
    assert given == list(range(1, 13))


def test_numbers_of_an_undone_batch_are_free_again(path: Path) -> None:
    """A rolled-back savepoint uses up no arrival numbers and leaves no entries."""
    with closing(SqliteStore(path)) as store:
        with store.unit_of_work() as work:
            work.runs.add([sample_run("a")])
            with suppress(KeyError), work.savepoint():
                work.runs.add([sample_run("b"), sample_run("c")])
                raise KeyError
            work.runs.add([sample_run("d")])
            work.commit()
        keep(store, sample_run("b"))
        assert [run.event_id for run in read(store, everything)] == ["b", "d", "a"]
    assert arrivals(path) == [1, 2, 3]


def test_known_runs_take_no_numbers(path: Path) -> None:
    """A batch of existing runs does not change the file."""
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("a"))
        with closing(apsw.Connection(str(path))) as connection:
            before = connection.pragma("data_version")
            with store.unit_of_work() as work:
                work.runs.add([sample_run("a")])
                work.commit()
            assert connection.pragma("data_version") == before


def test_lost_numbers_begin_above_the_runs(path: Path) -> None:
    """Emptying the table of arrival numbers as well does not affect the existing runs."""
    with closing(SqliteStore(path)) as store:
        keep(store, *map(sample_run, "abc"))
        by_hand(path, "DELETE FROM arrivals")
        keep(store, sample_run("d"))
        assert [run.event_id for run in read(store, everything)] == ["d", "c", "b", "a"]


@pytest.mark.parametrize("table", keys.TABLES)
def test_deleted_entries_hide_runs_and_stop_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """Runs whose entries are deleted stay in the list, are not found by ID, and are new when sent again."""
    hurry(monkeypatch, 10, 50)
    sent = runs_of(range(200))
    with closing(SqliteStore(path)) as store:
        keep(store, *sent)
        by_hand(path, f"DELETE FROM {table}")
        hidden = [run for run in sent if read(store, lambda runs, run=run: runs.get(run.event_id)) is None]  # type: ignore[misc]
        assert 0 < len(hidden) < len(sent)
        assert len(read(store, everything)) == 200
        keep(store, *sent, *runs_of(range(200, 400)))
        assert len(read(store, everything)) == 400 + len(hidden)
        for run in sent:
            assert read(store, lambda runs, run=run: runs.get(run.event_id)) == run  # type: ignore[misc]


def test_entries_of_deleted_runs_do_not_shorten_a_page(path: Path) -> None:
    """A page is full even if most entries of its name lead to no run."""
    same = [sample_run(f"event-{number}", start_time=at(number)) for number in range(3000)]
    with closing(SqliteStore(path)) as store:
        with store.unit_of_work() as work:
            work.runs.add(same)
            work.commit()
        by_hand(path, "DELETE FROM runs WHERE arrival % 100 <> 1")
        page = read(store, lambda runs: runs.page(RunFilter(run_id=same[0].run_id), PageRequest(limit=30)))
        assert list(page.runs) == same[::100][::-1]
        assert page.next_cursor is None
        assert read(store, lambda runs: runs.newest(same[0].run_id)) == same[2900]
        assert read(store, lambda runs: runs.get(EventId("event-1"))) is None
