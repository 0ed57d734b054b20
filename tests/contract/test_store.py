"""Every sentence of ``core.ports.store``, for every store."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from threading import Barrier, Event
from time import sleep

import pytest

import adapters.sqlite.store as sqlite_store
from core.errors import ReadCancelledError, StoreClosedError, StoreTimeoutError
from core.model.job import JobState
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import EventId, Text
from core.model.tree import Room
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader
from core.ports.store import Store
from tests.contract.samples import (
    HANG_GUARD_SECONDS,
    add,
    agent_names,
    all_keys,
    everything,
    keep,
    outcome_in_fork,
    read,
    sample_run,
    without_waiting,
)

THREADS = 4


def test_a_reader_sees_what_was_committed(store: Store) -> None:
    """Runs committed before the block are visible."""
    keep(store, sample_run())
    assert read(store, everything) == (sample_run(),)


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    """A reader begins and ends during a unit of work."""
    keep(store, sample_run("a"))
    with store.unit_of_work() as work:
        work.runs.add([sample_run("b")])
        assert without_waiting(lambda: all_keys(store)) == {"a"}


def test_a_reader_does_not_see_what_is_not_committed(store: Store) -> None:
    """Runs, counts and names of a pending unit of work are invisible to others."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        assert without_waiting(lambda: read(store, _impression)) == ((), 0, ())


def test_a_reader_does_not_see_what_is_replaced_but_not_committed(store: Store) -> None:
    """A run that is being replaced is read as it was."""
    keep(store, sample_run("a"))
    with store.unit_of_work() as work:
        work.runs.replace(sample_run("a", output_summary="new"))
        assert without_waiting(lambda: read(store, everything)) == (sample_run("a"),)


def test_a_cancelled_reader_does_not_begin(store: Store) -> None:
    """A reader cancelled beforehand reads nothing, and later readers are not affected."""
    keep(store, sample_run())
    cancellation = Cancellation()
    cancellation.request()
    with pytest.raises(ReadCancelledError), store.reader(cancellation) as runs:
        everything(runs)
    assert read(store, everything) == (sample_run(),)


@pytest.mark.parametrize("times", range(5))
def test_a_reader_ends_soon_after_it_is_cancelled(open_durable: Callable[[], Store], times: int) -> None:
    """Durable stores only: a read in progress is cancelled, and the store keeps working."""
    store = open_durable()
    with store.unit_of_work() as work:
        work.runs.add([sample_run(f"event-{number}") for number in range(5000)])
        work.commit()
    cancellation, reading = Cancellation(), Event()

    def read_on() -> None:
        with store.reader(cancellation) as runs:
            while True:
                runs.count(RunFilter(product=Text("nothing")))
                reading.set()

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_on)
        assert reading.wait(HANG_GUARD_SECONDS)
        time.sleep(times * 0.002)
        cancellation.request()
        cancellation.request()
        assert isinstance(reader.exception(HANG_GUARD_SECONDS), ReadCancelledError)
    assert read(store, lambda runs: runs.count(RunFilter(product=Text("nothing")))) == 0
    store.close()


def test_a_read_of_many_statements_ends_at_its_limit(
    open_durable: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durable stores only: short reads in one block end at ``max_read_seconds`` together, and the store goes on."""
    # Otherwise SQLite looks at the clock only after many of them.
    monkeypatch.setattr(sqlite_store, "PROGRESS_STEPS", 100)
    store = open_durable(Limits(max_read_seconds=1))
    keep(store, *(sample_run(f"event-{number}", parent_run_id="parent") for number in range(20)))
    guard = time.monotonic() + HANG_GUARD_SECONDS

    def read_on() -> None:
        with store.reader() as runs:
            while time.monotonic() < guard:
                assert len(runs.children(["parent"], Room(100, 1000)).runs) == 20

    with pytest.raises(StoreTimeoutError):
        read_on()
    assert len(read(store, everything)) == 20
    store.close()


def test_a_writer_does_not_wait_for_a_reader(store: Store) -> None:
    """A unit of work can be entered and committed inside a reading block."""
    with store.reader() as runs:
        assert everything(runs) == ()
        without_waiting(partial(keep, store, sample_run("a")))
    assert all_keys(store) == {"a"}


def test_a_reader_holds_one_consistent_state(store: Store) -> None:
    """Commits during the block stay invisible in it, for every kind of read."""
    keep(store, sample_run("a", agent_name="a"))
    with store.reader() as runs:
        before = _impression(runs)
        keep(store, sample_run("b", agent_name="b"))
        with store.unit_of_work() as work:
            work.runs.replace(sample_run("a", agent_name="a", output_summary="new"))
            work.commit()
        assert _impression(runs) == before
        assert runs.get(EventId("b")) is None
        assert runs.newest("launch-1") == sample_run("a", agent_name="a")
    assert all_keys(store) == {"a", "b"}


def test_the_next_reader_sees_the_next_state(store: Store) -> None:
    """A reading block keeps its snapshot only until it ends."""
    for number in range(5):
        assert read(store, lambda runs: runs.count(RunFilter())) == number
        keep(store, sample_run(f"event-{number}"))


def test_readers_in_one_another_are_independent(store: Store) -> None:
    """Each of two open blocks has the snapshot of its own beginning."""
    with store.reader() as outer:
        assert everything(outer) == ()
        keep(store, sample_run("a"))
        with store.reader() as inner:
            assert everything(inner) == (sample_run("a"),)
        assert everything(outer) == ()


def test_a_reader_left_by_an_exception_is_no_loss(store: Store) -> None:
    """The error propagates, and both reading and writing work afterwards."""
    with pytest.raises(LookupError), store.reader() as runs:  # noqa: PT012 - the block is what is tested
        everything(runs)
        raise LookupError
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}


def test_readers_work_in_several_threads_at_once(store: Store) -> None:
    """Blocks open at the same time read the same and do not interfere."""
    keep(store, *(sample_run(f"event-{number}") for number in range(50)))
    barrier = Barrier(THREADS)

    def impression(_number: int) -> object:
        with store.reader() as runs:
            barrier.wait()
            return [_impression(runs) for _ in range(5)]

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(impression, range(THREADS)))
    assert found == [[read(store, _impression)] * 5] * THREADS


def test_readers_never_see_half_a_unit_of_work(store: Store) -> None:
    """If pairs of runs are committed together, no reader ever sees half a pair."""
    done = Event()

    def watch(_number: int) -> bool:
        whole = True
        while not done.is_set():
            with store.reader() as runs:
                found, counted, _ = _impression(runs)
                whole = whole and len(found) == counted and counted % 2 == 0
        return whole

    with ThreadPoolExecutor(THREADS) as pool:
        watching = [pool.submit(watch, number) for number in range(THREADS - 1)]
        try:
            for number in range(15):
                keep_together(store, f"left-{number}", f"right-{number}")
        finally:
            done.set()
        assert all(watcher.result() for watcher in watching)
    assert len(all_keys(store)) == 30


def test_units_of_work_can_be_had_from_any_thread(store: Store) -> None:
    """Threads write one after another, and everything is stored."""
    for number in range(THREADS):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(keep, store, sample_run(f"event-{number}")).result()
    assert all_keys(store) == {f"event-{number}" for number in range(THREADS)}


def test_a_unit_of_work_not_entered_holds_nothing_up(store: Store) -> None:
    """Only entering locks the store."""
    idle = store.unit_of_work()
    without_waiting(partial(keep, store, sample_run("a")))
    with idle as work:
        assert work.runs.count(RunFilter()) == 1


def test_closing_gives_the_file_back(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: after closing, readers included, another store can open and write."""
    first = open_durable()
    keep(first, sample_run("a"))
    with first.reader() as one, first.reader() as two:
        assert everything(one) == everything(two)
    first.close()
    second = open_durable()
    keep(second, sample_run("b"))
    assert all_keys(second) == {"a", "b"}
    second.close()


def test_two_open_stores_share_one_file(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: each sees the other's commits at once, and only one creates a key."""
    first, second = open_durable(), open_durable()
    keep(first, sample_run("a", agent_name="first"))
    with second.unit_of_work() as work:
        assert add(work.runs, [sample_run("a")]) == {"a": sample_run("a", agent_name="first")}
    assert all_keys(second) == {"a"}
    second.close()
    first.close()


def test_a_closed_store_says_so(store: Store) -> None:
    """A closed store can neither write nor read, and closing it again does nothing."""
    keep(store, sample_run("a"))
    all_keys(store)
    for _ in range(2):
        store.close()
        with pytest.raises(StoreClosedError, match="open it again"):
            keep(store, sample_run("b"))
        with pytest.raises(StoreClosedError, match="open it again"):
            all_keys(store)


def test_a_forked_process_is_told_to_open_the_store_again(store: Store) -> None:
    """A forked process can neither write nor read, even if a thread held the lock at the fork; closing is harmless."""
    keep(store, sample_run("a"))
    with store.unit_of_work() as work:
        assert outcome_in_fork(lambda: keep(store, sample_run("b"))) == "StoreForkedError"
        assert outcome_in_fork(lambda: all_keys(store)) == "StoreForkedError"
        assert outcome_in_fork(store.close) == ""
        work.runs.add([sample_run("c")])
        work.commit()
    assert all_keys(store) == {"a", "c"}


def test_closing_waits_for_the_unit_of_work(store: Store) -> None:
    """``close`` waits until the current unit of work is committed."""
    with ThreadPoolExecutor(1) as pool:
        with store.unit_of_work() as work:
            closing = pool.submit(store.close)
            work.runs.add([sample_run("a")])
            work.commit()
        closing.result(HANG_GUARD_SECONDS)
    with pytest.raises(StoreClosedError):
        all_keys(store)


def test_a_reader_goes_on_while_the_store_is_closed(store: Store) -> None:
    """A reader in use reads its snapshot to the end."""
    keep(store, sample_run("a"))
    with store.reader() as runs:
        before = _impression(runs)
        store.close()
        assert _impression(runs) == before
    with pytest.raises(StoreClosedError):
        all_keys(store)


def test_threads_that_read_and_write_survive_closing(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: all get ``StoreClosedError``, and earlier commits are kept."""
    store = open_durable()
    kept: list[str] = []

    def go_on(thread: int) -> None:
        for number in count():
            key = f"event-{thread}-{number}"
            keep(store, sample_run(key))
            kept.append(key)
            assert key in all_keys(store)

    with ThreadPoolExecutor(THREADS) as pool:
        going_on = [pool.submit(go_on, thread) for thread in range(THREADS)]
        while len(kept) < 2 * THREADS and not any(thread.done() for thread in going_on):
            sleep(0.001)
        store.close()
        assert {type(thread.exception()) for thread in going_on} == {StoreClosedError}
    again = open_durable()
    assert all_keys(again) == set(kept)
    again.close()


@pytest.mark.parametrize("quiet", [True, False])
def test_housekeeping_changes_nothing(store: Store, quiet: bool) -> None:  # noqa: FBT001 - it is the subject
    """Housekeeping changes no runs, with or without an open reader, and writing goes on."""
    store.maintain(quiet=quiet)
    keep(store, *(sample_run(f"event-{number}", input_summary="x" * 1000) for number in range(100)))
    with store.reader() as runs:
        before = _impression(runs)
        keep(store, sample_run("late"))
        store.maintain(quiet=quiet)
        assert _impression(runs) == before
    store.maintain(quiet=quiet)
    assert len(all_keys(store)) == 101


def test_a_store_with_room_says_nothing(store: Store) -> None:
    """``check_room`` changes nothing, and raises nothing before or after a write."""
    store.check_room()
    keep(store, sample_run("a"))
    store.check_room()
    assert all_keys(store) == {"a"}


def keep_together(store: Store, *keys: str) -> None:
    """Add each run in its own call, and commit once."""
    with store.unit_of_work() as work:
        for key in keys:
            work.runs.add([sample_run(key)])
        work.commit()


def _impression(runs: RunReader) -> tuple[tuple[object, ...], int, tuple[str, ...]]:
    return tuple(everything(runs)), runs.count(RunFilter()), agent_names(runs)


def test_a_store_is_measured_while_somebody_writes(store: Store) -> None:
    """Measuring waits for no writer, and tells of every state of jobs and of no negative size."""
    keep(store, sample_run())
    with store.unit_of_work() as work:
        work.runs.add([sample_run("b")])
        figures = without_waiting(store.measure)
    assert figures.jobs == dict.fromkeys(JobState, 0)
    sizes = (figures.database_bytes, figures.wal_bytes, figures.free_bytes, figures.oldest_transaction_seconds)
    assert all(size is None or size >= 0 for size in sizes)


def test_a_closed_store_cannot_be_measured(store: Store) -> None:
    """After ``close`` it raises as a reader does."""
    store.close()
    with pytest.raises(StoreClosedError):
        store.measure()
