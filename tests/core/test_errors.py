"""One family of errors, whose texts are fit for an answer."""

import inspect

import pytest

from core import errors
from core.errors import (
    BatchTooLargeError,
    InvalidFieldsError,
    NotABatchError,
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
from core.model.batch import Fault, Limits

FAMILY = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, Exception)]


@pytest.mark.parametrize("error", FAMILY)
def test_every_error_belongs_to_the_family(error: type[Exception]) -> None:
    """One ``except RunsinkError`` catches all that the product raises on purpose, and each says what it is."""
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
    """Whoever guards against a failing store needs one name."""
    assert issubclass(error, StoreError)


def test_a_missing_run_is_named() -> None:
    """The text names the key, which is also there for programs."""
    error = RunNotFoundError("launch-1")
    assert (str(error), error.key) == ("Run not found: launch-1", "launch-1")


def test_faults_are_joined() -> None:
    """Several faults make one text, and a fault of the whole speaks of ``it``."""
    faults = (Fault("status", "is bad"), Fault(None, "must be a JSON object, not null"))
    assert str(InvalidFieldsError(faults)) == "status is bad; it must be a JSON object, not null"
    assert InvalidFieldsError(faults).faults == faults


@pytest.mark.parametrize("size", [1, 999, 1000])
def test_a_batch_of_one_to_a_thousand_is_taken(size: int) -> None:
    """The limits of the contract, both ends included."""
    assert Limits().check_batch_size(size) is None  # type: ignore[func-returns-value]


def test_an_empty_batch_is_none() -> None:
    """The text says ``at least 1`` and the place is that of the runs."""
    with pytest.raises(NotABatchError, match="at least 1") as caught:
        Limits().check_batch_size(0)
    assert caught.value.place == ("body", "runs")


def test_a_batch_too_large_says_both_numbers() -> None:
    """The text is the contract's, the numbers are there for programs."""
    with pytest.raises(BatchTooLargeError, match=r"^Batch size 1001 exceeds maximum limit of 1000 runs$") as caught:
        Limits().check_batch_size(1001)
    assert (caught.value.size, caught.value.limit) == (1001, 1000)
