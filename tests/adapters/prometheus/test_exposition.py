"""What a scrape shows: one process, or several with a board between them."""

import time

import pytest

from adapters.prometheus import Board, Exposition, Metrics, bury, exposition
from core.model.job import JobState
from core.model.store_figures import StoreFigures
from core.ports.observer import Intake
from tests.contract.samples import HANG_GUARD_SECONDS
from tests.metrics import OPENMETRICS, Scraped
from tests.servers import DEADLINE_SECONDS

JOBS = dict.fromkeys(JobState, 0)


def process(board: Board | None = None, slot: int = 0) -> Exposition:
    """Return the metrics of a new process."""
    return Exposition(Metrics("1.2.3", ["token"]), board, slot)


def count(who: Exposition, created: int) -> None:
    """Have a process count new runs."""
    who.metrics.note_runs(Intake.LENIENT, created=created, existing=0, failed=0)


def shown(who: Exposition, figures: StoreFigures | None = None, *, store_up: bool = True) -> Scraped:
    """Return what a process responds to a scrape."""
    body, _ = who.render("", figures, store_up=store_up)
    return Scraped(body.decode())


def created_runs(scraped: Scraped) -> float:
    """Return how many runs were created."""
    return scraped.value("runsink_runs_total", endpoint="lenient", outcome="created")


def test_every_process_shows_the_sum_of_all() -> None:
    """What each has published is in the response of any; one shows its own counts at once."""
    board = Board(2)
    one, other = process(board, 0), process(board, 1)
    count(one, 3)
    count(other, 4)
    shown(one)
    for who in (other, one):
        scraped = shown(who)
        assert created_runs(scraped) == 7
        assert scraped.value("runsink_workers") == 2
        assert scraped.value("runsink_build_info", version="1.2.3") == 1
        assert scraped.value("runsink_batch_runs_bucket", endpoint="lenient", le="+Inf") == 2


def test_a_successor_goes_on_counting_where_the_dead_one_ended() -> None:
    """Nothing that was shown is taken back, and what the dead one had at that moment is gone."""
    board = Board(2)
    one, dead = process(board, 0), process(board, 1)
    count(dead, 4)
    before = shown(dead)
    assert before.value("runsink_workers") == 1
    shown(one)
    bury(board, 1)
    buried = shown(one)
    assert created_runs(buried) == 4
    assert buried.value("runsink_workers") == 1
    successor = process(board, 1)
    count(successor, 1)
    after = shown(successor)
    assert created_runs(after) == 5
    assert after.value("runsink_workers") == 2
    fallen = {key for key, value in before.growing().items() if value > after.samples[key]}
    assert fallen == set()


def test_a_process_publishes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others show what a process counted without it being asked; with its end it stops."""
    monkeypatch.setattr(exposition, "PUBLISH_SECONDS", 0.01)
    board = Board(2)
    one, other = process(board, 0), process(board, 1)
    with other.published(), one.published():
        count(other, 4)
        for _ in range(100 * DEADLINE_SECONDS):
            if created_runs(shown(one)) == 4:
                break
            time.sleep(0.01)
        else:
            pytest.fail("it was not published")


def test_a_single_process_has_no_board_and_no_thread() -> None:
    """It shows its own counts."""
    who = process()
    with who.published():
        count(who, 2)
        assert created_runs(shown(who)) == 2


def test_the_size_of_the_store_is_shown_as_far_as_it_is_known() -> None:
    """Unknown sizes are left out; what was measured last stays when the store does not respond."""
    nothing = shown(process(), store_up=False)
    assert nothing.value("runsink_store_up") == 0
    assert "runsink_jobs" not in nothing.kinds
    remote = StoreFigures(
        jobs={**JOBS, JobState.FAILED: 2}, database_bytes=10, oldest_transaction_seconds=HANG_GUARD_SECONDS
    )
    scraped = shown(process(), remote, store_up=True)
    assert scraped.value("runsink_store_up") == 1
    assert scraped.value("runsink_jobs", state="failed") == 2
    assert scraped.value("runsink_database_bytes") == 10
    assert scraped.value("runsink_oldest_reader_seconds") == HANG_GUARD_SECONDS
    assert {"runsink_wal_bytes", "runsink_disk_free_bytes"}.isdisjoint(scraped.kinds)
    local = StoreFigures(jobs=JOBS, database_bytes=10, wal_bytes=0, free_bytes=7)
    assert shown(process(), local, store_up=False).value("runsink_disk_free_bytes") == 7


def test_a_reader_counts_from_the_first_checkpoint_that_it_holds_up_until_one_is_complete() -> None:
    """The age includes the time of that checkpoint."""
    who = process()
    assert shown(who).value("runsink_oldest_reader_seconds") == 0
    who.metrics.note_checkpoint(100.0, complete=False)
    who.metrics.note_checkpoint(1.0, complete=False)
    assert shown(who).value("runsink_oldest_reader_seconds") >= 100
    who.metrics.note_checkpoint(1.0, complete=True)
    assert shown(who).value("runsink_oldest_reader_seconds") == 0
    assert shown(who).value("runsink_checkpoint_duration_seconds_count") == 3
    who.metrics.note_checkpoint(100.0, complete=False)
    who.metrics.note_wal_restart()
    assert shown(who).value("runsink_oldest_reader_seconds") == 0


def test_dropped_log_lines_are_read_when_somebody_asks() -> None:
    """Until somebody says where they are counted, there are none."""
    who = process()
    assert shown(who).value("runsink_log_lines_dropped_total") == 0
    who.metrics.watch_dropped_log_lines(lambda: 5)
    assert shown(who).value("runsink_log_lines_dropped_total") == 5


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=\r\nX-Evil: 1", OPENMETRICS),
        ("Application/OpenMetrics-Text;version=1.0.0;q=0.5,text/plain;q=0.1", OPENMETRICS),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(accept: str, kind: str) -> None:
    """OpenMetrics where it is named; nothing that a client sends comes back in the type."""
    body, content_type = process().render(accept, None, store_up=True)
    assert content_type.startswith(kind)
    assert "Evil" not in content_type
    assert Scraped(body.decode(), as_openmetrics=kind == OPENMETRICS).kinds
    assert body.endswith(b"# EOF\n") == (kind == OPENMETRICS)
