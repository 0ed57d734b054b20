"""How much may wait to be written, in bytes, and when it is worth coming again."""

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from core.errors import OverloadedError

MEMORY_SECONDS: Final = 10.0
"""How long the speed of a moment counts for the speed of now: it loses two thirds of its weight in that time."""

MAX_RETRY_SECONDS: Final = 60
"""Nothing that happens later than this can be told from the speed of the last seconds."""


class Backlog:
    """The bytes of all bodies between their arrival and the end of their request: received, decoded, written.

    What has arrived counts, and not what a client says that it will send: a client that says much and sends nothing
    would keep out all others. A request that is alone is let in whatever its size. Belongs to one event loop.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.held = 0
        self._clock = clock
        # Both fade alike, so that their quotient is the speed of late, counted while there was something to do.
        self._drained_bytes = 0.0
        self._busy_seconds = 0.0
        self._counted_until = 0.0

    def lease(self) -> "Lease":
        """The share of one request, empty at first."""
        return Lease(self)

    def check(self, more: int, own: int = 0) -> None:
        """Raise ``OverloadedError`` if there is no room for more bytes beside what others hold."""
        others = self.held - own
        if others and self.held + more > self.limit:
            raise OverloadedError(self.limit, self.retry_after())

    def take(self, size: int) -> None:
        """Count bytes that have arrived."""
        if not self.held:
            self._counted_until = self._clock()
        self.held += size

    def give_back(self, size: int) -> None:
        """Forget bytes that were not worked on."""
        self.held -= size

    def finish(self, size: int) -> None:
        """Forget bytes that are done with, and note how long that took."""
        now = self._clock()
        passed = now - self._counted_until
        faded = math.exp(-passed / MEMORY_SECONDS)
        self._drained_bytes = self._drained_bytes * faded + size
        self._busy_seconds = self._busy_seconds * faded + passed
        self._counted_until = now
        self.held -= size

    def retry_after(self) -> int:
        """In how many seconds what waits now will be done, at the speed of late; at least 1."""
        waiting = self._clock() - self._counted_until if self.held else 0.0
        busy = self._busy_seconds + waiting
        # Before anything was ever done, the time that has been waited is the best that is known.
        estimate = self.held * busy / self._drained_bytes if self._drained_bytes else busy
        return max(1, min(MAX_RETRY_SECONDS, math.ceil(estimate)))


class Lease:
    """The bytes that one request holds of the backlog; leaving the block lets go of them."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OverloadedError):
            self._backlog.give_back(self._size)
        elif self._size:
            self._backlog.finish(self._size)

    def require(self, size: int) -> None:
        """Raise ``OverloadedError`` if a body of that size has no room now; it takes none yet."""
        self._backlog.check(size, self._size)

    def grow(self, size: int) -> None:
        """Take room for bytes that have arrived, or raise ``OverloadedError``."""
        self._backlog.check(size, self._size)
        self._backlog.take(size)
        self._size += size
