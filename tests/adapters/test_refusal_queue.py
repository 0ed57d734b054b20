"""Refused runs on their way to where they are kept: never at the cost of whoever uploads."""

import logging
from collections.abc import Iterator

import pytest

from adapters import refusal_queue
from adapters.refusal_queue import MAX_WAITING_BYTES, RefusalQueue
from core.errors import StoreBusyError
from core.model.batch import MAX_SENT_BYTES, RefusedRun, Sent
from core.model.refusal import RefusalFilter, RefusalPageRequest
from core.model.run import Run, Timestamp
from core.model.validation_error import ValidationError
from tests.contract.samples import at, sample_run
from tests.fakes.clock import StoppedClock
from tests.fakes.refusal_repository import ObservedRefusals
from tests.jobs import wait_until

NOW = Timestamp(at(7))
ERRORS = (ValidationError("start_time", "is bad"),)
LARGE = Sent.of(b"x" * MAX_SENT_BYTES)
FITTING = MAX_WAITING_BYTES // (MAX_SENT_BYTES + 512)
"""So many large runs may wait."""


def encode(run: Run) -> bytes:
    """Write a run in a way that a test recognises."""
    return f"<{run.event_id}>".encode()


def refused(name: str, sent: Sent | Run | None = None) -> RefusedRun:
    """Return a refused run."""
    return RefusedRun(0, name, None, ERRORS, sent=sent or Sent.of(b"{}"))


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> ObservedRefusals:
    """Return where the runs go; a failure is followed by no pause."""
    monkeypatch.setattr(refusal_queue, "PAUSE_SECONDS", 0.0)
    return ObservedRefusals()


@pytest.fixture
def queue(repository: ObservedRefusals) -> Iterator[RefusalQueue]:
    """Start a queue, which has looked at the bounds already, and close it in the end."""
    made = RefusalQueue(repository, StoppedClock(NOW), encode)
    wait_until(lambda: repository.additions)
    yield made
    repository.allowed.set()
    made.close()
    assert repository.closed


def hold_up(queue: RefusalQueue, repository: ObservedRefusals) -> None:
    """Let the thread be busy with a run of its own."""
    repository.reached.clear()
    repository.allowed.clear()
    queue.put([refused("first")])
    repository.reached.wait()


def names(repository: ObservedRefusals) -> list[str | None]:
    """Return what is kept, in order."""
    page = repository.page(RefusalFilter(), RefusalPageRequest(limit=1000, max_bytes=1 << 40))
    return [kept.event_id for kept in reversed(page.refusals)]


def test_bounds_are_applied_at_the_start(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """A smaller number takes effect before anything is refused."""
    assert (repository.additions, queue.count_dropped()) == ([0], 0)


def test_what_is_put_is_kept(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """In order, with the time and what was sent; a valid run is written anew."""
    queue.put([refused("a"), refused("b", sample_run("run"))])
    queue.put([refused("c")])
    queue.close()
    assert names(repository) == ["a", "b", "c"]
    page = repository.page(RefusalFilter(), RefusalPageRequest())
    assert [(kept.received_at, kept.body) for kept in page.refusals] == [(NOW, "{}"), (NOW, "<run>"), (NOW, "{}")]


def test_putting_never_waits(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """While nothing can be written, runs wait up to a bound; beyond it the oldest are dropped and counted."""
    hold_up(queue, repository)
    for number in range(FITTING + 5):
        queue.put([refused(f"{number}", LARGE)])
    assert queue.count_dropped() == 5
    repository.allowed.set()
    queue.close()
    assert names(repository) == ["first", *map(str, range(5, FITTING + 5))]


def test_of_many_at_once_the_last_are_kept(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """As many as fit; large runs that were valid count as well."""
    hold_up(queue, repository)
    large = sample_run("run", input_summary="x" * MAX_SENT_BYTES)
    queue.put([refused(f"{number}", large) for number in range(FITTING + 20)])
    assert queue.count_dropped() >= 20
    repository.allowed.set()
    queue.close()
    assert names(repository) == ["first", *map(str, range(queue.count_dropped(), FITTING + 20))]


def test_one_large_run_takes_the_place_of_several(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """The oldest ones go until it fits."""
    hold_up(queue, repository)
    queue.put([refused(f"{number}", LARGE) for number in range(FITTING)])
    queue.put([refused("large", sample_run("run", input_summary="x" * 4 * MAX_SENT_BYTES))])
    dropped = queue.count_dropped()
    assert dropped in (3, 4)
    repository.allowed.set()
    queue.close()
    assert names(repository) == ["first", *map(str, range(dropped, FITTING)), "large"]


def test_after_a_failure_it_goes_on(
    repository: ObservedRefusals, queue: RefusalQueue, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be written is dropped and counted, and the log says why, not more than once in a while."""
    with caplog.at_level(logging.WARNING, "runsink"):
        for number, failure in enumerate((StoreBusyError("it is locked"), ValueError("canary")), 1):
            repository.fails = failure
            queue.put([refused("lost"), refused("lost too")])
            wait_until(lambda dropped=2 * number: queue.count_dropped() == dropped)
    repository.fails = None
    queue.put([refused("kept")])
    queue.close()
    assert names(repository) == ["kept"]
    assert caplog.messages == ["rejected runs could not be kept: it is locked; 2 dropped"]


def test_an_error_of_the_program_shows_no_run(
    repository: ObservedRefusals, queue: RefusalQueue, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message may quote what was sent, so only its kind is logged."""
    repository.fails = ValueError("canary")
    with caplog.at_level(logging.WARNING, "runsink"):
        queue.put([refused("lost")])
        wait_until(lambda: caplog.messages)
    assert caplog.messages == ["rejected runs could not be kept: the program failed with ValueError; 1 dropped"]


def test_closing_writes_what_waits(repository: ObservedRefusals, queue: RefusalQueue) -> None:
    """And what comes later is dropped; closing again does nothing."""
    hold_up(queue, repository)
    queue.put([refused("second")])
    queue.close(within=0)
    queue.put([refused("late")])
    assert queue.count_dropped() == 1
    repository.allowed.set()
    queue.close()
    assert names(repository) == ["first", "second"]
