"""Copying a store: what is copied, where it resumes, and what verification finds."""

from collections.abc import Callable, Iterator

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.run import Run, Status, Timestamp
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.copy_store import (
    PAGE_RUNS,
    Difference,
    carry_horizon,
    copy_runs,
    first_difference,
    read_horizon,
    resume_after,
)
from tests.contract.samples import at, everything, keep, read, sample_run


class BrokenOffError(Exception):
    """Simulates an interruption."""


def writing(store: Store, calls: int | None = None) -> Callable[[Callable[[UnitOfWork], object]], object]:
    """Return a function that executes commands one by one, and fails after a given number."""
    left = iter(range(calls)) if calls is not None else None

    def write(command: Callable[[UnitOfWork], object]) -> None:
        if left is not None and next(left, None) is None:
            raise BrokenOffError
        with store.unit_of_work() as work:
            command(work)
            work.commit()

    return write


def nothing(_runs: int) -> None:
    """Ignore progress."""


def filled(runs: list[Run]) -> MemoryStore:
    """Return a store with these runs, in this order of arrival."""
    store = MemoryStore()
    with store.unit_of_work() as work:
        work.runs.add(runs)
        work.commit()
    return store


def many(number: int) -> list[Run]:
    """Generate unordered runs with few distinct starts, so that the order of arrival matters."""
    return [sample_run(f"event-{key}", start_time=at(key * 7 % 5), duration_ms=key) for key in range(number)]


@given(starts=st.lists(st.integers(0, 3), max_size=12))
def test_a_copy_is_the_same_list(starts: list[int]) -> None:
    """Every run is copied with every field, including those set by the store, in the same order of arrival."""
    source = filled(
        [
            sample_run(f"e{key}", start_time=at(start), created_at=at(9), updated_at=at(10))
            for key, start in enumerate(starts)
        ]
    )
    target = MemoryStore()
    copy_runs(source, writing(target), None, nothing)
    assert read(target, everything) == read(source, everything)
    assert first_difference(source, target, nothing) is None


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_what_was_broken_off_goes_on_where_it_stopped(pages: int) -> None:
    """A second call copies what is missing, and little more."""
    source, target = filled(many(3 * PAGE_RUNS)), MemoryStore()
    with pytest.raises(BrokenOffError):
        copy_runs(source, writing(target, pages), None, nothing)
    copied: list[int] = []
    copy_runs(source, writing(target), resume_after(target), copied.append)
    assert first_difference(source, target, nothing) is None
    assert sum(copied) <= 3 * PAGE_RUNS - pages * PAGE_RUNS + 3 * PAGE_RUNS / 5


def test_runs_that_are_there_already_are_left_alone() -> None:
    """Copying again, or over a run that has changed in the target, does not change the target."""
    source, target = filled([sample_run("a"), sample_run("b")]), MemoryStore()
    keep(target, sample_run("a", output_summary="newer"))
    for _ in range(2):
        copy_runs(source, writing(target), None, nothing)
    assert set(read(target, everything)) == {sample_run("a", output_summary="newer"), sample_run("b")}


def differences() -> Iterator[tuple[list[Run], list[Run], str]]:
    """Yield a source, a target, and the expected message."""
    runs = [sample_run(key, start_time=at(number)) for number, key in enumerate("abc")]
    changed = attrs.evolve(runs[1], status=Status.FAILURE, updated_at=at(50))
    yield runs, runs[:2], "only the source holds run 'c'"
    yield runs[:2], runs, "only the target holds run 'c'"
    yield runs, [], "only the source holds run 'a'"
    yield [], runs, "only the target holds run 'a'"
    yield runs, [runs[0], runs[2]], "the source has run 'b' where the target has 'c'"
    yield runs, [runs[0], changed, runs[2]], "run 'b' differs in updated_at, status"


@pytest.mark.parametrize(("ours", "theirs", "message"), list(differences()))
def test_the_check_names_the_first_difference(ours: list[Run], theirs: list[Run], message: str) -> None:
    """A run that is missing, extra, misplaced or different is named."""
    assert str(first_difference(filled(ours), filled(theirs), nothing)) == message


@pytest.mark.parametrize("missing", [0, PAGE_RUNS - 1, PAGE_RUNS, 2 * PAGE_RUNS - 1, 2 * PAGE_RUNS])
def test_a_difference_is_found_on_any_page(missing: int) -> None:
    """Copying again from the reported position fixes a missing run."""
    runs = [sample_run(f"event-{key}", start_time=at(key)) for key in range(2 * PAGE_RUNS + 1)]
    source, target = filled(runs), filled(runs[:missing] + runs[missing + 1 :])
    difference = first_difference(source, target, nothing)
    assert isinstance(difference, Difference)
    assert difference.source == runs[missing]
    copy_runs(source, writing(target), difference.after, nothing)
    assert first_difference(source, target, nothing) is None


def test_an_empty_target_is_copied_from_the_start() -> None:
    """An empty target has no position to resume from; otherwise it is just before the newest start."""
    assert resume_after(MemoryStore()) is None
    assert resume_after(filled(many(7))) == Cursor(at(4), -1)
    which = PageRequest(cursor=Cursor(at(4), -1), oldest_first=True)
    assert [run.event_id for run in read(filled(many(7)), lambda runs: runs.page(RunFilter(), which)).runs] == [
        "event-2"
    ]


def raise_to(store: Store, horizon: str) -> None:
    """Raise the retention horizon and commit."""
    writing(store)(lambda work: work.runs.raise_retention_horizon(Timestamp(horizon)))


@pytest.mark.parametrize(
    ("ours", "theirs", "after"), [(None, None, None), (2, None, 2), (None, 2, 2), (1, 3, 3), (3, 1, 3)]
)
def test_the_later_horizon_is_in_force_afterwards(ours: int | None, theirs: int | None, after: int | None) -> None:
    """The target has the source's horizon, unless its own is later."""
    source, target = filled([]), filled([])
    for store, horizon in ((source, ours), (target, theirs)):
        if horizon is not None:
            raise_to(store, at(horizon))
    carry_horizon(source, writing(target))
    assert read_horizon(target) == (None if after is None else at(after))


def test_what_the_target_has_pruned_does_not_come_back() -> None:
    """Runs before its horizon are neither copied nor compared; what the source still holds before its own is copied."""
    runs = [sample_run(f"e{second}", start_time=at(second)) for second in range(6)]
    source, target = filled(runs), MemoryStore()
    raise_to(source, at(4))
    raise_to(target, at(2))
    since = read_horizon(target)
    copy_runs(source, writing(target), None, nothing, since)
    assert first_difference(source, target, nothing, since) is None
    assert read(target, everything) == tuple(runs[:1:-1])


def test_a_horizon_that_rises_during_the_copy_holds() -> None:
    """What the target prunes meanwhile is not copied, although it was read before; later runs are."""
    source, target = filled([sample_run(str(second), start_time=at(second)) for second in range(4)]), MemoryStore()
    write = writing(target)

    def write_after_a_prune(command: Callable[[UnitOfWork], object]) -> None:
        raise_to(target, at(2))
        write(command)

    copy_runs(source, write_after_a_prune, None, nothing)
    assert [run.event_id for run in read(target, everything)] == ["3", "2"]
