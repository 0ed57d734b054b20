"""A time limit that several waits share."""

import time


class Deadline:
    """Ends this many seconds from now, or never."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, at least 0; ``None`` if it never ends."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)
