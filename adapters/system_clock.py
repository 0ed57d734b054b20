"""The clock of the operating system."""

from datetime import UTC, datetime

from core.model.run import Timestamp
from core.ports.clock import Clock
from core.validation.fields import format_timestamp


class SystemClock(Clock):
    """Reads the time of day from the operating system."""

    def now(self) -> Timestamp:
        return format_timestamp(datetime.now(UTC))
