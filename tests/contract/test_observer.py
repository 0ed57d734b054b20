"""Every sentence of ``core.ports.observer``, for every observer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.prometheus import Exposition, Metrics
from core.ports.observer import Intake, Observer, Unobserved
from tests.fakes.observer import RecordingObserver
from tests.metrics import Scraped


def make_metrics() -> Metrics:
    """Return the metrics of a process."""
    return Metrics("1", [])


@pytest.mark.parametrize("make", [make_metrics, Unobserved, RecordingObserver])
def test_anything_may_be_noted_from_any_thread(make: Callable[[], Observer]) -> None:
    """Nothing is returned or raised, whatever is noted and however often."""
    observer = make()

    def note(intake: Intake) -> None:
        observer.note_runs(intake, created=0, existing=0, failed=0)
        observer.note_runs(intake, created=1, existing=2, failed=3)

    observer.note_commit(1, 0.0, 0.0)
    observer.note_failed_commit()
    for complete in (False, False, True, True):
        observer.note_checkpoint(0.0, complete=complete)
        observer.note_wal_restart()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(note, [*Intake] * 20)) == {None}


def test_nothing_that_is_noted_at_the_same_time_is_lost() -> None:
    """Uploads end in the event loop while a job ends a chunk in its own thread."""
    metrics = make_metrics()

    def note(_: int) -> None:
        for _ in range(100):
            metrics.note_runs(Intake.JOB, created=1, existing=0, failed=2)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(note, range(8)))
    scraped = Scraped(Exposition(metrics).render("", None, store_up=True)[0].decode())
    assert scraped.value("runsink_runs_total", endpoint="job", outcome="created") == 800
    assert scraped.value("runsink_runs_total", endpoint="job", outcome="failed") == 1600
