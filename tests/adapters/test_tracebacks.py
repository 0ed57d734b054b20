"""What errors keep in memory."""

import gc
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from adapters.group_commit import GroupCommitWriter
from adapters.sqlite import SqliteStore
from adapters.tracebacks import release_locals
from core.model.run import Run, Text
from core.use_cases.ingest import Mode, Upload, ingest_all
from tests.contract.samples import HANG_GUARD_SECONDS, sample_run


class _Body:
    """Something large that a request sent."""


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Leave garbage uncollected, so that only what nothing refers to is freed."""
    gc.disable()
    yield
    gc.enable()


def _fail_in_cycle(body: _Body) -> None:
    future: Future[None] = Future()
    error = ValueError(f"a body of {type(body).__name__}")
    future.set_exception(error)
    future.result()


def _fail_from_cause(body: _Body) -> None:
    try:
        _fail_in_cycle(body)
    except ValueError as error:
        raise LookupError from error


def _fail_hiding_cause(body: _Body) -> None:
    try:
        _fail_in_cycle(body)
    except ValueError:
        raise LookupError from None


def _fail_in_group(body: _Body) -> None:
    errors: list[Exception] = []
    try:
        _fail_in_cycle(body)
    except ValueError as error:
        errors.append(error)
    raise ExceptionGroup("group", errors)


_FAILURES = [_fail_in_cycle, _fail_from_cause, _fail_hiding_cause, _fail_in_group]


def _kept_after(fail: Callable[[_Body], None], handle: Callable[[BaseException], object]) -> weakref.ref[_Body]:
    body = _Body()
    try:
        fail(body)
    except Exception as error:  # noqa: BLE001 - whichever it is
        handle(error)
    return weakref.ref(body)


@pytest.mark.parametrize("fail", _FAILURES)
def test_what_a_failure_was_about_is_freed(fail: Callable[[_Body], None]) -> None:
    """Unless its frames are released it stays, until the garbage collector finds the cycle."""
    assert _kept_after(fail, repr)() is not None
    assert _kept_after(fail, release_locals)() is None


@pytest.mark.parametrize("fail", _FAILURES)
def test_the_lines_of_the_traceback_remain(fail: Callable[[_Body], None]) -> None:
    """A log still shows where an error came from."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is
        fail(_Body())
    before = traceback.format_exception(caught.value)
    release_locals(caught.value)
    assert traceback.format_exception(caught.value) == before


class _NoRoomError(Exception):
    """The runs of a result do not fit in memory now."""


@pytest.mark.parametrize("together", [1, 2])
def test_an_upload_without_room_keeps_nothing_that_was_read(tmp_path: Path, together: int) -> None:
    """Its error may wait in the event loop; the stored runs, which have no room, do not wait with it."""
    # Keys of its own: what other tests left is not collected either.
    sent = [sample_run(f"{key}{together}", output_summary=Text("x" * 300_000)) for key in "ab"]

    def reject(size: int) -> None:
        raise _NoRoomError(size)

    begun, queued = Event(), Event()

    def hold(_work: object) -> None:
        begun.set()
        assert queued.wait(HANG_GUARD_SECONDS)

    with closing(SqliteStore(tmp_path / "runs.db")) as store, closing(GroupCommitWriter(store)) as writer:
        writer.submit_item(ingest_all, Upload(Mode.LENIENT, sent)).result(HANG_GUARD_SECONDS)
        holding = writer.submit(hold)
        assert begun.wait(HANG_GUARD_SECONDS)
        rejected = [writer.submit_item(ingest_all, Upload(Mode.LENIENT, sent, reject)) for _ in range(together)]
        queued.set()
        holding.result(HANG_GUARD_SECONDS)
        errors = [future.exception(HANG_GUARD_SECONDS) for future in rejected]
        read = [kept for kept in gc.get_objects() if type(kept) is Run and not any(kept is run for run in sent)]
    assert [type(error) for error in errors] == [_NoRoomError] * together
    assert [run.event_id for run in read if run in sent] == []
