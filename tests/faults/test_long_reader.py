"""Readers that hold an old snapshot while others write: the WAL grows for them, and shrinks by itself."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import apsw
import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite import connection as connection_module
from adapters.sqlite import store as store_module
from core.errors import StoreTimeoutError
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import Text
from entrypoints import application
from entrypoints.embedded import RunStore, open_store
from tests.contract.samples import all_keys, everything, keep, read, sample_run, without_waiting
from tests.faults.gated_vfs import slow_disk
from tests.figures import Figures, Scale
from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Start

MIB = 1024 * 1024
BATCH_BYTES = 400_000
CLIENTS = 4


@pytest.fixture
def cap(monkeypatch: pytest.MonkeyPatch, scale: Scale) -> int:
    """The maximum size of the WAL: small, so that seconds of writing fill it, or the real number."""
    size = scale(4 * MIB, connection_module.WAL_CAP_BYTES)
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", size // 4_096 // 4)
    monkeypatch.setattr(store_module, "REST_PAGES", size // 4_096 // 16)
    monkeypatch.setattr(store_module, "WAL_RESET_PAGES", size // 4_096 // 4)
    monkeypatch.setattr(store_module, "WAL_CAP_PAGES", size // 4_096)
    monkeypatch.setattr(connection_module, "WAL_CAP_BYTES", size)
    return size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the store."""
    return tmp_path / "runs.db"


@pytest.fixture
def runs(path: Path, cap: int) -> Iterator[RunStore]:
    """Open a store with its writer thread."""
    assert cap  # is set before the store is made
    with open_store(path) as opened:
        yield opened


def wal_bytes(path: Path) -> int:
    """Return the size of the WAL file."""
    return path.with_name(path.name + "-wal").stat().st_size


def write_a_batch(runs: RunStore, make_run: MakeRun) -> int:
    """Upload ``BATCH_BYTES``; return the number of runs."""
    return runs.ingest_lenient([make_run(input_summary="x" * 4_000) for _ in range(100)]).created


def wait_for(condition: Callable[[], bool]) -> float:
    """Wait, and return the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + DEADLINE_SECONDS
        time.sleep(0.01)
    return time.monotonic() - start


def test_the_wal_comes_back_once_a_long_reader_is_gone(  # noqa: PLR0913 - fixtures
    runs: RunStore, path: Path, cap: int, make_run: MakeRun, *, scale: Scale, figures: Figures
) -> None:
    """While another process holds one snapshot every write succeeds; then the WAL shrinks without another write."""
    seconds = scale(2, 60)
    write_a_batch(runs, make_run)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN")
        (seen,) = other.execute("SELECT count(*) FROM runs").fetchall()
        written, end = 100, time.monotonic() + seconds
        while time.monotonic() < end or wal_bytes(path) < 2 * cap:
            written += write_a_batch(runs, make_run)
            time.sleep(seconds / 100)
        assert other.execute("SELECT count(*) FROM runs").fetchall() == [seen] == [(100,)]
        grown = wal_bytes(path)
    back = wait_for(lambda: wal_bytes(path) <= cap)
    figures(
        seconds=seconds,
        batches_meanwhile=written // 100 - 1,
        WAL_MiB_under_the_reader=round(grown / MIB, 1),
        WAL_MiB_after=round(wal_bytes(path) / MIB, 1),
        cap_MiB=cap // MIB,
        seconds_until_back=round(back, 2),
    )
    assert runs.page().total == written


def test_readers_that_overlap_do_not_keep_the_wal_for_ever(
    runs: RunStore, path: Path, cap: int, make_run: MakeRun, figures: Figures
) -> None:
    """With always some reader, writes wait a little for them, and the WAL stays within its maximum."""
    done = Event()

    def read_on() -> None:
        while not done.is_set():
            runs.page(request=PageRequest(limit=20))

    largest, batches = 0, 5 * cap // BATCH_BYTES
    readers = [Thread(target=read_on) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(batches):
            write_a_batch(runs, make_run)
            largest = max(largest, wal_bytes(path))
    finally:
        done.set()
        for reader in readers:
            reader.join()
    figures(written_MiB=batches * BATCH_BYTES // MIB, largest_WAL_MiB=round(largest / MIB, 1), cap_MiB=cap // MIB)
    assert largest < 3 * cap


@pytest.mark.parametrize("reading", [False, True], ids=["alone", "beside readers"])
def test_a_steady_load_keeps_the_wal_within_its_cap(  # noqa: PLR0913 - fixtures
    path: Path, cap: int, make_run: MakeRun, figures: Figures, scale: Scale, *, reading: bool
) -> None:
    """The WAL grows during a checkpoint beside the writer, on a disk that syncs slowly, up to the cap and no further.

    Readers come and go, and what one keeps from being copied the next checkpoint copies.
    """
    rounds, largest = scale(12, 10), 0
    with slow_disk(0.1), open_store(path) as runs, ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(rounds * cap // (CLIENTS * BATCH_BYTES)):
            writing = [pool.submit(write_a_batch, runs, make_run) for _ in range(CLIENTS)]
            if reading:
                runs.page(request=PageRequest(limit=20))
            for batch in writing:
                assert batch.result() == 100
            largest = max(largest, wal_bytes(path))
    figures(written_MiB=rounds * cap // MIB, largest_WAL_MiB=round(largest / MIB, 1), cap_MiB=cap // MIB)
    assert cap // 4 < largest < cap + 2 * CLIENTS * BATCH_BYTES


@pytest.fixture
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers check the clock after every few steps, so a small table is enough."""
    monkeypatch.setattr(store_module, "PROGRESS_STEPS", 1_000)


@pytest.mark.usefixtures("_look_often")
def test_a_slow_read_is_given_up(path: Path) -> None:
    """A read beyond the limit gets an error that says how to ask for less; the store and its readers go on."""
    with closing(SqliteStore(path, Limits(max_read_seconds=1))) as store:
        keep(store, *(sample_run(str(number)) for number in range(900)))
        with store.reader() as runs:
            assert len(everything(runs)) == 900
            time.sleep(1.1)
            with pytest.raises(StoreTimeoutError, match="max_read_seconds"):
                runs.count(RunFilter(product=Text("rare")))
        keep(store, sample_run("late"))
        assert len(all_keys(store)) == 901
        assert read(store, lambda runs: runs.count(RunFilter(product=Text("rare")))) == 0


def test_a_slow_read_lets_go_of_its_state(path: Path) -> None:
    """A reader beyond its limit blocks no checkpoint: its query ends, and its snapshot with it."""
    with closing(SqliteStore(path, Limits(max_read_seconds=1))) as store:
        keep(store, sample_run("first"))
        start = time.monotonic()
        with pytest.raises(StoreTimeoutError), store.reader() as runs:
            count_for_long(runs)
        assert time.monotonic() - start < DEADLINE_SECONDS
        with closing(apsw.Connection(str(path))) as other:
            without_waiting(lambda: other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE))


def count_for_long(runs: object) -> None:
    """Run a query that takes many seconds, as the repository runs its own."""
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000000) SELECT max(i) FROM n"
    runs._number(long, ())  # type: ignore[attr-defined]  # noqa: SLF001 - to fill ten million rows takes too long


@pytest.mark.usefixtures("_look_often")
def test_a_slow_list_is_503(start: Start, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP the response says when to retry and what to change; writes and other reads go on."""
    monkeypatch.setattr(application, "Limits", lambda: Limits(max_read_seconds=0))
    with start() as server:
        assert server.lenient([make_run() for _ in range(1_000)]).status == 201
        answer = server.find(product="rare")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "max_read_seconds" in answer.body["detail"]
        assert_still_serving(server, make_run)


def assert_still_serving(server: Api, make_run: MakeRun) -> None:
    """Writes and short reads succeed, and the limit is listed."""
    run = make_run(run_id="late")
    assert server.create(run).status == 201
    assert server.get("late").body["event_id"] == run["event_id"]
    assert server.request("GET", "/api/v1/limits").body["max_read_seconds"] == 0
