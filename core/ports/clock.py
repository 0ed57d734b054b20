"""The port to the time of day."""

from typing import Protocol

from core.model.run import Timestamp


class Clock(Protocol):
    """Tells the time. Callable from any thread. It may be set back or forward: nothing relies on its order."""

    def now(self) -> Timestamp:
        """The present instant, in UTC, to the microsecond."""
        ...
