"""Failures of the SQLite file, and their errors."""

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from adapters.group_commit import GroupCommitWriter
from adapters.sqlite import SqliteStore, connection
from adapters.sqlite import store as sqlite_store
from core.errors import StoreBusyError, StoreFullError, StoreUnusableError
from core.model.run import Run
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import HANG_GUARD_SECONDS, agent_names, all_keys, everything, keep, read, sample_run

PAGE = 4096
BIG = "x" * 100_000


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connections wait only briefly for a lock."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 1)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Yield a store in a new file, with one run."""
    opened = SqliteStore(path)
    keep(opened, sample_run("before"))
    yield opened
    opened.close()


@pytest.fixture
def other(path: Path) -> Iterator[apsw.Connection]:
    """Yield a foreign connection to the same file."""
    opened = apsw.Connection(str(path))
    yield opened
    opened.close()


def big_run(key: str) -> Run:
    """Return a run that needs many pages."""
    return sample_run(key, input_summary=BIG)


def made(path: Path) -> bytes:
    """Return the bytes of a file with enough runs to have pages to damage."""
    store = SqliteStore(path)
    keep(store, *(sample_run(f"event-{number}", input_summary="x" * 500) for number in range(100)))
    store.close()
    return path.read_bytes()


@pytest.mark.usefixtures("hasty")
def test_a_lock_of_another_process_is_busy(path: Path) -> None:
    """Entering a unit of work times out, however often it is tried, and succeeds once the lock is gone."""
    store, other = SqliteStore(path), apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    entered = False
    for _ in range(2):
        with pytest.raises(StoreBusyError, match="locked"), store.unit_of_work():
            entered = True
    assert not entered
    other.execute("ROLLBACK")
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}
    other.close()
    store.close()


@pytest.mark.usefixtures("hasty")
def test_readers_read_on_while_another_process_writes(path: Path) -> None:
    """The lock of another writer does not block readers."""
    store, other = SqliteStore(path), apsw.Connection(str(path))
    keep(store, sample_run("a"))
    other.execute("BEGIN IMMEDIATE")
    assert all_keys(store) == {"a"}
    other.execute("ROLLBACK")
    other.close()
    store.close()


@pytest.mark.usefixtures("hasty")
def test_opening_a_locked_file_says_so(path: Path) -> None:
    """A file locked exclusively cannot be opened; the message says what to do."""
    made(path)
    other = apsw.Connection(str(path))
    other.pragma("locking_mode", "exclusive")
    other.execute("BEGIN EXCLUSIVE; DELETE FROM tallies WHERE field = ''")
    with pytest.raises(StoreUnusableError, match="it is locked by another process; try again later"):
        SqliteStore(path)
    other.execute("ROLLBACK")
    other.close()
    SqliteStore(path).close()


@pytest.mark.usefixtures("hasty")
def test_the_file_is_free_after_a_busy_error_in_between(store: SqliteStore, other: apsw.Connection) -> None:
    """A reader of another process with an old snapshot neither blocks a commit nor sees it."""
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    keep(store, sample_run("a"))
    assert other.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    other.execute("ROLLBACK")
    assert all_keys(store) == {"before", "a"}


def fill_up(path: Path, connections: list[apsw.Connection]) -> SqliteStore:
    """Return a store whose disk is nearly full."""
    store = SqliteStore(path)
    keep(store, sample_run("before"))
    connections[0].pragma("max_page_count", int(connections[0].pragma("page_count")) + 2)
    return store


def make_room(connections: list[apsw.Connection]) -> None:
    """Make the disk accept more again."""
    connections[0].pragma("max_page_count", 1_000_000)


def test_a_full_disk_is_said_and_nothing_is_kept(path: Path, connections: list[apsw.Connection]) -> None:
    """What fitted before the disk was full is rolled back too, and the store works once there is space."""
    store = fill_up(path, connections)
    with pytest.raises(StoreFullError, match="the disk is full"):
        keep(store, sample_run("small"), big_run("big"), sample_run("after"))
    assert all_keys(store) == {"before"}
    make_room(connections)
    keep(store, big_run("big"))
    assert all_keys(store) == {"before", "big"}
    store.close()


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the free bytes, in a list of one, that stores find on a disk to which nobody else writes."""
    bytes_ = [2**30]
    monkeypatch.setattr(sqlite_store, "free_bytes", lambda _path: bytes_[0])
    return bytes_


def test_after_a_full_disk_there_is_no_room_until_a_write_finds_some(
    path: Path, connections: list[apsw.Connection], free: list[int]
) -> None:
    """A limit that cannot be queried is remembered from the write that hit it, until a write succeeds."""
    store = fill_up(path, connections)
    store.check_room()
    with pytest.raises(StoreFullError):
        keep(store, big_run("big"))
    for less in (0, 1):
        free[0] -= less
        with pytest.raises(StoreFullError, match="the disk is full"):
            store.check_room()
    keep(store, sample_run("small"))
    store.check_room()
    store.close()


def test_after_a_full_disk_there_is_room_once_more_is_free(
    path: Path, connections: list[apsw.Connection], free: list[int]
) -> None:
    """A server that is sent nothing while it has no room does not need a write to see that there is some again."""
    store = fill_up(path, connections)
    with pytest.raises(StoreFullError):
        keep(store, big_run("big"))
    with pytest.raises(StoreFullError, match="the disk is full"):
        store.check_room()
    free[0] += 1
    store.check_room()
    store.close()


def test_there_is_no_room_on_a_nearly_full_disk(path: Path, free: list[int]) -> None:
    """With less free space than the next batch may need, no write has to fail first."""
    store = SqliteStore(path)
    free[0] = sqlite_store.MIN_FREE_BYTES
    store.check_room()
    free[0] -= 1
    with pytest.raises(StoreFullError, match="the disk is full"):
        store.check_room()
    store.close()


def test_a_full_disk_inside_savepoints(path: Path, connections: list[apsw.Connection]) -> None:
    """If the disk becomes full inside savepoints, the error is the same and nothing is stored."""
    store = fill_up(path, connections)
    with pytest.raises(StoreFullError), store.unit_of_work() as work, work.savepoint(), work.savepoint():
        work.runs.add([sample_run("small"), big_run("big")])
    assert all_keys(store) == {"before"}
    assert read(store, agent_names) == ("translator",)
    make_room(connections)
    keep(store, sample_run("after"))
    assert all_keys(store) == {"before", "after"}
    store.close()


def test_a_full_disk_fails_a_replacement(path: Path, connections: list[apsw.Connection]) -> None:
    """A run that cannot grow for lack of space is left unchanged."""
    store = fill_up(path, connections)
    with pytest.raises(StoreFullError), store.unit_of_work() as work:
        work.runs.replace(big_run("before"))
    assert read(store, everything) == (sample_run("before"),)
    store.close()


def test_a_full_disk_reaches_all_who_share_the_commit(path: Path, connections: list[apsw.Connection]) -> None:
    """All commands of a group fail; the next one succeeds once there is space."""
    store = fill_up(path, connections)
    writer = GroupCommitWriter(store)
    with store.unit_of_work():  # meanwhile the first command waits and the others queue up
        futures = [writer.submit(_adding(run)) for run in (sample_run("a"), big_run("b"), sample_run("c"))]
    told = [type(future.exception(HANG_GUARD_SECONDS)) for future in futures]
    assert StoreFullError in told
    assert all_keys(store) == {"before", *(key for key, error in zip("abc", told, strict=True) if error is type(None))}
    make_room(connections)
    writer.submit(_adding(big_run("later"))).result(HANG_GUARD_SECONDS)
    assert "later" in all_keys(store)
    writer.close()
    store.close()


def _adding(run: Run) -> Callable[[UnitOfWork], object]:
    return lambda work: work.runs.add([run])


def test_a_disk_too_full_for_the_first_tables_says_so(path: Path) -> None:
    """If the file cannot be created, the message says that the disk is full."""

    def small(opened: apsw.Connection) -> None:
        opened.pragma("max_page_count", 3)

    apsw.connection_hooks.append(small)
    try:
        with pytest.raises(StoreUnusableError, match="the disk is full; free up space"):
            SqliteStore(path)
    finally:
        apsw.connection_hooks.remove(small)
    assert made(path)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough " * 200, b"x" * 10, b"SQLite format 3\0" * 50]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    """The message names the file and the remedy in one line."""
    path.write_bytes(content)
    with pytest.raises(StoreUnusableError) as caught:
        SqliteStore(path)
    assert str(caught.value).startswith(f"cannot use {path}: ")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_damaged_schema_is_refused_and_left_alone(path: Path) -> None:
    """A file whose first page is damaged cannot be opened, and is left untouched."""
    whole = made(path)
    damaged = whole[:100] + b"\xff" * (PAGE - 100) + whole[PAGE:]
    path.write_bytes(damaged)
    with pytest.raises(StoreUnusableError, match="restore it from a backup"):
        SqliteStore(path)
    assert path.read_bytes() == damaged


def test_damaged_tables_are_refused_and_left_alone(path: Path) -> None:
    """A file whose tables begin with damaged pages cannot be opened, and is left untouched."""
    whole = made(path)
    damaged = whole[:PAGE] + b"\xff" * (len(whole) - PAGE)
    path.write_bytes(damaged)
    with pytest.raises(StoreUnusableError, match="restore it from a backup"):
        SqliteStore(path)
    assert path.read_bytes() == damaged


def test_a_folder_or_a_missing_one_is_refused(tmp_path: Path) -> None:
    """Both messages say what to do, and no directory is created."""
    with pytest.raises(StoreUnusableError, match="it is a directory; name a file in it"):
        SqliteStore(tmp_path)
    with pytest.raises(StoreUnusableError, match="does not exist; create it first"):
        SqliteStore(tmp_path / "missing" / "runs.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file:odd.db", "a b%20?mode=memory", "\u00e9\U0001f600.db", ":memory:"])
def test_a_path_is_a_path_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every name is either rejected or used literally as the name of the file."""
    monkeypatch.chdir(tmp_path)
    try:
        store = SqliteStore(Path(name))
    except StoreUnusableError:
        return
    keep(store, sample_run("a"))
    store.close()
    assert [found.name for found in tmp_path.iterdir()] == [name]
