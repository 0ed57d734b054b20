"""Deleted runs leave nothing behind in the file: keys, tallies and pages."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite import SqliteStore, compaction
from adapters.sqlite.compaction import Space, return_space
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import migrate
from core.model.listing import PageRequest, RunFilter
from core.model.run import Timestamp
from core.ports.unit_of_work import UnitOfWork
from tests.adapters.sqlite.test_deletion import assert_found, by_hand
from tests.adapters.sqlite.test_keys import hurry, runs_of
from tests.contract.samples import add, at, everything, keep, read, sample_run
from tests.faults.audit import disagreements

LARGE = "x" * 20_000


@settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12),
    turns=st.tuples(st.integers(4, 40), st.integers(4, 200)),
)
def test_keys_and_tallies_are_right_wherever_the_merge_stands(
    steps: list[tuple[bool, int]], turns: tuple[int, int]
) -> None:
    """Whatever is added and removed in turn, both have exactly the entries of the runs that are left."""
    with closing(apsw.Connection(":memory:")) as connection, pytest.MonkeyPatch.context() as patch:
        hurry(patch, *turns)
        migrate(connection)
        runs = SqliteRunRepository(connection)
        sent = 0
        for adding, number in steps:
            if adding:
                assert add(runs, runs_of(range(sent, sent + number))) == {}
                sent += number
            else:
                runs.remove(RunFilter(), PageRequest(limit=number, oldest_first=True))
            assert disagreements(connection) == []
            assert_found(runs, list(runs.page(RunFilter(), PageRequest(limit=1000)).runs))


def test_ids_that_share_a_hash_keep_their_entries(path: Path) -> None:
    """Only the entries of the removed run go, also if others have the same name or start."""
    same = [sample_run(key, run_id="r", start_time=at(0)) for key in "abc"]
    with closing(SqliteStore(path)) as store:
        keep(store, *same)
        remove(store, at(0), 2)
        with store.unit_of_work() as work:
            assert_found(work.runs, [same[2]])
        assert sound(path)


def test_a_run_deleted_by_hand_does_not_stop_pruning(path: Path) -> None:
    """Tallies that are too high because of it, or entries that are gone, are left at that; the rest is right."""
    with closing(SqliteStore(path)) as store:
        keep(store, *(sample_run(key, agent_name=key) for key in "abc"))
        by_hand(path, "DELETE FROM runs WHERE event_id = 'a'; DELETE FROM keys_recent WHERE arrival = 2")
        remove(store, at(0), 10)
        assert read(store, everything) == ()


def test_an_entry_of_both_ids_is_removed_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name has the hash of a key and its run starts at 0, there is one entry for both."""
    monkeypatch.setattr("adapters.sqlite.run_repository.run_hash", lambda _: 7)
    monkeypatch.setattr("adapters.sqlite.run_repository.event_hash", lambda _: 7)
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("a", start_time="2028-01-01T00:00:00.000000Z"), sample_run("b"))
        remove(store, "2028-01-01T00:00:00.000000Z", 10)
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("SELECT count(*) FROM keys_recent").fetchall() == [(0,)]


def remove(store: SqliteStore, until: str, limit: int) -> None:
    """Remove the oldest runs up to an instant."""

    def command(work: UnitOfWork) -> None:
        which = RunFilter(start_time_to=Timestamp(until))
        work.runs.remove(which, PageRequest(limit=limit, oldest_first=True, max_text_bytes=10**9))

    with store.unit_of_work() as work:
        command(work)
        work.commit()


def sound(path: Path) -> bool:
    """Return whether keys and tallies are those of the runs."""
    with closing(apsw.Connection(str(path))) as connection:
        return disagreements(connection) == []


@pytest.fixture
def pruned(path: Path) -> Path:
    """Return a closed file of which most pages are free."""
    with closing(SqliteStore(path)) as store:
        with store.unit_of_work() as work:
            work.runs.add([sample_run(str(number), start_time=at(number), error_details=LARGE) for number in range(50)])
            work.commit()
        remove(store, at(44), 50)
    return path


def test_space_is_given_back(pruned: Path) -> None:
    """A file that nobody has open shrinks, and holds the same."""
    before = pruned.stat().st_size
    space = return_space(pruned)
    assert space == Space(before - pruned.stat().st_size, 0)
    assert space.returned_bytes > before / 2
    with closing(SqliteStore(pruned)) as store:
        assert [run.start_time for run in read(store, everything)] == [at(second) for second in range(49, 44, -1)]
        keep(store, sample_run("late"))
    assert sound(pruned)


def test_a_file_in_use_is_left_alone(pruned: Path) -> None:
    """Anybody who has it open, in this process or another, keeps it from being rewritten, even if idle."""
    idle = (
        "import apsw, sys; connection = apsw.Connection(sys.argv[1]); "
        "connection.execute('SELECT * FROM retention').fetchall(); print(flush=True); sys.stdin.read()"
    )
    free = return_space_of_copy(pruned)
    with subprocess.Popen(
        [sys.executable, "-c", idle, str(pruned)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert return_space(pruned) == Space(0, free)
        other.communicate()
    with closing(SqliteStore(pruned)) as store:
        read(store, everything)
        assert return_space(pruned) == Space(0, free)
        keep(store, sample_run("late"))
    assert return_space(pruned).returned_bytes > 0


def return_space_of_copy(path: Path) -> int:
    """Return how many bytes would be given back."""
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    return return_space(copy).returned_bytes


def test_few_free_pages_are_kept_for_later(path: Path) -> None:
    """A file is not rewritten for little."""
    with closing(SqliteStore(path)) as store:
        keep(store, *(sample_run(str(number), start_time=at(number), error_details=LARGE) for number in range(40)))
        remove(store, at(0), 1)
    space = return_space(path)
    assert space.returned_bytes == 0
    assert 0 < space.free_bytes < path.stat().st_size * compaction.WORTHWHILE_SHARE


def test_without_room_on_the_disk_nothing_is_rewritten(pruned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left has to fit on the disk twice."""
    monkeypatch.setattr(compaction, "free_bytes", lambda _: 1000)
    assert return_space(pruned).returned_bytes == 0
