"""Clocks that tests set."""

from datetime import UTC, datetime, timedelta

from core.model.run import Timestamp
from core.ports.clock import Clock
from core.validation.fields import format_timestamp


class StoppedClock(Clock):
    """Always tells the same instant."""

    def __init__(self, instant: Timestamp) -> None:
        self._instant = instant

    def now(self) -> Timestamp:
        return self._instant


class SteppedClock(Clock):
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.step = 0

    def now(self) -> Timestamp:
        return Timestamp(f"2026-06-01T00:00:00.{self.step:06}Z")


class SetClock(Clock):
    """Goes on from wherever it was set to, a second each time it is asked."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def now(self) -> Timestamp:
        self.time += timedelta(seconds=1)
        return format_timestamp(self.time)
