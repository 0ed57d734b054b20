"""Every sentence of ``core.ports.run_repository`` about the retention horizon and deleting runs, for every store."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import TransactionConflictError
from core.model.listing import Cursor, NameField, NamesRequest, PageRequest, RemovedPage, RunFilter
from core.model.run import EventId, Run, Text, Timestamp
from core.ports.run_repository import RunReader
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.retention import reject_expired
from tests.contract.samples import HANG_GUARD_SECONDS, add, at, everything, keep, read, sample_run, without_waiting

HORIZON = Timestamp(at(5))


def horizon_of(store: Store) -> Timestamp | None:
    """Return the horizon that a new reader sees."""
    return read(store, lambda runs: runs.retention_horizon())


def raise_to(store: Store, horizon: str) -> None:
    """Raise the horizon and commit."""
    with store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp(horizon))
        work.commit()


def remove(store: Store, which: RunFilter | None = None, **parts: object) -> RemovedPage:
    """Remove a page, oldest first unless said otherwise, and commit."""
    with store.unit_of_work() as work:
        removed = work.runs.remove(which or RunFilter(), PageRequest(**{"oldest_first": True, **parts}))  # type: ignore[arg-type]
        work.commit()
    return removed


def impression(runs: RunReader, some: Sequence[Run]) -> object:
    """Return everything that a reader can learn about these runs and about all others."""
    names = [runs.names(field, NamesRequest()) for field in NameField]
    by_name = [
        (runs.newest(run.run_id), runs.page(RunFilter(run_id=run.run_id), PageRequest()).runs, runs.get(run.event_id))
        for run in some
    ]
    counts = [
        (runs.count(RunFilter(agent_name=Text(run.agent_name))), runs.count(RunFilter(job_type=Text(run.job_type))))
        for run in some
    ]
    return everything(runs), runs.count(RunFilter()), names, by_name, counts


def test_there_is_no_horizon_until_it_is_raised(store: Store) -> None:
    """A new store has none, and a reader sees one as soon as it is committed."""
    assert horizon_of(store) is None
    with store.unit_of_work() as work:
        work.runs.raise_retention_horizon(HORIZON)
        assert work.runs.retention_horizon() == HORIZON
        assert horizon_of(store) is None
        work.commit()
    assert horizon_of(store) == HORIZON


def test_the_horizon_only_rises(store: Store) -> None:
    """Raising it to an earlier instant, or to the same, changes nothing."""
    for given_horizon, in_force in ((at(5), at(5)), (at(3), at(5)), (at(5), at(5)), (at(7), at(7))):
        raise_to(store, given_horizon)
        assert horizon_of(store) == in_force


def test_raising_the_horizon_is_undone(store: Store) -> None:
    """A unit of work that is left without commit, and a savepoint that is left by an error, leave it where it was."""
    raise_to(store, at(1))
    with store.unit_of_work() as work:
        work.runs.raise_retention_horizon(HORIZON)
    assert horizon_of(store) == at(1)
    with store.unit_of_work() as work:
        with suppress(KeyError), work.savepoint():
            work.runs.raise_retention_horizon(HORIZON)
            raise KeyError
        assert work.runs.retention_horizon() == at(1)
        work.runs.add([sample_run("a", start_time=at(2))])
        work.commit()
    assert horizon_of(store) == at(1)
    with store.unit_of_work() as work:
        assert work.runs.retention_horizon() == at(1)


def test_an_undone_horizon_is_not_remembered(store: Store) -> None:
    """What a unit of work or a savepoint read of its own raise is forgotten with it."""
    raise_to(store, at(1))
    with store.unit_of_work() as work:
        with suppress(KeyError), work.savepoint():
            work.runs.raise_retention_horizon(HORIZON)
            assert work.runs.retention_horizon() == HORIZON
            raise KeyError
        assert work.runs.retention_horizon() == at(1)
        work.runs.raise_retention_horizon(HORIZON)
        assert work.runs.retention_horizon() == HORIZON
    with store.unit_of_work() as work:
        assert work.runs.retention_horizon() == at(1)
        work.runs.add([sample_run("a", start_time=at(2))])
        work.commit()


def test_the_horizon_outlives_its_store(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: it is there when the store is opened again."""
    with closing(open_durable()) as store:
        raise_to(store, HORIZON)
    with closing(open_durable()) as store:
        assert horizon_of(store) == HORIZON


def _keep_unless_expired(runs: Sequence[Run]) -> Callable[[UnitOfWork], None]:
    def command(work: UnitOfWork) -> None:
        accepted = [run for run in reject_expired(runs, range(len(runs)), work) if isinstance(run, Run)]
        work.runs.add(accepted)

    return command


def _carry_out(store: Store, command: Callable[[UnitOfWork], None]) -> None:
    """Carry out a command as the writer does: again after a conflict."""
    while True:
        with suppress(TransactionConflictError), store.unit_of_work() as work:
            command(work)
            work.commit()
            return


def test_a_horizon_raised_elsewhere_holds_at_once(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: a store that has used the earlier horizon never commits a run by it after the raise."""
    with closing(open_durable()) as store, closing(open_durable()) as other:
        for second in range(3):
            raise_to(other, at(10 * second + 5))
            old, new = sample_run(f"old-{second}", start_time=at(10 * second)), sample_run("new", start_time=at(99))
            _carry_out(store, _keep_unless_expired([old, new]))
            assert read(store, everything) == (new,)


def test_raising_waits_for_those_who_rely_on_the_horizon(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: what was accepted by the earlier horizon is committed before the raise is."""
    with closing(open_durable()) as store, closing(open_durable()) as other, ThreadPoolExecutor(1) as pool:
        with store.unit_of_work() as work:
            assert work.runs.retention_horizon() is None
            work.runs.add([sample_run("a")])
            raising = pool.submit(raise_to, other, HORIZON)
            without_waiting(lambda: horizon_of(other))
            assert not raising.done()
            work.commit()
        raising.result(HANG_GUARD_SECONDS)
        assert [run.event_id for run in read(other, everything)] == ["a"]


def test_relying_again_after_a_savepoint_was_undone(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: the horizon stays put although what first asked for it was rolled back."""
    with closing(open_durable()) as store, closing(open_durable()) as other, ThreadPoolExecutor(1) as pool:
        with store.unit_of_work() as work:
            with suppress(KeyError), work.savepoint():
                work.runs.retention_horizon()
                raise KeyError
            assert work.runs.retention_horizon() is None
            work.runs.add([sample_run("a")])
            raising = pool.submit(raise_to, other, HORIZON)
            without_waiting(lambda: horizon_of(other))
            assert not raising.done()
            work.commit()
        raising.result(HANG_GUARD_SECONDS)


def test_racing_writers_leave_nothing_behind_the_horizon(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: while the horizon rises and old runs are removed, no old run appears afterwards."""
    writers, rounds = 2, 12
    barrier = Barrier(writers + 1)

    def write(number: int) -> None:
        with closing(open_durable()) as store:
            barrier.wait(HANG_GUARD_SECONDS)
            for step in range(2 * rounds):
                runs = [sample_run(f"{number}-{step}-{place}", start_time=at(place)) for place in range(rounds)]
                _carry_out(store, _keep_unless_expired(runs))

    with ThreadPoolExecutor(writers) as pool, closing(open_durable()) as store:
        writing = [pool.submit(write, number) for number in range(writers)]
        barrier.wait(HANG_GUARD_SECONDS)
        for second in range(1, rounds):
            _carry_out(store, lambda work, second=second: work.runs.raise_retention_horizon(Timestamp(at(second))))  # type: ignore[misc]
            expired = RunFilter(start_time_to=Timestamp(at(second - 1)))
            _carry_out(store, lambda work, which=expired: _remove_all(which, work))  # type: ignore[misc]
            assert read(store, lambda runs, which=expired: runs.page(which, PageRequest()).runs) == ()  # type: ignore[misc]
        for done in writing:
            done.result()
        left = read(store, everything)
        assert {run.start_time for run in left} <= {at(rounds - 1)}
        assert read(store, lambda runs: runs.count(RunFilter())) == len(left)


def _remove_all(which: RunFilter, work: UnitOfWork) -> None:
    while work.runs.remove(which, PageRequest(limit=1000, oldest_first=True)).next_cursor:
        pass


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_removing_page_by_page_removes_what_matches(store: Store, limit: int) -> None:
    """Each page says how many went and where the next one begins; runs outside the filter stay."""
    keep(store, *(sample_run(f"event-{number}", start_time=at(number)) for number in range(10)))
    which = RunFilter(start_time_to=Timestamp(at(6)))
    removed, cursor = 0, None
    while removed < 7:
        page = remove(store, which, limit=limit, cursor=cursor)
        removed, cursor = removed + page.runs, page.next_cursor
        assert page.runs == limit or removed == 7
        assert (cursor is None) == (removed == 7)
    assert [run.event_id for run in read(store, everything)] == ["event-9", "event-8", "event-7"]
    assert remove(store, which) == RemovedPage(0, None)


def test_removing_skips_what_lies_before_the_cursor(store: Store) -> None:
    """A page begins behind its cursor, also among runs of equal start."""
    keep(store, *(sample_run(key) for key in "abcd"))
    with store.reader() as runs:
        cursor = runs.page(RunFilter(), PageRequest(limit=2, oldest_first=True)).next_cursor
    assert isinstance(cursor, Cursor)
    assert remove(store, cursor=cursor) == RemovedPage(2, None)
    assert {run.event_id for run in read(store, everything)} == {"a", "b"}


def test_a_page_of_large_runs_is_removed_in_parts(store: Store) -> None:
    """The text of the removed runs is bounded, but one run always goes."""
    keep(store, *(sample_run(key, error_details="x" * 1000) for key in "abcd"))
    assert remove(store, max_text_bytes=2500).runs == 2
    assert remove(store, max_text_bytes=1).runs == 1
    assert [run.event_id for run in read(store, everything)] == ["d"]


@settings(max_examples=25)
@given(
    numbers=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    until=st.integers(0, 20),
)
def test_nothing_of_a_removed_run_remains(used_store: Store, numbers: list[int], until: int) -> None:
    """Keys, names, counts and pages are as if the removed runs had never been added."""
    _carry_out(used_store, lambda work: _remove_all(RunFilter(), work))
    runs = [
        sample_run(
            f"{place}",
            run_id=f"r{number % 3}",
            agent_name=f"a{number % 4}",
            job_type=f"j{number}",
            start_time=at(number),
        )
        for place, number in enumerate(numbers)
    ]
    kept = [run for run in runs if run.start_time > at(until)]
    with used_store.unit_of_work() as work:
        work.runs.add(kept)
        expected = impression(work.runs, runs)
    with used_store.unit_of_work() as work:
        work.runs.add(runs)
        work.runs.remove(RunFilter(start_time_to=Timestamp(at(until))), PageRequest(limit=100, oldest_first=True))
        assert impression(work.runs, runs) == expected
        work.commit()
    assert read(used_store, lambda reader: impression(reader, runs)) == expected


def test_removing_is_undone(store: Store) -> None:
    """A unit of work that is left without commit, and a savepoint that is left by an error, remove nothing."""
    sent = [sample_run(key, agent_name=key) for key in "ab"]
    keep(store, *sent)
    before = read(store, lambda runs: impression(runs, sent))
    with store.unit_of_work() as work:
        work.runs.remove(RunFilter(), PageRequest(oldest_first=True))
    with store.unit_of_work() as work:
        with suppress(KeyError), work.savepoint():
            work.runs.remove(RunFilter(), PageRequest(oldest_first=True))
            raise KeyError
        work.commit()
    assert read(store, lambda runs: impression(runs, sent)) == before


def test_a_removed_run_is_new_and_arrives_last(store: Store) -> None:
    """Its key can be added again, and arrival numbers are not used twice, so a cursor keeps its place."""
    keep(store, *(sample_run(key) for key in "abc"))
    with store.reader() as runs:
        behind_b = runs.page(RunFilter(), PageRequest(limit=2, oldest_first=True)).next_cursor
    with store.unit_of_work() as work:
        work.runs.remove(RunFilter(event_id=EventId("c")), PageRequest())
        work.commit()
    with store.unit_of_work() as work:
        assert add(work.runs, [sample_run("c"), sample_run("d")]) == {}
        work.commit()
    with store.reader() as runs:
        rest = runs.page(RunFilter(), PageRequest(oldest_first=True, cursor=behind_b)).runs
    assert [run.event_id for run in rest] == ["c", "d"]


def test_two_stores_that_remove_the_same_count_it_once(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: what one has removed is not there for the other, and the counts are right."""
    with closing(open_durable()) as store, closing(open_durable()) as other:
        keep(store, *(sample_run(key) for key in "abcd"))
        keep(other, *(sample_run(key) for key in "efgh"))
        assert remove(other, limit=5).runs == 5
        assert remove(store, limit=5) == RemovedPage(3, None)
        assert read(
            store, lambda runs: (runs.count(RunFilter()), runs.names(NameField.JOB_TYPE, NamesRequest()).total)
        ) == (0, 0)


@pytest.mark.parametrize("oldest_first", [True, False])
def test_pages_go_on_where_runs_were_removed(store: Store, *, oldest_first: bool) -> None:
    """A walk through the list ends earlier if what follows was removed, and meets nothing twice."""
    keep(store, *(sample_run(f"event-{number}", start_time=at(number)) for number in range(8)))
    met: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        request = PageRequest(limit=2, cursor=cursor, oldest_first=oldest_first)
        page = read(store, lambda runs, request=request: runs.page(RunFilter(), request))  # type: ignore[misc]
        met += [run.event_id[-1] for run in page.runs]
        cursor, pages = page.next_cursor, pages + 1
        if pages == 1:
            remove(store, RunFilter(start_time_to=Timestamp(at(3))))
    assert "".join(met) == ("014567" if oldest_first else "7654")
