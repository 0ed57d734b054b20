"""Every sentence of ``core.ports.snapshot``, for every store."""

from collections.abc import Callable

import attrs
import pytest

from core.model.job import Job, JobId, JobState, SpoolId
from core.model.listing import PageRequest, RunFilter
from core.model.run import Timestamp
from core.model.store_version import StoreVersion
from core.model.stream import StreamFormat
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import assert_versions_tell_apart, at, keep, read, sample_run

JOB = Job(
    job_id=JobId("job-1"),
    spool=SpoolId("spool-1"),
    format=StreamFormat.NDJSON,
    coding=None,
    created_at=Timestamp(at(0)),
    bytes_total=1,
)
KEPT = attrs.evolve(JOB, job_id=JobId("kept"))


def version(store: Store) -> StoreVersion:
    """Return the version that a new reader sees."""
    return read(store, lambda runs: runs.version())


def version_for_jobs(store: Store) -> StoreVersion:
    """Return the version that a new reader of jobs sees."""
    with store.job_reader() as jobs:
        return jobs.version()


def commit(store: Store, change: Callable[[UnitOfWork], object]) -> None:
    """Commit a change."""
    with store.unit_of_work() as work:
        change(work)
        work.commit()


CHANGES: dict[str, Callable[[UnitOfWork], object]] = {
    "a run": lambda work: work.runs.add([sample_run("b")]),
    "a run beside one that exists": lambda work: work.runs.add([sample_run("a"), sample_run("b")]),
    "a run that is replaced": lambda work: work.runs.replace(sample_run("a", output_summary="new")),
    "a run that is removed": lambda work: work.runs.remove(RunFilter(), PageRequest()),
    "a retention horizon": lambda work: work.runs.raise_retention_horizon(Timestamp(at(1))),
    "a job": lambda work: work.jobs.add(JOB),
    "a job that is replaced": lambda work: work.jobs.replace(attrs.evolve(KEPT, state=JobState.RUNNING)),
    "a job that is removed": lambda work: work.jobs.remove(KEPT.job_id),
}

NO_CHANGES: dict[str, Callable[[UnitOfWork], object]] = {
    "nothing": lambda _work: None,
    "a run that exists": lambda work: work.runs.add([sample_run("a", agent_name="other")]),
    "runs that are read": lambda work: work.runs.page(RunFilter(), PageRequest()),
    "no run to remove": lambda work: work.runs.remove(RunFilter(start_time_to=Timestamp("2000-01-01")), PageRequest()),
}


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with a run and a job."""
    keep(store, sample_run("a"))
    commit(store, lambda work: work.jobs.add(KEPT))
    return store


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_changes_the_version(filled: Store, change: Callable[[UnitOfWork], object]) -> None:
    """Whatever a commit adds, replaces or removes, the version is one that the store never had."""
    before = {version(filled)}
    for number in range(3):
        keep(filled, sample_run(f"more-{number}"))
        before.add(version(filled))
    assert len(before) == 4
    commit(filled, change)
    assert version(filled) not in before


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_a_commit_without_a_change_keeps_the_version(filled: Store, change: Callable[[UnitOfWork], object]) -> None:
    """Clients that send again what is stored do not make others read it again."""
    before = version(filled)
    commit(filled, change)
    assert version(filled) == before


def test_what_is_not_committed_keeps_the_version(filled: Store) -> None:
    """A change that is rolled back leaves the version, which is that of the last commit even inside."""
    before = version(filled)
    with filled.unit_of_work() as work:
        work.runs.add([sample_run("b")])
        assert work.runs.version() == work.jobs.version() == before
        assert version(filled) == before
    assert version(filled) == before


def test_runs_and_jobs_have_one_version(filled: Store) -> None:
    """Readers of either see the same version, before and after a commit."""
    before = version(filled)
    assert version_for_jobs(filled) == before
    keep(filled, sample_run("b"))
    assert version_for_jobs(filled) == version(filled) != before


def test_a_reader_keeps_its_version(filled: Store) -> None:
    """The version belongs to the snapshot: commits during the block stay invisible in it."""
    with filled.reader() as runs, filled.job_reader() as jobs:
        before = runs.version(), jobs.version()
        keep(filled, sample_run("b"))
        assert (runs.version(), jobs.version()) == before
    assert version(filled) not in before


def test_the_version_outlives_the_process(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: a store that is opened again has the version that it had."""
    store = open_durable()
    keep(store, sample_run("a"))
    before = version(store)
    store.close()
    store = open_durable()
    assert version(store) == before
    store.close()


def test_a_version_stands_for_what_is_read(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: while several write, no two snapshots with the same version hold different runs."""
    writers = [open_durable() for _ in range(3)]
    assert_versions_tell_apart(writers)
    for store in writers:
        store.close()


def test_every_process_changes_the_version(open_durable: Callable[[], Store]) -> None:
    """Durable stores only: commits of one that has the store open change it for another."""
    stores = [open_durable() for _ in range(3)]
    seen = {version(stores[0])}
    for number in range(9):
        keep(stores[number % 3], sample_run(f"event-{number}"))
        (now,) = {version(store) for store in stores}
        seen.add(now)
    assert len(seen) == 10
    for store in stores:
        store.close()
