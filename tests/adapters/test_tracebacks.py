"""What errors keep in memory."""

import gc
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from adapters.tracebacks import release_locals


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
