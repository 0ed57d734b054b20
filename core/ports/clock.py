"""The port for the current time."""

from typing import Protocol

from core.model.run import Timestamp


class Clock(Protocol):
    """Tells the time. Safe to call from any thread. It may jump back or forward: nothing relies on its order."""

    def now(self) -> Timestamp:
        """Return the current time in UTC, to the microsecond."""
        ...
