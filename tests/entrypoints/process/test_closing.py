"""Closing what a process runs: the steps share the time that is left."""

from typing import Any, cast

import attrs
import pytest

from adapters import deadline as deadlines
from adapters.deadline import Deadline
from adapters.memory import MemoryStore
from adapters.system_clock import SystemClock
from core.model.limits import Limits
from entrypoints.application import Application
from entrypoints.process.job_service import JobService
from entrypoints.process.worker import close_all


@attrs.define
class Clock:
    """A monotonic clock that stands still."""

    now: float = 100.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@attrs.define
class Slow:
    """Takes two seconds to close, and notes how long it was allowed to."""

    clock: Clock
    allowed: list[float | None] = attrs.field(factory=list)

    def close(self, within: float | None = None) -> bool:
        """Let time pass."""
        self.allowed.append(within)
        self.clock.now += 2
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of deadlines."""
    made = Clock()
    monkeypatch.setattr(deadlines, "time", made)
    return made


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10.0, [10.0, 8.0, 6.0]), (3.0, [3.0, 1.0, 0.0]), (None, [None, None, None])]
)
def test_jobs_writes_and_refusals_share_one_deadline(
    clock: Clock, seconds: float | None, expected: list[float | None]
) -> None:
    """Each may take what those before it have left; without a limit, as long as it takes."""
    slow = Slow(clock)
    whole = Application.over(MemoryStore(), SystemClock(), Limits())
    application = attrs.evolve(whole, writer=cast(Any, slow), refusals=cast(Any, slow))
    close_all(cast(JobService, slow), application, Deadline(seconds))
    whole.close()
    assert slow.allowed == expected
