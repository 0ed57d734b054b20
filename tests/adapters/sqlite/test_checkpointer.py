"""Checkpoints beside the writer: what it may do meanwhile, what waits for them, and what becomes of failures."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread, current_thread
from typing import Any

import apsw
import pytest

from adapters.group_commit import GroupCommitWriter
from adapters.sqlite import SqliteStore, forks
from adapters.sqlite import checkpoints as checkpoints_module
from adapters.sqlite import connection as connection_module
from adapters.sqlite import store as store_module
from core.errors import StoreError
from core.model.run import Run
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, keep, outcome_in_fork, sample_run
from tests.fakes.observer import RecordingObserver
from tests.faults.failing_vfs import failing_disk
from tests.faults.gated_vfs import Gate, gated_disk

BATCH_PAGES = 100


@pytest.fixture(autouse=True)
def _beside_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is due from the first page on, and the writer copies only what is less than a batch."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(store_module, "REST_PAGES", BATCH_PAGES // 2)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Yield the gate in front of the syncs of the database."""
    with gated_disk() as gate:
        yield gate


@pytest.fixture
def store(gate: Gate, path: Path) -> Iterator[SqliteStore]:
    """Yield a store whose checkpoint beside the writer is in progress, in front of the gate."""
    with closing(SqliteStore(path)) as store:
        begin_checkpoint(store, gate)
        yield store
        gate.open()


def a_batch(name: str) -> list[Run]:
    """Return runs that need more than ``BATCH_PAGES`` pages together."""
    return [sample_run(f"{name}-{number}", input_summary="x" * 5_000) for number in range(BATCH_PAGES)]


def begin_checkpoint(store: SqliteStore, gate: Gate) -> None:
    """Keep a batch and start the checkpoint that is then due; return once it waits in front of the gate."""
    keep(store, *a_batch("first"))
    gate.close()
    store.maintain(quiet=False)
    assert gate.reached.wait(HANG_GUARD_SECONDS)


def end_checkpoint(store: SqliteStore) -> None:
    """Wait until the checkpoint beside the writer of this store has ended; it was not taken yet."""
    latest = store._checkpointer._latest  # noqa: SLF001 - only the store itself asks
    assert latest is not None
    latest.exception(HANG_GUARD_SECONDS)


def checkpoint_threads() -> list[Thread]:
    """Return the threads that checkpoint."""
    return [thread for thread in threading.enumerate() if thread.name == checkpoints_module._NAME]  # noqa: SLF001


def wal_bytes(path: Path) -> int:
    """Return the size of the WAL file."""
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_writes_go_on_during_a_checkpoint(store: SqliteStore, gate: Gate) -> None:
    """Whether commits or housekeeping come, nothing waits; what is acknowledged meanwhile is there."""
    for number in range(3):
        keep(store, sample_run(f"meanwhile-{number}"))
        store.maintain(quiet=False)
    assert len(checkpoint_threads()) == 1
    gate.open()
    assert all_keys(store) == {run.event_id for run in a_batch("first")} | {f"meanwhile-{n}" for n in range(3)}


def test_the_writer_copies_the_rest_so_that_the_wal_restarts(gate: Gate, path: Path) -> None:
    """After the checkpoint the writer copies what was written meanwhile, and the next write restarts the WAL."""
    observer = RecordingObserver()
    with closing(SqliteStore(path, observer=observer)) as store:
        begin_checkpoint(store, gate)
        keep(store, sample_run("meanwhile"))
        gate.open()
        end_checkpoint(store)
        store.maintain(quiet=False)
        size = wal_bytes(path)
        assert b"meanwhile" in path.read_bytes()
        keep(store, sample_run("after"))
        assert (wal_bytes(path), observer.wal_restarts) == (size, 1)
        assert observer.checkpoints == [True, True]


def test_much_that_was_written_meanwhile_is_copied_beside_the_writer_too(
    store: SqliteStore, gate: Gate, path: Path
) -> None:
    """The writer pauses only for a short rest."""
    keep(store, *a_batch("second"))
    gate.open()
    end_checkpoint(store)
    gate.close()
    store.maintain(quiet=True)
    assert gate.reached.wait(HANG_GUARD_SECONDS)
    gate.open()
    end_checkpoint(store)
    assert b"second-0" in path.read_bytes()


def test_at_the_cap_the_writer_waits_for_the_checkpoint(
    store: SqliteStore, gate: Gate, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its own could not begin, and the WAL would grow beyond its cap."""
    keep(store, sample_run("meanwhile"))
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", 1)
    waiting = Thread(target=store.maintain, kwargs={"quiet": True})
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    gate.open()
    waiting.join(HANG_GUARD_SECONDS)
    assert not waiting.is_alive()
    assert wal_bytes(path) == 0


def test_closing_waits_for_the_checkpoint_and_no_longer(store: SqliteStore, gate: Gate, path: Path) -> None:
    """The last connection is closed after it, so all of the WAL is in the file and the WAL is gone."""
    closer = Thread(target=store.close)
    closer.start()
    closer.join(0.1)
    assert closer.is_alive()
    gate.open()
    closer.join(HANG_GUARD_SECONDS)
    assert not closer.is_alive()
    assert not path.with_name("runs.db-wal").exists()
    with closing(SqliteStore(path)) as later:
        assert len(all_keys(later)) == BATCH_PAGES


def test_closing_does_not_mind_a_checkpoint_that_failed(path: Path) -> None:
    """Nobody waits for its error any more, and closing copies the WAL."""
    with failing_disk("write", 1, lasting=False) as fault:
        store = SqliteStore(path)
        keep(store, *a_batch("first"))
        fault.armed = True
        store.maintain(quiet=True)
        end_checkpoint(store)
        assert fault.struck == 1
        store.close()
    assert not path.with_name("runs.db-wal").exists()
    with closing(SqliteStore(path)) as later:
        assert len(all_keys(later)) == BATCH_PAGES


def test_after_a_failed_checkpoint_the_writer_checkpoints_until_it_succeeds(path: Path) -> None:
    """So a failure is raised by the next housekeeping, and success is known at once."""
    with failing_disk("write", 1, lasting=True) as fault, closing(SqliteStore(path)) as store:
        keep(store, *a_batch("first"))
        fault.armed = True
        store.maintain(quiet=True)
        end_checkpoint(store)
        for _ in range(3):
            with pytest.raises(StoreError):
                store.maintain(quiet=True)
        assert checkpoint_threads() == []
        fault.armed = False
        store.maintain(quiet=True)
        assert b"first-0" in path.read_bytes()
        keep(store, *a_batch("second"), *a_batch("third"))
        store.maintain(quiet=True)
        end_checkpoint(store)


def test_a_failing_checkpoint_is_logged_once_and_its_end_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is retried; writing goes on after it."""
    caplog.set_level("INFO", "runsink")
    with failing_disk("sync", 1, lasting=True) as fault, closing(SqliteStore(path)) as store:
        keep(store, *a_batch("first"))
        fault.armed = True
        store.maintain(quiet=True)
        end_checkpoint(store)
        writer = GroupCommitWriter(store)
        for _ in range(3):
            writer._maintain()  # noqa: SLF001 - what its thread does once a second
        fault.armed = False
        for _ in range(3):
            writer._maintain()  # noqa: SLF001
        writer.submit(lambda work: work.runs.add([sample_run("after")])).result(HANG_GUARD_SECONDS)
        assert writer.close(HANG_GUARD_SECONDS)
    told = [record.getMessage() for record in caplog.records if "housekeeping" in record.getMessage()]
    assert told == ["store housekeeping failed; retrying until it succeeds", "store housekeeping succeeds again"]


def test_without_another_thread_the_writer_checkpoints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system allows no more threads, the WAL is copied all the same, at a quiet moment."""

    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with closing(SqliteStore(path)) as store:
        keep(store, *a_batch("first"))
        monkeypatch.setattr(Thread, "start", refuse)
        store.maintain(quiet=False)
        assert b"first-0" not in path.read_bytes()
        store.maintain(quiet=True)
        assert b"first-0" in path.read_bytes()


def test_a_store_that_is_hardly_written_has_no_further_thread_or_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins with the first checkpoint that is due."""
    opened: list[Path] = []

    def note(path: Path) -> apsw.Connection:
        opened.append(path)
        return connection_module.open_existing(path)

    monkeypatch.setattr(checkpoints_module, "open_existing", note)
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 10 * BATCH_PAGES)
    with closing(SqliteStore(path)) as store:
        for quiet in (True, False):
            keep(store, *a_batch(f"{quiet}"))
            store.maintain(quiet=quiet)
        assert (opened, checkpoint_threads()) == ([], [])
        monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 1)
        for name in ("third", "fourth"):
            store.maintain(quiet=True)
            end_checkpoint(store)
            keep(store, *a_batch(name))
        assert opened == [path]


def test_the_observer_hears_of_it_from_the_writing_thread(gate: Gate, path: Path) -> None:
    """As its contract has it: of the WAL it is told by one thread at a time."""
    threads: list[Thread] = []

    class Listening(RecordingObserver):
        def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
            super().note_checkpoint(seconds, complete=complete)
            threads.append(current_thread())

    with closing(SqliteStore(path, observer=Listening())) as store:
        begin_checkpoint(store, gate)
        gate.open()
        end_checkpoint(store)
        assert threads == []
        store.maintain(quiet=True)
    assert set(threads) == {current_thread()}


def test_a_reader_that_is_gone_by_the_time_of_the_news_holds_nothing_up(path: Path) -> None:
    """If the WAL has restarted since the checkpoint, whatever held that up is over."""
    observer = RecordingObserver()
    with closing(SqliteStore(path, observer=observer)) as store, closing(apsw.Connection(str(path))) as other:
        with store.reader() as runs:
            assert runs.get(sample_run().event_id) is None
            keep(store, *a_batch("first"))
            store.maintain(quiet=True)
            end_checkpoint(store)
        other.pragma("schema_version")
        other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        keep(store, sample_run("restarted"))
        store.maintain(quiet=True)
    assert observer.wal_restarts == 1
    assert all(observer.checkpoints)


def test_a_process_forked_during_a_checkpoint_opens_nothing(store: SqliteStore, gate: Gate, path: Path) -> None:
    """It may have inherited locks half taken; the store of the parent goes on."""

    def open_one() -> None:
        with closing(SqliteStore(path)):
            pass

    assert len(forks._at_work) == 1  # noqa: SLF001 - what says why it opens nothing
    assert outcome_in_fork(open_one) == "StoreUnusableError"
    assert outcome_in_fork(lambda: store.maintain(quiet=True)) == "StoreForkedError"
    assert outcome_in_fork(store.close) == ""
    gate.open()
    end_checkpoint(store)
    assert outcome_in_fork(open_one) == ""
    keep(store, sample_run("after"))
    assert "after" in all_keys(store)


def test_a_process_that_is_killed_during_a_checkpoint_loses_nothing(path: Path) -> None:
    """What it kept before and during the checkpoint is there, whether the pages were synced or not."""
    reports, reporting = os.pipe()
    child = os.fork()
    if not child:
        _keep_until_killed(path, reporting)
    assert os.read(reports, 1) == b"."
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("integrity_check") == "ok"
    with closing(SqliteStore(path)) as later:
        assert all_keys(later) == {run.event_id for run in a_batch("first")} | {"meanwhile"}


def _keep_until_killed(path: Path, reporting: int) -> Any:
    """Keep a batch, and a run during its checkpoint, then report and wait for the end."""
    try:
        with gated_disk() as gate:
            store = SqliteStore(path)
            begin_checkpoint(store, gate)
            keep(store, sample_run("meanwhile"))
            os.write(reporting, b".")
            signal.pause()
    finally:
        os._exit(1)


def test_two_stores_that_checkpoint_at_once_are_not_in_each_others_way(
    store: SqliteStore, gate: Gate, path: Path
) -> None:
    """The second one finds the first at work, writes on, and copies the WAL later."""
    with closing(SqliteStore(path)) as other:
        keep(other, *a_batch("second"))
        other.maintain(quiet=True)
        end_checkpoint(other)
        other.maintain(quiet=False)
        gate.open()
        for one in (store, other):
            end_checkpoint(one)
            one.maintain(quiet=True)
        keep(other, sample_run("after"))
        assert len(all_keys(store)) == 2 * BATCH_PAGES + 1
