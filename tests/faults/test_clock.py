"""A clock that is set back or forward: it stamps runs, and nothing else depends on it."""

import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite import store as store_module
from core.model.batch import BatchResult
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from core.model.run import EventId, Run, Timestamp
from core.use_cases.ingest import Mode, Upload
from core.use_cases.query import list_runs
from core.use_cases.update import associate_commit, update_run
from core.validation.fields import format_timestamp
from entrypoints.application import Application
from tests.contract.samples import HANG_GUARD_SECONDS, at
from tests.fakes.clock import SetClock
from tests.figures import Figures
from tests.servers import MakeRun

SHIFTS = [timedelta(0), timedelta(days=-1), timedelta(days=1), timedelta(days=-400), timedelta(days=30_000)]


@pytest.fixture
def clock() -> SetClock:
    """Return the clock of the application."""
    return SetClock()


@pytest.fixture
def application(tmp_path: Path, clock: SetClock) -> Iterator[Application]:
    """Return the application with this clock."""
    made = Application.over(SqliteStore(tmp_path / "runs.db"), clock, Limits())
    yield made
    made.close()


def upload(application: Application, documents: list[dict[str, Any]], *, atomic: bool = False) -> BatchResult:
    """Upload a batch as an entrypoint would."""
    now = application.clock.now()
    batch = [application.structurer.run(run, index, now) for index, run in enumerate(documents)]
    sent = Upload(Mode.ATOMIC if atomic else Mode.LENIENT, batch, lambda _: None)
    return application.ingest(sent).result(HANG_GUARD_SECONDS)


def listed(application: Application, size: int) -> list[Run]:
    """Return all runs by cursor, this many at a time."""
    found: list[Run] = []
    request = PageRequest(limit=size, counted=False)
    while True:
        page = application.read(partial(list_runs, RunFilter(), request, Limits()))
        found += page.runs
        if page.next_cursor is None:
            return found
        request = PageRequest(limit=size, counted=False, cursor=page.next_cursor)


def test_nothing_but_the_stamps_depends_on_the_clock(
    application: Application, clock: SetClock, make_run: MakeRun, figures: Figures
) -> None:
    """While the clock jumps, uploads are accepted, retries converge, and the list is ordered by start and arrival."""
    sent = []
    for turn, shift in enumerate(SHIFTS * 2):
        clock.time += shift
        before = clock.time
        batch = [make_run(start_time=at(number % 3)) for number in range(7)]
        result = upload(application, batch, atomic=turn % 2 == 0)
        assert (result.created, result.failed) == (7, 0)
        assert {run.created_at for run in result.runs} == {format_timestamp(before + timedelta(seconds=1))}
        again = upload(application, batch)
        assert (again.existing, again.runs, again.conflicts) == (7, result.runs, ())
        sent += batch
    arrivals = {run["event_id"]: number for number, run in enumerate(sent)}
    order = sorted(sent, key=lambda run: (run["start_time"], arrivals[run["event_id"]]), reverse=True)
    for size in (1, 4, 1000):
        assert [run.event_id for run in listed(application, size)] == [run["event_id"] for run in order]
    figures(jumps=len(SHIFTS) * 2, runs=len(sent), refused=0, out_of_order=0)


def test_a_cursor_outlives_a_jump(application: Application, clock: SetClock, make_run: MakeRun) -> None:
    """Paging that began before the clock was set back continues correctly; newer arrivals stay out."""
    first = [make_run(start_time=at(number)) for number in range(10)]
    upload(application, first)
    page = application.read(partial(list_runs, RunFilter(), PageRequest(limit=4), Limits()))
    clock.time -= timedelta(days=1)
    upload(application, [make_run(start_time=at(20))])
    rest = application.read(partial(list_runs, RunFilter(), PageRequest(limit=100, cursor=page.next_cursor), Limits()))
    assert [run.event_id for run in (*page.runs, *rest.runs)] == [run["event_id"] for run in reversed(first)]


@pytest.mark.parametrize("shift", SHIFTS)
def test_changes_are_stamped_with_what_the_clock_says(
    application: Application, clock: SetClock, make_run: MakeRun, shift: timedelta
) -> None:
    """A change is accepted with ``updated_at`` before ``created_at``, and the last one written counts."""
    (run,) = upload(application, [make_run()]).runs
    clock.time += shift
    changes = application.structurer.changes({"status": "success", "end_time": "2020-01-01T00:00:00Z"})
    updated = application.write(partial(update_run, run.event_id, changes, clock.now())).result(HANG_GUARD_SECONDS)
    assert (updated.created_at, updated.updated_at) == (run.created_at, format_timestamp(clock.time))
    commit = application.structurer.commit({"commit_hash": "abcdef1", "commit_source": "ci"})
    command = partial(associate_commit, EventId(run.event_id), commit, clock.now())
    assert application.write(command).result(HANG_GUARD_SECONDS).updated_at == format_timestamp(clock.time)


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00Z", "0001-01-02T00:00:00Z", "9999-12-30T00:00:00Z"])
def test_runs_from_any_time_are_taken(application: Application, make_run: MakeRun, start: str) -> None:
    """A client whose clock is wrong or was never set is not rejected for it."""
    assert upload(application, [make_run(start_time=start)]).created == 1


def test_deadlines_do_not_follow_the_clock(
    application: Application, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps a day ahead in the middle of a read does not abort the read."""
    upload(application, [make_run() for _ in range(500)])
    monkeypatch.setattr(store_module, "PROGRESS_STEPS", 100)
    now = time.time()
    with application.store.reader() as runs:
        monkeypatch.setattr(time, "time", lambda: now + 86_400)
        assert runs.count(RunFilter(start_time_from=Timestamp(at(0)))) == 500
