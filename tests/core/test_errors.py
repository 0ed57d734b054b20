"""The exception hierarchy, and its messages."""

import inspect

import pytest

from core import errors
from core.errors import (
    InvalidFieldsError,
    RunNotFoundError,
    RunsinkError,
    StoreBusyError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreForkedError,
    StoreFullError,
    StoreTimeoutError,
    StoreUnusableError,
)
from core.model.validation_error import ValidationError

FAMILY = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, Exception)]


@pytest.mark.parametrize("error", FAMILY)
def test_every_error_belongs_to_the_family(error: type[Exception]) -> None:
    """``except RunsinkError`` catches every deliberate error, and each is documented."""
    assert issubclass(error, RunsinkError)
    assert error.__doc__


@pytest.mark.parametrize(
    "error",
    [
        StoreBusyError,
        StoreClosedError,
        StoreDamagedError,
        StoreForkedError,
        StoreFullError,
        StoreTimeoutError,
        StoreUnusableError,
    ],
)
def test_every_failure_of_a_store_is_a_store_error(error: type[Exception]) -> None:
    """``except StoreError`` catches every failure of the store."""
    assert issubclass(error, StoreError)


def test_a_missing_run_is_named() -> None:
    """The message names the key, which is also an attribute."""
    error = RunNotFoundError("launch-1")
    assert (str(error), error.key) == ("Run not found: launch-1", "launch-1")


def test_faults_are_joined() -> None:
    """Several errors are joined into one text, and an error without a field speaks of ``it``."""
    errors = (ValidationError("status", "is bad"), ValidationError(None, "must be a JSON object, not null"))
    assert str(InvalidFieldsError(errors)) == "status is bad; it must be a JSON object, not null"
    assert InvalidFieldsError(errors).errors == errors
