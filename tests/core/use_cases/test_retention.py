"""The retention horizon: how it rises, what it rejects, and what is deleted behind it."""

from collections.abc import Callable

import pytest

from adapters.memory import MemoryStore
from core.errors import BatchRolledBackError, EveryRunRefusedError, HorizonError, RunRefusedError
from core.model.batch import BatchResult, RefusedRun
from core.model.run import Run, Timestamp
from core.model.stream import Chunk, StreamResult
from core.model.validation_error import ValidationError
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Mode, Upload, ingest, ingest_all
from core.use_cases.retention import SLICE_RUNS, check_horizon, count_before, prune_slice, raise_horizon
from core.use_cases.stream import take_chunk
from tests.contract.samples import all_keys, at, everything, keep, read, sample_run

HORIZON = Timestamp(at(10))
NOW = Timestamp(at(99))
EXPIRED = ValidationError("start_time", "is before the retention horizon 2026-01-31T12:00:10Z")
OLD = sample_run("old", start_time=at(9))
NEW = sample_run("new", start_time=at(10))
INVALID = RefusedRun(2, "bad", None, (ValidationError("agent_name", "is required"),))


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with a horizon, in which an old run is still stored."""
    store = MemoryStore()
    keep(store, OLD)
    commit(store, lambda work: raise_horizon(HORIZON, NOW, work))
    return store


def commit(store: MemoryStore, command: Callable[[UnitOfWork], object]) -> None:
    """Carry out a command and commit it."""
    with store.unit_of_work() as work:
        command(work)
        work.commit()


def test_lenient_rejects_what_starts_before_the_horizon(store: MemoryStore) -> None:
    """Such a run is named although it is still stored; a run that starts at the horizon is accepted."""
    with store.unit_of_work() as work:
        result = ingest(Upload(Mode.LENIENT, [NEW, OLD, INVALID]), work)
    assert (result.created, result.existing, result.failed) == (1, 0, 2)
    assert result.refused == (RefusedRun(1, "old", OLD.run_id, (EXPIRED,)), INVALID)
    assert str(result.refused[0].errors[0]) == "start_time is before the retention horizon 2026-01-31T12:00:10Z"


def test_a_batch_of_expired_runs_stores_nothing(store: MemoryStore) -> None:
    """With no other run, a lenient batch fails as a whole."""
    with store.unit_of_work() as work, pytest.raises(EveryRunRefusedError) as caught:
        ingest(Upload(Mode.LENIENT, [OLD]), work)
    assert caught.value.result.refused == (RefusedRun(0, "old", OLD.run_id, (EXPIRED,)),)


def test_atomic_names_expired_and_invalid_runs(store: MemoryStore) -> None:
    """An atomic batch names all of them, in order, and stores nothing."""
    with store.unit_of_work() as work, pytest.raises(BatchRolledBackError) as caught:
        ingest(Upload(Mode.ATOMIC, [NEW, OLD, INVALID]), work)
    assert [refused.index for refused in caught.value.result.refused] == [1, 2]
    assert all_keys(store) == {"old"}


def test_single_runs_are_rejected_one_by_one(store: MemoryStore) -> None:
    """Of single runs that share a commit, the expired ones are rejected and the others stored."""
    with store.unit_of_work() as work:
        rejected, stored, again = ingest_all([Upload(Mode.SINGLE, [run]) for run in (OLD, NEW, NEW)], work)
    assert isinstance(rejected, RunRefusedError)
    assert rejected.refused.errors == (EXPIRED,)
    assert (stored, again) == (BatchResult((), 1, 1, 0, 0), BatchResult((), 1, 0, 1, 0))


def test_a_stream_names_the_line(store: MemoryStore) -> None:
    """An expired line of a stream is an error of that line."""
    with store.unit_of_work() as work:
        result = take_chunk(StreamResult(), Chunk([NEW, OLD], [4, 7], 8), work)
    assert (result.created, result.failed, result.last_line) == (1, 1, 8)
    assert [(error.line, error.event_id, error.error) for error in result.errors] == [(7, "old", EXPIRED)]


@pytest.mark.parametrize(
    ("horizon", "now", "message"),
    [
        (at(100), NOW, "2026-01-31T12:01:40Z is in the future"),
        (at(9), NOW, "is 2026-01-31T12:00:10Z already and never goes back to 2026-01-31T12:00:09Z"),
    ],
)
def test_a_horizon_that_cannot_be_is_refused(store: MemoryStore, horizon: str, now: Timestamp, message: str) -> None:
    """An instant in the future, or before the horizon in force, is refused with the reason."""
    with pytest.raises(HorizonError, match=message):
        read(store, lambda runs: check_horizon(Timestamp(horizon), now, runs))
    with pytest.raises(HorizonError, match=message):
        commit(store, lambda work: raise_horizon(Timestamp(horizon), now, work))
    assert read(store, lambda runs: runs.retention_horizon()) == HORIZON


@pytest.mark.parametrize("horizon", [HORIZON, at(11), NOW])
def test_the_same_horizon_or_a_later_one_is_fine(store: MemoryStore, horizon: str) -> None:
    """Up to now, the horizon may stay or rise."""
    commit(store, lambda work: raise_horizon(Timestamp(horizon), NOW, work))
    assert read(store, lambda runs: runs.retention_horizon()) == horizon


def slices(store: MemoryStore) -> list[int]:
    """Prune to the end; return the number of runs in each slice."""
    counts, cursor = [], None
    while True:
        with store.unit_of_work() as work:
            removed = prune_slice(cursor, work)
            work.commit()
        counts.append(removed.runs)
        cursor = removed.next_cursor
        if cursor is None:
            return counts


def test_pruning_deletes_what_starts_before_the_horizon(store: MemoryStore) -> None:
    """It goes slice by slice, and nothing that starts at the horizon or later is deleted."""
    runs = [sample_run(f"e{number}", start_time=at(number % 20)) for number in range(3 * SLICE_RUNS)]
    keep(store, *runs)
    kept = {run.event_id for run in runs if run.start_time >= HORIZON}
    assert read(store, lambda reader: count_before(HORIZON, reader)) == len(runs) - len(kept) + 1
    counts = slices(store)
    assert sum(counts) == len(runs) - len(kept) + 1
    assert max(counts) == SLICE_RUNS
    assert all_keys(store) == kept
    assert slices(store) == [0]


def test_pruning_without_a_horizon_deletes_nothing() -> None:
    """As long as no horizon was raised, nothing is deleted."""
    store = MemoryStore()
    keep(store, OLD)
    assert slices(store) == [0]
    assert read(store, everything) == (OLD,)


def test_nothing_starts_before_the_first_instant() -> None:
    """The earliest horizon counts nothing, deletes nothing and rejects nothing."""
    store = MemoryStore()
    first = Timestamp("0001-01-01T00:00:00.000000Z")
    earliest = sample_run("a", start_time=first)
    commit(store, lambda work: raise_horizon(first, NOW, work))
    with store.unit_of_work() as work:
        result = ingest(Upload(Mode.LENIENT, [earliest]), work)
        work.commit()
    assert result.created == 1
    assert read(store, lambda runs: count_before(first, runs)) == 0
    assert slices(store) == [0]
    assert isinstance(read(store, everything)[0], Run)
