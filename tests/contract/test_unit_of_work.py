"""Every sentence of ``core.ports.unit_of_work``, for every store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import attrs
import pytest

from core.model.listing import RunFilter
from core.model.run import Count, EventId, Run, Status
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import add, agent_names, all_keys, at, everything, keep, read, sample_run

THREADS = 4


class BoomError(Exception):
    """An error inside a block."""


def _add(work: UnitOfWork, *keys: str) -> None:
    work.runs.add([sample_run(key, agent_name=key) for key in keys])


def _fail_after_adding(work: UnitOfWork, key: str) -> None:
    with work.savepoint():
        _add(work, key)
        raise BoomError


def test_leaving_without_commit_undoes_everything(store: Store) -> None:
    """Added and replaced runs are rolled back."""
    keep(store, sample_run("a"))
    with store.unit_of_work() as work:
        _add(work, "b", "c")
        work.runs.replace(sample_run("a", status=Status.FAILURE, updated_at=at(1)))
    assert read(store, everything) == (sample_run("a"),)


def test_an_exception_undoes_everything_and_goes_on(store: Store) -> None:
    """The error propagates, and nothing is stored."""
    with pytest.raises(BoomError), store.unit_of_work() as work:  # noqa: PT012 - the block is what is tested
        _add(work, "a")
        raise BoomError
    assert all_keys(store) == set()


def test_counts_and_names_are_undone_too(store: Store) -> None:
    """Derived data is rolled back with the runs."""
    with store.unit_of_work() as work:
        _add(work, "a")
    assert read(store, agent_names) == ()
    assert read(store, lambda runs: runs.count(RunFilter())) == 0


def test_what_was_undone_is_new_again(store: Store) -> None:
    """A key that was rolled back can be added as new."""
    with store.unit_of_work() as work:
        _add(work, "a")
    with store.unit_of_work() as work:
        assert add(work.runs, [sample_run("a")]) == {}
        work.commit()
    assert all_keys(store) == {"a"}


def test_the_store_works_after_an_undone_unit_of_work(store: Store) -> None:
    """A rollback affects neither earlier nor later commits."""
    keep(store, sample_run("a"))
    with pytest.raises(BoomError), store.unit_of_work() as work:  # noqa: PT012 - the block is what is tested
        _add(work, "b")
        raise BoomError
    keep(store, sample_run("c"))
    assert all_keys(store) == {"a", "c"}


def test_commit_keeps_everything(store: Store) -> None:
    """Added and replaced runs are visible after the commit."""
    keep(store, sample_run("a"))
    with store.unit_of_work() as work:
        _add(work, "b")
        work.runs.replace(sample_run("a", output_summary="new"))
        work.commit()
    assert set(read(store, everything)) == {sample_run("a", output_summary="new"), sample_run("b", agent_name="b")}


def test_an_exception_after_commit_undoes_nothing(store: Store) -> None:
    """A commit stays, even if the block then raises."""
    with pytest.raises(BoomError), store.unit_of_work() as work:  # noqa: PT012 - the block is what is tested
        _add(work, "a")
        work.commit()
        raise BoomError
    assert all_keys(store) == {"a"}


def test_an_empty_commit_is_taken(store: Store) -> None:
    """An empty unit of work can be committed."""
    with store.unit_of_work() as work:
        work.commit()
    assert all_keys(store) == set()


def test_checking_that_it_may_write_changes_nothing(store: Store) -> None:
    """If writing is allowed, the check raises nothing, and writes before and after it are stored."""
    with store.unit_of_work() as work:
        work.check_writable()
        _add(work, "a")
        with work.savepoint():
            work.check_writable()
        _add(work, "b")
        work.check_writable()
        work.commit()
    assert all_keys(store) == {"a", "b"}


def test_it_sees_its_own_writes(store: Store) -> None:
    """Every kind of read sees earlier writes of the same unit of work."""
    run = sample_run("a", agent_name="a")
    with store.unit_of_work() as work:
        work.runs.add([run])
        assert work.runs.get(EventId("a")) == work.runs.newest("launch-1") == run
        assert everything(work.runs) == (run,)
        assert work.runs.count(RunFilter()) == 1
        assert agent_names(work.runs) == ("a",)


def test_an_inner_savepoint_is_undone_alone(store: Store) -> None:
    """An exception rolls back only what was done inside the savepoint."""
    with store.unit_of_work() as work:
        _add(work, "before")
        with pytest.raises(BoomError):
            _fail_after_adding(work, "inside")
        _add(work, "after")
        work.commit()
    assert all_keys(store) == {"before", "after"}


def test_a_savepoint_undoes_replacing(store: Store) -> None:
    """A run replaced in a failed savepoint is restored, even if the earlier one was never committed."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run("a")])
        with pytest.raises(BoomError), work.savepoint():  # noqa: PT012 - the block is what is tested
            work.runs.replace(sample_run("a", output_summary="one"))
            work.runs.replace(sample_run("a", output_summary="two"))
            raise BoomError
        work.commit()
    assert read(store, everything) == (sample_run("a"),)


def test_a_savepoint_undoes_counts_and_names(store: Store) -> None:
    """A failed savepoint restores the metadata and the count."""
    with store.unit_of_work() as work:
        _add(work, "a")
        with pytest.raises(BoomError):
            _fail_after_adding(work, "b")
        assert agent_names(work.runs) == ("a",)
        assert work.runs.count(RunFilter()) == 1


def test_a_left_savepoint_is_kept(store: Store) -> None:
    """Leaving a savepoint without an exception keeps its writes, if all is committed."""
    with store.unit_of_work() as work:
        with work.savepoint():
            _add(work, "a")
        work.commit()
    assert all_keys(store) == {"a"}


def test_a_left_savepoint_is_not_yet_durable(store: Store) -> None:
    """A savepoint is rolled back with its unit of work."""
    with store.unit_of_work() as work, work.savepoint():
        _add(work, "a")
    assert all_keys(store) == set()


def test_an_outer_savepoint_undoes_the_inner_ones(store: Store) -> None:
    """If an outer savepoint fails, an inner one is rolled back with it."""
    with store.unit_of_work() as work:
        _add(work, "a")
        with pytest.raises(BoomError), work.savepoint():  # noqa: PT012 - the block is what is tested
            with work.savepoint():
                _add(work, "b")
            raise BoomError
        work.commit()
    assert all_keys(store) == {"a"}


def test_an_inner_failure_leaves_the_outer_savepoint_alone(store: Store) -> None:
    """Savepoints nest: only the innermost is rolled back."""
    with store.unit_of_work() as work:
        with work.savepoint():
            _add(work, "outer")
            with pytest.raises(BoomError):
                _fail_after_adding(work, "inner")
            _add(work, "outer too")
        work.commit()
    assert all_keys(store) == {"outer", "outer too"}


def test_many_savepoints_in_a_row(store: Store) -> None:
    """Each of many savepoints is kept or rolled back separately."""
    with store.unit_of_work() as work:
        for number in range(20):
            if number % 2:
                with pytest.raises(BoomError):
                    _fail_after_adding(work, str(number))
            else:
                with work.savepoint():
                    _add(work, str(number))
        work.commit()
    assert all_keys(store) == {str(number) for number in range(0, 20, 2)}


def test_keyboard_interrupts_undo_too(store: Store) -> None:
    """Any ``BaseException`` counts."""
    with store.unit_of_work() as work:
        with pytest.raises(KeyboardInterrupt), work.savepoint():  # noqa: PT012 - the block is what is tested
            _add(work, "a")
            raise KeyboardInterrupt
        work.commit()
    assert all_keys(store) == set()


def _in_threads(work: Callable[[int], Run | None]) -> list[Run | None]:
    """Run an action in several threads that start at once."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> Run | None:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_units_of_work_exclude_each_other(store: Store) -> None:
    """Reading and then writing loses no update, with any number of threads."""
    keep(store, sample_run("counter", duration_ms=0))

    def count_up(_number: int) -> None:
        for _ in range(10):
            with store.unit_of_work() as work:
                run = work.runs.get(EventId("counter"))
                assert run is not None
                assert run.duration_ms is not None
                work.runs.replace(attrs.evolve(run, duration_ms=Count(run.duration_ms + 1)))
                work.commit()

    _in_threads(count_up)
    assert read(store, everything) == (sample_run("counter", duration_ms=THREADS * 10),)


def test_units_of_work_of_several_processes_lose_no_update(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: reading and then writing loses no update, even through several stores."""
    stores = [open_durable() for _ in range(THREADS)]
    keep(stores[0], sample_run("counter", duration_ms=0))

    def count_up(number: int) -> None:
        for _ in range(10):
            with stores[number].unit_of_work() as work:
                run = work.runs.get(EventId("counter"))
                assert run is not None
                assert run.duration_ms is not None
                work.runs.replace(attrs.evolve(run, duration_ms=Count(run.duration_ms + 1)))
                work.commit()

    _in_threads(count_up)
    assert read(stores[0], everything) == (sample_run("counter", duration_ms=THREADS * 10),)
    for store in stores:
        store.close()


def test_of_those_that_race_for_a_key_through_several_stores_one_finds_it_new(
    open_durable: Callable[[], Store],
) -> None:
    """Durable stores only: the first one stores the run, and the others get it back, even across stores."""
    stores = [open_durable() for _ in range(THREADS)]

    def race(number: int) -> Run | None:
        mine = sample_run("contested", agent_name=f"racer-{number}")
        with stores[number].unit_of_work() as work:
            before = add(work.runs, [mine])
            work.commit()
        return before.get(mine.event_id)

    found = _in_threads(race)
    (kept,) = read(stores[0], everything)
    assert found.count(None) == 1
    assert found.count(kept) == THREADS - 1
    assert read(stores[0], agent_names) == (kept.agent_name,)
    for store in stores:
        store.close()


def test_of_those_that_race_for_a_key_one_finds_it_new(store: Store) -> None:
    """The first thread stores the run, and all others get it back."""

    def race(number: int) -> Run | None:
        mine = sample_run("contested", agent_name=f"racer-{number}")
        with store.unit_of_work() as work:
            before = add(work.runs, [mine])
            work.commit()
        return before.get(mine.event_id)

    found = _in_threads(race)
    (kept,) = read(store, everything)
    assert found.count(None) == 1
    assert found.count(kept) == THREADS - 1
    assert kept.agent_name == f"racer-{found.index(None)}"


def test_a_waiting_unit_of_work_sees_what_was_committed(store: Store) -> None:
    """A unit of work sees the commit of the one before it."""

    def add_next(_number: int) -> None:
        with store.unit_of_work() as work:
            _add(work, f"event-{work.runs.count(RunFilter())}")
            work.commit()

    _in_threads(add_next)
    assert all_keys(store) == {f"event-{number}" for number in range(THREADS)}


def test_what_is_committed_survives_reopening(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: committed runs are there when the store is opened again, in their order of arrival."""
    first = open_durable()
    runs = [sample_run(key, agent_name=key) for key in "bac"]
    keep(first, *runs)
    first.close()
    second = open_durable()
    assert read(second, everything) == tuple(reversed(runs))
    assert read(second, agent_names) == ("a", "b", "c")
    second.close()


def test_what_is_not_committed_does_not_survive_reopening(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: a rolled-back unit of work leaves nothing in the file."""
    first = open_durable()
    with first.unit_of_work() as work:
        _add(work, "a")
    first.close()
    second = open_durable()
    assert all_keys(second) == set()
    second.close()
