"""Every sentence of ``core.ports.job_repository``, for every store."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState, SpoolId
from core.model.run import Timestamp
from core.model.stream import LineConflict, LineError, StreamFormat, StreamResult
from core.model.validation_error import ErrorKind, ValidationError
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from tests.contract.samples import all_keys, at, sample_run
from tests.properties.strategies import kept_timestamps, texts

EXAMPLES = settings(max_examples=40)


def sample_job(job_id: str = "job-1", **fields: Any) -> Job:
    """A queued job with the given fields on top."""
    required = {
        "spool": "spool-1",
        "format": StreamFormat.NDJSON,
        "coding": None,
        "created_at": at(0),
        "bytes_total": 9,
    }
    return Job(job_id=JobId(job_id), **{**required, **fields})


def finished_job(job_id: str, finished_at: str, **fields: Any) -> Job:
    """A job that succeeded at that time."""
    return sample_job(job_id, state=JobState.SUCCEEDED, finished_at=finished_at, **fields)


def error(line: int, reason: str = "is required") -> LineError:
    """A missing field in a line."""
    return LineError(line, f"event-{line}", None, ValidationError("agent_name", reason, ErrorKind.MISSING))


def conflict(line: int) -> LineConflict:
    """A run that was there with other fields."""
    return LineConflict(line, f"event-{line}", ("agent_name", "job_type"))


def change(store: Store, command: Callable[[UnitOfWork], object]) -> None:
    """Carry out something and commit it."""
    with store.unit_of_work() as work:
        command(work)
        work.commit()


def keep(store: Store, *jobs: Job) -> None:
    """Add jobs, one after the other, and commit."""
    with store.unit_of_work() as work:
        for job in jobs:
            work.jobs.add(job)
        work.commit()


def get(store: Store, job_id: str) -> Job | None:
    """What a reader of its own sees."""
    with store.job_reader() as jobs:
        return jobs.get(JobId(job_id))


def page(store: Store, which: JobFilter | None = None, **parts: Any) -> JobPage:
    """A page of the list."""
    with store.job_reader() as jobs:
        return jobs.page(which or JobFilter(), JobPageRequest(**parts))


def counts(store: Store) -> dict[JobState, int]:
    """How many jobs there are in each state that has any."""
    with store.job_reader() as jobs:
        found = jobs.counts()
    assert found.keys() == set(JobState)
    return {state: number for state, number in found.items() if number}


def ids(found: JobPage) -> list[str]:
    """The ids of the jobs of a page."""
    return [job.job_id for job in found.jobs]


def line_errors() -> st.SearchStrategy[LineError]:
    """Anything that can be wrong with line 7."""
    maybe = st.none() | texts(max_size=20)
    errors = st.builds(ValidationError, maybe, texts(max_size=20), st.sampled_from(ErrorKind))
    return st.builds(LineError, st.just(7), maybe, maybe, errors)


def kept_jobs() -> st.SearchStrategy[Job]:
    """Any job the core could hand to a store."""
    counts = st.integers(0, 2**63 - 1)
    conflicts = st.builds(LineConflict, st.just(7), texts(max_size=20), st.lists(texts(max_size=9)).map(tuple))
    names = ("total", "created", "existing", "failed", "errors_omitted", "conflicts_omitted")
    result = st.builds(
        StreamResult,
        **dict.fromkeys(names, counts),
        last_line=st.integers(7, 2**63 - 1),
        errors=st.lists(line_errors(), max_size=3).map(tuple),
        conflicts=st.lists(conflicts, max_size=3).map(tuple),
    )
    return st.builds(
        Job,
        job_id=texts(min_size=1, max_size=40).map(JobId),
        spool=texts(max_size=40).map(SpoolId),
        format=st.sampled_from(StreamFormat),
        coding=st.none() | st.sampled_from(["gzip", "zstd"]),
        state=st.sampled_from(JobState),
        created_at=kept_timestamps(),
        started_at=st.none() | kept_timestamps(),
        finished_at=st.none() | kept_timestamps(),
        bytes_total=counts,
        bytes_done=counts,
        result=result,
        detail=st.none() | texts(),
    )


@EXAMPLES
@given(job=kept_jobs())
def test_what_was_added_is_read(empty_store: Store, job: Job) -> None:
    """Every field comes back as it was."""
    with empty_store.unit_of_work() as work:
        work.jobs.add(job)
        assert work.jobs.get(job.job_id) == job


@EXAMPLES
@given(before=kept_jobs(), after=kept_jobs())
def test_what_was_replaced_is_read(empty_store: Store, before: Job, after: Job) -> None:
    """Every field comes back as it was put, and what had been found before is still there."""
    first = attrs.evolve(before, result=attrs.evolve(before.result, last_line=6, errors=(error(6),), conflicts=()))
    found = attrs.evolve(after.result, errors=(error(6), *after.result.errors))
    second = attrs.evolve(after, job_id=before.job_id, result=found)
    with empty_store.unit_of_work() as work:
        work.jobs.add(first)
        work.jobs.replace(second)
        assert work.jobs.get(before.job_id) == second


def test_a_job_outlives_its_commit(store: Store) -> None:
    """Readers see what was committed, and nothing before it."""
    with store.unit_of_work() as work:
        work.jobs.add(sample_job())
        assert work.jobs.get(JobId("job-1")) == sample_job()
        assert get(store, "job-1") is None
        work.commit()
    assert get(store, "job-1") == sample_job()


def test_a_durable_job_outlives_its_store(open_durable: Callable[[], Store]) -> None:
    """Whoever opens the store again finds the job, with everything that was found in its lines."""
    result = StreamResult(total=2, failed=1, existing=1, last_line=4, errors=(error(3),), conflicts=(conflict(4),))
    job = sample_job(state=JobState.RUNNING, result=result)
    store = open_durable()
    keep(store, job)
    store.close()
    store = open_durable()
    assert get(store, "job-1") == job
    store.close()


@pytest.mark.parametrize("job_id", ["", "job-2", "a\0", "\ud800", "Job-1"])
def test_an_unknown_id_finds_nothing(store: Store, job_id: str) -> None:
    """Neither does one that no job can have, and to remove it is nothing."""
    keep(store, sample_job())
    assert get(store, job_id) is None
    change(store, lambda work: work.jobs.remove(JobId(job_id)))
    assert get(store, "job-1") == sample_job()


def test_findings_grow_chunk_by_chunk(store: Store) -> None:
    """What each chunk found is there in the order of the lines, however many chunks there were."""
    keep(store, sample_job())
    errors: tuple[LineError, ...] = ()
    conflicts: tuple[LineConflict, ...] = ()
    for last in range(10, 60, 10):
        errors += (error(last - 1), error(last, "two fields"), error(last))
        conflicts += (conflict(last - 2),)
        found = StreamResult(last_line=last, errors=errors, conflicts=conflicts)
        job = sample_job(state=JobState.RUNNING, result=found)
        change(store, lambda work, job=job: work.jobs.replace(job))  # type: ignore[misc]
        assert get(store, "job-1") == job
    assert page(store).jobs == (job,)


def test_undoing_undoes_jobs_together_with_runs(store: Store) -> None:
    """A unit of work that is left without commit, and a savepoint that is left by an error, keep neither."""
    keep(store, sample_job())
    with store.unit_of_work() as work:
        work.jobs.replace(sample_job(bytes_done=5))
        work.runs.add([sample_run("a")])
    with store.unit_of_work() as work:
        with pytest.raises(ZeroDivisionError), work.savepoint():  # noqa: PT012 - the block is what is tested
            work.jobs.replace(sample_job(bytes_done=7, result=StreamResult(last_line=3, errors=(error(3),))))
            work.runs.add([sample_run("b")])
            raise ZeroDivisionError
        work.jobs.add(sample_job("job-2"))
        work.commit()
    assert (get(store, "job-1"), ids(page(store)), all_keys(store)) == (sample_job(), ["job-2", "job-1"], set())


def test_the_list_is_newest_first_whatever_the_clock_said(store: Store) -> None:
    """The order is that of adding, and its other end is the exact reverse."""
    keep(store, sample_job("b", created_at=at(9)), sample_job("a", created_at=at(5)), sample_job("c", created_at=at(7)))
    assert ids(page(store)) == ["c", "a", "b"]
    assert ids(page(store, oldest_first=True)) == ["b", "a", "c"]


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_follow_each_other(store: Store, limit: int, *, oldest_first: bool) -> None:
    """Walking by cursor meets each job once, and only the last page has no cursor."""
    keep(store, *(sample_job(f"job-{number}") for number in range(7)))
    met: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        found = page(store, limit=limit, cursor=cursor, oldest_first=oldest_first)
        met += ids(found)
        cursor, pages = found.next_cursor, pages + 1
    expected = [f"job-{number}" for number in range(7)]
    assert met == (expected if oldest_first else expected[::-1])
    assert pages == -(-7 // limit)


def test_a_cursor_keeps_its_place(store: Store) -> None:
    """When its job is removed and others come, the next page is the one it would have been."""
    keep(store, *map(sample_job, "abcd"))
    first = page(store, limit=2)
    change(store, lambda work: work.jobs.remove(JobId("c")))
    keep(store, sample_job("e"))
    assert ids(page(store, cursor=first.next_cursor)) == ["b", "a"]


def test_filters_take_what_matches_every_part(store: Store) -> None:
    """State, spool and what is unfinished, alone and together."""
    keep(
        store,
        sample_job("a"),
        sample_job("b", state=JobState.RUNNING),
        finished_job("c", at(1)),
        sample_job("d", spool="spool-2"),
    )
    spool = SpoolId("spool-1")
    assert ids(page(store, JobFilter(state=JobState.QUEUED))) == ["d", "a"]
    assert ids(page(store, JobFilter(state=JobState.CANCELLED))) == []
    assert ids(page(store, JobFilter(unfinished=True))) == ["d", "b", "a"]
    assert ids(page(store, JobFilter(spool=spool))) == ["c", "b", "a"]
    assert ids(page(store, JobFilter(spool=spool, unfinished=True), oldest_first=True)) == ["a", "b"]
    assert ids(page(store, JobFilter(spool=spool, state=JobState.RUNNING, unfinished=True))) == ["b"]


def test_a_page_ends_early_when_it_gets_large(store: Store) -> None:
    """Jobs of which much was found come a few at a time, but at least one."""
    found = StreamResult(last_line=1000, errors=tuple(error(line, "x" * 1000) for line in range(1, 101)))
    keep(store, *(sample_job(job_id, result=found) for job_id in "abcdef"))
    first = page(store, max_text_bytes=250_000)
    assert ids(first) == ["f", "e"]
    assert ids(page(store, max_text_bytes=1, cursor=first.next_cursor)) == ["d"]
    assert page(store, max_text_bytes=1).jobs[0].result == found


def test_removing_leaves_no_trace(store: Store) -> None:
    """A job of the same id may be added again, and nothing is found in its lines."""
    keep(store, sample_job(result=StreamResult(last_line=3, errors=(error(3),))), sample_job("job-2"))
    change(store, lambda work: work.jobs.remove(JobId("job-1")))
    assert ids(page(store)) == ["job-2"]
    keep(store, sample_job())
    assert get(store, "job-1") == sample_job()


def test_old_finished_jobs_are_removed_in_parts(store: Store) -> None:
    """Only what was finished before the instant goes, at most so many at a time, and each is counted."""
    keep(
        store, *(finished_job(job_id, at(1), result=StreamResult(last_line=3, errors=(error(3),))) for job_id in "abc")
    )
    keep(store, finished_job("d", at(2)), sample_job("e"), sample_job("f", state=JobState.RUNNING, started_at=at(0)))
    removed: list[int] = []
    for _ in range(3):
        change(store, lambda work: removed.append(work.jobs.remove_finished(Timestamp(at(2)), 2)))
    assert removed == [2, 1, 0]
    assert ids(page(store)) == ["f", "e", "d"]


def test_jobs_are_counted_by_state(store: Store) -> None:
    """Every state has a number, also where there is no job."""
    assert counts(store) == {}
    keep(store, sample_job("a"), sample_job("b"), finished_job("c", at(1)))
    assert counts(store) == {JobState.QUEUED: 2, JobState.SUCCEEDED: 1}
    with store.unit_of_work() as work:
        work.jobs.remove(JobId("a"))
        assert work.jobs.counts()[JobState.QUEUED] == 1
        assert counts(store)[JobState.QUEUED] == 2
