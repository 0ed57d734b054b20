"""The writing thread: which commands share a commit, who gets which error, and what is stored."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from queue import SimpleQueue
from threading import Event, current_thread

import pytest

from adapters import group_commit
from adapters.group_commit import MAX_ATTEMPTS, MAX_COMMANDS_PER_COMMIT, GroupCommitWriter, Outcome
from core.errors import StoreBusyError, StoreClosedError, StoreError, StoreFullError, TransactionConflictError
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, outcome_in_fork, sample_run
from tests.fakes.observer import RecordingObserver
from tests.fakes.store import ObservedStore
from tests.servers import DEADLINE_SECONDS


class BoomError(Exception):
    """A command fails."""


@pytest.fixture
def store() -> ObservedStore:
    """Return a store whose commits wait until ``commit_allowed`` is set."""
    return ObservedStore()


@pytest.fixture
def writer(store: ObservedStore) -> Iterator[GroupCommitWriter]:
    """Yield a writer on the store; at the end, let pending commits through."""
    made = GroupCommitWriter(store)
    yield made
    store.commit_allowed.set()
    made.close()


def add(key: str) -> Callable[[UnitOfWork], str]:
    """Return a command that adds a run and returns its key."""

    def command(work: UnitOfWork) -> str:
        work.runs.add([sample_run(key)])
        return key

    return command


def add_and_raise(key: str, error: Exception) -> Callable[[UnitOfWork], str]:
    """Return a command that adds a run and then raises."""

    def command(work: UnitOfWork) -> str:
        work.runs.add([sample_run(key)])
        raise error

    return command


def hold_first_commit(store: ObservedStore, writer: GroupCommitWriter) -> "Future[str]":
    """Submit a command and return once its commit has begun and is waiting."""
    first = writer.submit(add("first"))
    assert store.commit_reached.wait(HANG_GUARD_SECONDS)
    return first


def result(future: "Future[str]") -> str:
    """Return the result of a future; time out if the writer has lost it."""
    return future.result(HANG_GUARD_SECONDS)


def test_a_lone_command_is_committed_at_once(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """A lone command is committed at once."""
    store.commit_allowed.set()
    assert result(writer.submit(add("a"))) == "a"
    assert (store.commits, all_keys(store)) == (1, {"a"})


def test_commands_that_wait_share_the_next_commit(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Commands submitted during one commit share the next."""
    first = hold_first_commit(store, writer)
    waiting = [writer.submit(add(str(number))) for number in range(20)]
    store.commit_allowed.set()
    assert [result(future) for future in (first, *waiting)] == ["first", *map(str, range(20))]
    assert store.commits == 2
    assert all_keys(store) == {"first", *map(str, range(20))}


def test_no_future_is_done_before_its_commit(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Before a group's commit, none of its outcomes is delivered, neither values nor errors."""
    gathered = Event()

    def gather(_work: UnitOfWork) -> str:
        assert gathered.wait(HANG_GUARD_SECONDS)
        return "gathered"

    store.commit_allowed.set()
    before = writer.submit(gather)
    group = [writer.submit(add("a")), writer.submit(add_and_raise("b", BoomError()))]
    store.commit_allowed.clear()
    gathered.set()
    assert store.commit_reached.wait(HANG_GUARD_SECONDS)
    assert not any(future.done() for future in (before, *group))
    store.commit_allowed.set()
    assert result(group[0]) == "a"
    assert isinstance(group[1].exception(HANG_GUARD_SECONDS), BoomError)


def test_a_command_that_raises_undoes_only_itself(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Only its own caller gets the error; the other commands of the commit are stored."""
    hold_first_commit(store, writer)
    good, bad, other = writer.submit(add("a")), writer.submit(add_and_raise("b", BoomError())), writer.submit(add("c"))
    store.commit_allowed.set()
    assert (result(good), result(other)) == ("a", "c")
    with pytest.raises(BoomError):
        result(bad)
    assert (store.commits, all_keys(store)) == (2, {"first", "a", "c"})


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_failing_store_ends_the_whole_group(store: ObservedStore, writer: GroupCommitWriter, place: int) -> None:
    """A ``StoreError`` of any command fails all that share its commit, and nothing is stored."""
    hold_first_commit(store, writer)
    error = StoreFullError("the disk is full")
    commands = [add("a"), add("b")]
    commands.insert(place, add_and_raise("c", error))
    group = [writer.submit(command) for command in commands]
    store.commit_allowed.set()
    assert [future.exception(HANG_GUARD_SECONDS) for future in group] == [error] * 3
    assert (store.commits, all_keys(store)) == (1, {"first"})


def test_a_failing_commit_reaches_the_whole_group(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """If a commit fails, all its commands fail, and nothing is stored."""
    first = hold_first_commit(store, writer)
    group = [writer.submit(add("a")), writer.submit(add("b"))]
    store.commit_fails = StoreError("the database failed")
    store.commit_allowed.set()
    errors = [future.exception(HANG_GUARD_SECONDS) for future in (first, *group)]
    assert errors == [store.commit_fails] * 3
    assert all_keys(store) == set()


def test_a_store_that_cannot_be_entered_is_reported(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """A busy store fails only the commands that waited for it."""
    store.commit_allowed.set()
    store.entering_fails = StoreBusyError("locked")
    assert writer.submit(add("a")).exception(HANG_GUARD_SECONDS) is store.entering_fails
    store.entering_fails = None
    assert result(writer.submit(add("b"))) == "b"
    assert all_keys(store) == {"b"}


def test_a_lone_command_that_raises_keeps_nothing(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """A lone command that raises is rolled back without a commit."""
    store.commit_allowed.set()
    with pytest.raises(BoomError):
        result(writer.submit(add_and_raise("a", BoomError())))
    assert (store.commits, all_keys(store)) == (0, set())


@pytest.mark.parametrize("conflicts", [1, MAX_ATTEMPTS - 1])
def test_a_conflict_repeats_the_whole_group(store: ObservedStore, writer: GroupCommitWriter, conflicts: int) -> None:
    """Commands whose unit of work conflicts are retried, and succeed."""
    first = hold_first_commit(store, writer)
    group = [writer.submit(add("a")), writer.submit(add_and_raise("b", BoomError())), writer.submit(add("c"))]
    store.conflicts = conflicts
    store.commit_allowed.set()
    assert [result(first), result(group[0]), result(group[2])] == ["first", "a", "c"]
    assert isinstance(group[1].exception(HANG_GUARD_SECONDS), BoomError)
    assert (store.commits, all_keys(store)) == (2 + conflicts, {"first", "a", "c"})


def test_conflicts_without_end_are_reported(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """After the maximum number of attempts the commands fail, nothing is stored, and the next one succeeds."""
    store.commit_allowed.set()
    store.conflicts = MAX_ATTEMPTS
    assert isinstance(writer.submit(add("a")).exception(DEADLINE_SECONDS), TransactionConflictError)
    assert (store.commits, all_keys(store)) == (MAX_ATTEMPTS, set())
    assert result(writer.submit(add("b"))) == "b"


def test_the_writer_goes_on_after_any_error(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """After failed commands and a failed commit, the next command succeeds."""
    store.commit_allowed.set()
    assert isinstance(writer.submit(add_and_raise("a", BoomError())).exception(HANG_GUARD_SECONDS), BoomError)
    store.commit_fails = StoreError("the database failed")
    assert writer.submit(add("b")).exception(HANG_GUARD_SECONDS) is store.commit_fails
    store.commit_fails = None
    assert result(writer.submit(add("c"))) == "c"
    assert all_keys(store) == {"c"}


def test_housekeeping_follows_each_commit(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Housekeeping runs between commits, and is told whether writes are pending."""
    hold_first_commit(store, writer)
    waiting = writer.submit(add("a"))
    assert store.maintained == []
    store.commit_allowed.set()
    assert result(waiting) == "a"
    writer.close()
    assert store.maintained[0] is False
    assert store.maintained[-1] is True


def test_the_writer_goes_on_when_housekeeping_fails(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """If a checkpoint finds the disk full, later commands still succeed."""
    store.commit_allowed.set()
    store.maintenance_fails = StoreFullError("the disk is full")
    assert result(writer.submit(add("a"))) == "a"
    assert result(writer.submit(add("b"))) == "b"
    assert all_keys(store) == {"a", "b"}


def test_housekeeping_goes_on_while_nobody_writes(store: ObservedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping that failed after the last commit is retried without another commit."""
    monkeypatch.setattr(group_commit, "IDLE_SECONDS", 0.01)
    writer = GroupCommitWriter(store)
    deadline = time.monotonic() + HANG_GUARD_SECONDS
    while len(store.maintained) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.close()
    assert store.maintained[:3] == [True] * 3
    assert store.commits == 0


def test_housekeeping_that_keeps_failing_is_logged_once(
    store: ObservedStore, writer: GroupCommitWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """The first failure is logged, and the next only after a success in between."""
    store.commit_allowed.set()
    for fails in (True, True, False, True):
        store.maintenance_fails = StoreFullError("the disk is full") if fails else None
        # The next command is executed only after the housekeeping that follows this one.
        for _ in range(2):
            writer.submit(lambda _work: None).result(HANG_GUARD_SECONDS)
    assert sum("housekeeping" in record.message for record in caplog.records) == 2


def test_more_than_one_group_may_wait(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """If more commands are pending than fit in one commit, each is executed exactly once."""
    number = 2 * MAX_COMMANDS_PER_COMMIT + 22
    hold_first_commit(store, writer)
    waiting = [writer.submit(add(str(key))) for key in range(number)]
    store.commit_allowed.set()
    assert [result(future) for future in waiting] == [str(key) for key in range(number)]
    assert store.commits == 1 + 3
    assert len(all_keys(store)) == 1 + number


def test_commands_are_carried_out_in_order(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Commands from one thread are executed in order, even across groups."""
    hold_first_commit(store, writer)
    order: list[int] = []
    waiting = [writer.submit(lambda _work, key=key: order.append(key)) for key in range(100)]  # type: ignore[misc]
    store.commit_allowed.set()
    for future in waiting:
        future.result(HANG_GUARD_SECONDS)
    assert order == list(range(100))


def test_many_threads_may_submit(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Everything that several threads submit at once is stored."""
    store.commit_allowed.set()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda key: result(writer.submit(add(str(key)))), range(100)))
    assert all_keys(store) == set(done) == set(map(str, range(100)))


@pytest.mark.parametrize("number", [0, 1, MAX_COMMANDS_PER_COMMIT - 1, MAX_COMMANDS_PER_COMMIT, 150])
def test_closing_carries_out_what_was_submitted(number: int) -> None:
    """After ``close`` every future is done, however many were pending."""
    store = ObservedStore()
    writer = GroupCommitWriter(store)
    hold_first_commit(store, writer)
    waiting = [writer.submit(add(str(key))) for key in range(number)]
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(writer.close)
        store.commit_allowed.set()
        closing.result(HANG_GUARD_SECONDS)
    assert all(future.done() for future in waiting)
    assert len(all_keys(store)) == 1 + number


def test_closing_in_a_time_cuts_what_has_not_begun() -> None:
    """The command in flight is executed; pending ones fail at once, and nothing of them is stored."""
    store = ObservedStore()
    writer = GroupCommitWriter(store)
    first = hold_first_commit(store, writer)
    waiting = [writer.submit(add(str(key))) for key in range(2 * MAX_COMMANDS_PER_COMMIT)]
    assert not writer.close(within=0.05)
    assert not first.done()
    store.commit_allowed.set()
    assert result(first) == "first"
    assert all(isinstance(future.exception(HANG_GUARD_SECONDS), StoreBusyError) for future in waiting)
    assert writer.close(within=HANG_GUARD_SECONDS)
    assert all_keys(store) == {"first"}


def test_closing_an_idle_writer_ends_it(store: ObservedStore) -> None:
    """An unused writer can be closed."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(GroupCommitWriter(store).close).result(HANG_GUARD_SECONDS)
    assert store.commits == 0


def test_a_closed_writer_takes_nothing(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Submitting to a closed writer fails at once, however often it was closed."""
    for _ in range(2):
        assert writer.close()
        with pytest.raises(StoreClosedError):
            writer.submit(add("a"))
    assert all_keys(store) == set()


def test_a_forked_writer_takes_nothing(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """A forked process has no writing thread, and says so; closing there does not affect its parent."""
    first = hold_first_commit(store, writer)
    assert outcome_in_fork(lambda: writer.submit(add("a"))) == "StoreForkedError"
    assert outcome_in_fork(writer.close) == ""
    store.commit_allowed.set()
    assert (result(first), result(writer.submit(add("b")))) == ("first", "b")


def test_closing_loses_nothing_that_is_submitted_meanwhile(store: ObservedStore) -> None:
    """Commands submitted while the writer closes are either executed or rejected."""
    store.commit_allowed.set()
    for _ in range(5):
        writer = GroupCommitWriter(store)
        carried_out, told = close_while_submitting(writer)
        assert sorted(told) == sorted(carried_out)


def close_while_submitting(writer: GroupCommitWriter) -> tuple[list[str], list[str]]:
    """Close a writer while four threads submit; return the executed and the acknowledged commands."""
    carried_out: list[str] = []
    begun = Event()

    def submit_until_closed(thread: int) -> "list[Future[None]]":
        futures: list[Future[None]] = []
        with suppress(StoreClosedError):
            for number in count():
                futures.append(writer.submit(lambda _work, key=f"{thread}-{number}": carried_out.append(key)))  # type: ignore[misc]
                begun.set()
        return futures

    with ThreadPoolExecutor(4) as pool:
        submitting = [pool.submit(submit_until_closed, thread) for thread in range(4)]
        assert begun.wait(HANG_GUARD_SECONDS)
        writer.close()
        submitted = [thread.result(HANG_GUARD_SECONDS) for thread in submitting]
    for future in (future for futures in submitted for future in futures):
        future.result(HANG_GUARD_SECONDS)
    return carried_out, [
        f"{thread}-{number}" for thread, futures in enumerate(submitted) for number in range(len(futures))
    ]


def test_cancelling_takes_nothing_back(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """A command is executed even if its future is cancelled, and the writer goes on."""
    hold_first_commit(store, writer)
    future = writer.submit(add("a"))
    assert not future.cancel()
    store.commit_allowed.set()
    assert result(future) == "a"
    assert result(writer.submit(add("b"))) == "b"
    assert all_keys(store) == {"first", "a", "b"}


def test_a_task_that_is_cancelled_does_no_harm(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """An event loop that stops waiting does not affect the command or the writer."""

    async def give_up() -> None:
        wrapped = asyncio.wrap_future(writer.submit(add("a")))
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    hold_first_commit(store, writer)
    asyncio.run(give_up())
    store.commit_allowed.set()
    assert result(writer.submit(add("b"))) == "b"
    assert all_keys(store) == {"first", "a", "b"}


def add_items(items: Sequence[str], work: UnitOfWork) -> list[str | Exception]:
    """Add a run for each key, all in one call; a key in upper case is an error of its own."""
    work.runs.add([sample_run(key) for key in items if key.islower()])
    return [f"{key} of {len(items)}" if key.islower() else BoomError(key) for key in items]


def test_items_that_share_a_commit_are_executed_together(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Each future receives its own value or error; a command among them is not affected."""
    first = writer.submit(add("first"))
    assert store.commit_reached.wait(HANG_GUARD_SECONDS)
    items = [writer.submit_item(add_items, key) for key in ("a", "B", "c")]
    command = writer.submit(add("d"))
    store.commit_allowed.set()
    assert first.result(HANG_GUARD_SECONDS) == "first"
    assert items[0].result(HANG_GUARD_SECONDS) == "a of 3"
    assert isinstance(items[1].exception(HANG_GUARD_SECONDS), BoomError)
    assert items[2].result(HANG_GUARD_SECONDS) == "c of 3"
    assert command.result(HANG_GUARD_SECONDS) == "d"
    assert all_keys(store) == {"a", "c", "d", "first"}
    assert store.commits == 2


def add_items_unless_bad(items: Sequence[str], work: UnitOfWork) -> list[str | Exception]:
    """Fail as a whole if one key is bad."""
    work.runs.add([sample_run(key) for key in items])
    if "bad" in items:
        raise BoomError("bad")
    return list(items)


def test_items_that_fail_together_are_executed_one_by_one(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Only the item that fails alone fails, and nothing of it is stored."""
    first = writer.submit(add("first"))
    assert store.commit_reached.wait(HANG_GUARD_SECONDS)
    items = [writer.submit_item(add_items_unless_bad, key) for key in ("a", "bad", "c")]
    store.commit_allowed.set()
    assert first.result(HANG_GUARD_SECONDS) == "first"
    assert items[0].result(HANG_GUARD_SECONDS) == "a"
    assert isinstance(items[1].exception(HANG_GUARD_SECONDS), BoomError)
    assert items[2].result(HANG_GUARD_SECONDS) == "c"
    assert all_keys(store) == {"a", "c", "first"}


def test_an_item_is_settled_after_its_commit(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Who hands it over is told its value or its error, once, by the writing thread; a value is durable by then."""
    settled: SimpleQueue[tuple[Outcome, int, str]] = SimpleQueue()

    def settle(outcome: Outcome) -> None:
        settled.put((outcome, store.commits, current_thread().name))

    hold_first_commit(store, writer)
    for key in ("a", "B"):
        writer.hand_over(add_items, key, settle)
    assert settled.empty()
    store.commit_allowed.set()
    (stored, *told), (failed, *_) = [settled.get(timeout=HANG_GUARD_SECONDS) for _ in range(2)]
    assert stored.result() == "a of 2"
    assert stored.exception() is None
    assert told == [2, "runsink-writer"]
    assert isinstance(failed.exception(), BoomError)
    with pytest.raises(BoomError):
        failed.result()
    assert all_keys(store) == {"first", "a"}
    assert settled.empty()


def test_an_item_is_settled_when_its_commit_fails(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Its outcome is the error of the store, and nothing of it is stored."""
    settled: SimpleQueue[Outcome] = SimpleQueue()
    store.commit_allowed.set()
    store.commit_fails = StoreFullError("the disk is full")
    writer.hand_over(add_items, "a", settled.put)
    assert isinstance(settled.get(timeout=HANG_GUARD_SECONDS).exception(), StoreFullError)
    assert all_keys(store) == set()


def test_a_lone_item_fails_alone(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """Its error is that of its future, and nothing is stored."""
    store.commit_allowed.set()
    assert isinstance(writer.submit_item(add_items, "A").exception(HANG_GUARD_SECONDS), BoomError)
    assert writer.submit_item(add_items, "b").result(HANG_GUARD_SECONDS) == "b of 1"


def test_an_observer_learns_of_each_commit(store: ObservedStore) -> None:
    """It is told how many commands shared it, how long it took and how long the first of them had waited."""
    observer = RecordingObserver()
    with closing(GroupCommitWriter(store, observer)) as writer:
        first = writer.submit(add("first"))
        assert store.commit_reached.wait(HANG_GUARD_SECONDS)
        others = [writer.submit(add(f"other-{number}")) for number in range(3)]
        assert writer.waiting == 3
        held_up = time.perf_counter()
        store.commit_allowed.set()
        for future in (first, *others):
            future.result(HANG_GUARD_SECONDS)
        assert writer.waiting == 0
    (alone, _, _), (together, waited, seconds) = observer.commits
    assert (alone, together) == (1, 3)
    assert waited > 0
    assert 0 < seconds <= time.perf_counter() - held_up
    assert observer.failed_commits == 0


def test_an_observer_learns_of_commits_that_fail(store: ObservedStore) -> None:
    """A store that fails is a failed commit; a command that fails by itself is none at all."""
    observer = RecordingObserver()
    store.commit_allowed.set()
    with closing(GroupCommitWriter(store, observer)) as writer:
        store.commit_fails = StoreFullError("the disk is full")
        with pytest.raises(StoreFullError):
            writer.submit(add("lost")).result(HANG_GUARD_SECONDS)
        store.commit_fails = None
        with pytest.raises(BoomError):
            writer.submit(add_and_raise("wrong", BoomError())).result(HANG_GUARD_SECONDS)
    assert (observer.commits, observer.failed_commits) == ([], 1)
