"""Every sentence of ``core.ports.clock``, for the clock of the operating system."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from adapters import system_clock
from adapters.system_clock import SystemClock
from core.validation.fields import parse_timestamp


def test_now_is_in_its_kept_form() -> None:
    """The instant is in UTC, to the microsecond, and in its stored form."""
    now = SystemClock().now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", now)
    assert parse_timestamp(now) == now


def test_now_lies_between_two_looks_at_the_time() -> None:
    """The clock tells the current time, whatever the machine's time zone."""
    before = datetime.now(UTC)
    now = datetime.fromisoformat(SystemClock().now())
    assert before <= now <= datetime.now(UTC)


def test_a_whole_second_keeps_its_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant without a fraction has six zeros, so that text order is time order."""

    class WholeSecond(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "WholeSecond":
            assert tz is UTC
            return cls(2026, 1, 31, 12, tzinfo=UTC)

    monkeypatch.setattr(system_clock, "datetime", WholeSecond)
    assert SystemClock().now() == "2026-01-31T12:00:00.000000Z"


def test_any_thread_may_ask() -> None:
    """Several threads can share one clock."""
    clock = SystemClock()
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: clock.now(), range(100)))
    assert [parse_timestamp(now) for now in told] == told
