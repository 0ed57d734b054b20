"""Housekeeping of the SQLite store: when the WAL is checkpointed, and what may prevent it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import apsw
import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite import store as store_module
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, everything, keep, sample_run
from tests.fakes.observer import RecordingObserver


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Yield a store with one run whose pages are still in the WAL."""
    store = SqliteStore(path)
    keep(store, sample_run("first"))
    yield store
    store.close()


def checkpointed(path: Path) -> bool:
    """Return whether the first run is in the database file itself."""
    return b"first" in path.read_bytes()


@pytest.mark.parametrize(
    ("moment", "pages", "done"),
    [
        ("quiet", (1, 10_000), True),
        ("quiet", (9_999, 10_000), False),
        ("busy", (1, 10_000), True),
        ("busy", (9_999, 10_000), False),
        ("busy", (1, 1), True),
    ],
)
def test_the_wal_is_checkpointed_when_it_is_due(  # noqa: PLR0913 - three fixtures and three columns
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, pages: tuple[int, int], *, done: bool
) -> None:
    """The WAL is checkpointed from one size at any moment: here by the writer, since there is little to copy."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", pages[0])
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", pages[1])
    assert not checkpointed(path)
    store.maintain(quiet=moment == "quiet")
    assert checkpointed(path) is done


@pytest.mark.parametrize(("cap", "left"), [(1, 0), (10_000, None)])
def test_a_wal_past_its_cap_is_emptied_when_nobody_reads(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch, cap: int, left: int | None
) -> None:
    """A WAL file at its cap is truncated; one below is kept, because overwriting it is faster."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", cap)
    wal = path.with_name(f"{path.name}-wal")
    before = wal.stat().st_size
    store.maintain(quiet=True)
    assert wal.stat().st_size == (before if left is None else left)
    keep(store, sample_run("second"))
    assert all_keys(store) == {"first", "second"}


def test_a_wal_that_grew_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Well past the cap, a busy writer waits for the current readers and then restarts the WAL."""
    for name in ("CHECKPOINT_PAGES", "WAL_CAP_PAGES", "WAL_RESET_PAGES"):
        monkeypatch.setattr(store_module, name, 1)
    monkeypatch.setattr(store_module, "WAL_RESET_WAIT_MS", 1_000 * HANG_GUARD_SECONDS)
    wal = path.with_name(f"{path.name}-wal")
    with closing(SqliteStore(path)) as store:
        with store.reader() as runs:
            assert everything(runs) == ()
            keep(store, sample_run("first"))
            waiting = Thread(target=store.maintain, kwargs={"quiet": False})
            waiting.start()
            waiting.join(0.1)
            assert waiting.is_alive()
        waiting.join()
        assert wal.stat().st_size == 0
        assert all_keys(store) == {"first"}


def test_a_checkpoint_of_another_process_is_not_in_the_way(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another connection checkpoints, housekeeping does nothing and raises nothing."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    waiting, go_on = Event(), Event()

    def wait_for_readers(_calls: int) -> bool:
        waiting.set()
        return not go_on.wait(HANG_GUARD_SECONDS)

    with store.reader() as runs:
        assert runs.newest("launch-1") is not None
        keep(store, sample_run("second"))
        other = apsw.Connection(str(path))
        # A connection that has not read yet does not know about the WAL.
        other.pragma("schema_version")
        other.set_busy_handler(wait_for_readers)
        thread = Thread(target=_restart_wal, args=(other,))
        thread.start()
        assert waiting.wait(HANG_GUARD_SECONDS)
        store.maintain(quiet=True)
        go_on.set()
        thread.join()
    other.close()
    assert all_keys(store) == {"first", "second"}


@pytest.mark.parametrize("cap", [1, 10_000])
def test_an_observer_learns_whether_a_reader_holds_up_a_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    """It is told of each checkpoint, whether it copies the WAL or empties it, and of none that was not due."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", cap)
    observer = RecordingObserver()
    with closing(SqliteStore(path, observer=observer)) as store:
        store.maintain(quiet=cap > 1)
        begun = len(observer.checkpoints)
        keep(store, sample_run("first"))
        with store.reader() as runs:
            assert runs.newest("launch-1") is not None
            keep(store, sample_run("second"))
            store.maintain(quiet=True)
        store.maintain(quiet=True)
    assert observer.checkpoints[begun:] == [False, True]


def test_an_observer_learns_that_another_process_emptied_the_wal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a reader that is long gone would seem to hold up checkpoints until the next one is due."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    observer = RecordingObserver()
    with closing(SqliteStore(path, observer=observer)) as store, closing(apsw.Connection(str(path))) as other:
        keep(store, sample_run("first"))
        with store.reader() as runs:
            assert runs.newest("launch-1") is not None
            keep(store, *(sample_run(f"more-{number}") for number in range(100)))
            store.maintain(quiet=True)
        assert (observer.checkpoints[-1], observer.wal_restarts) == (False, 0)
        # A connection that has not read yet does not know about the WAL.
        other.pragma("schema_version")
        other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        keep(store, sample_run("last"))
        assert observer.wal_restarts == 1


def test_a_store_in_a_file_knows_its_sizes(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The WAL is measured on its own, and is 0 once it is gone."""
    figures = store.measure()
    wal = path.with_name(f"{path.name}-wal")
    assert (figures.database_bytes, figures.wal_bytes) == (path.stat().st_size, wal.stat().st_size)
    assert figures.free_bytes is not None
    assert figures.free_bytes > 0
    monkeypatch.setattr(store_module, "wal_of", lambda _: path.with_name("missing"))
    assert store.measure().wal_bytes == 0


def _restart_wal(connection: apsw.Connection) -> None:
    """Run a checkpoint that waits for readers until its busy handler gives up."""
    with pytest.raises(apsw.BusyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
