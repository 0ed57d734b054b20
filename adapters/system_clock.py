"""The clock of the operating system."""

from datetime import UTC, datetime

from core.ports.clock import Clock
from core.rules import format_timestamp
from core.run import Timestamp


class SystemClock(Clock):
    """Reads the time of day from the operating system."""

    def now(self) -> Timestamp:
        return format_timestamp(datetime.now(UTC))
