"""When a request is sent again, and after what delay."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.api_client.retry import RetryPolicy, is_retried, parse_retry_after

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def most(_low: float, high: float) -> float:
    """Draw the greatest number."""
    return high


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_passing_failures_are_retried(status: int) -> None:
    """What may succeed later is sent again."""
    assert is_retried(status)


@pytest.mark.parametrize("status", [200, 201, 207, 400, 401, 403, 404, 413, 415, 422, 501])
def test_everything_else_is_not(status: int) -> None:
    """A success and what would be refused again are final, and so is the 500 that counts what was stored."""
    assert not is_retried(status)
    assert not is_retried(500, with_counts=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, 999999999.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Both forms are read; what is neither asks nothing."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_any_header_is_survived(value: str) -> None:
    """No text makes it fail or wait a negative time."""
    assert (parse_retry_after(value, NOW) or 0) >= 0


def test_the_bound_doubles() -> None:
    """Delays are drawn from 0 to a bound that doubles until it is reached."""
    policy = RetryPolicy(first_delay=0.5, max_delay=3.0)
    assert [policy.delay(failures, uniform=most) for failures in (1, 2, 3, 4, 5, 5000)] == [0.5, 1, 2, 3, 3, 3]
    assert policy.delay(3, uniform=lambda low, _high: low) == 0


def test_retry_after_is_the_least_and_bounded() -> None:
    """The server's number is waited for, up to a bound, with the jitter on top."""
    policy = RetryPolicy(first_delay=0.5, max_retry_after=60)
    assert policy.delay(1, 10.0, most) == 10.5
    assert policy.delay(1, 10_000.0, most) == 60.5


def test_a_series_ends() -> None:
    """The last attempt begins when the time is up; nothing is waited for that lies beyond it."""
    clock = FakeClock()
    attempts = RetryPolicy(seconds=10, first_delay=8, max_delay=8).begin(clock, most)
    assert attempts.failed() == 8
    clock.now = 8
    assert attempts.failed(5.0) is None
    assert attempts.failed() == 2
    clock.now = 10
    assert attempts.failed() is None
    attempts.succeeded()
    assert attempts.failed() == 8


def test_no_time_is_one_attempt() -> None:
    """With 0 seconds nothing is sent again."""
    assert RetryPolicy(seconds=0).begin().failed() is None
