"""Admission control: bound the bytes in flight and estimate when to retry."""

import math
import time
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from types import TracebackType
from typing import Final, Self

from entrypoints.http.rejections import Reason, RejectedRequestError

MEMORY_SECONDS: Final = 10.0
"""Time constant of the average throughput: a sample loses two thirds of its weight in this time."""

UNCOUNTED_BYTES: Final = 64 * 1024
"""A response up to this size is handed to the kernel or its connection's buffer at once."""

MAX_RETRY_SECONDS: Final = 60
"""Maximum ``Retry-After``: the recent throughput predicts nothing beyond it."""


class OverloadedError(RejectedRequestError):
    """No capacity for a request now; nothing was done. ``retry_after`` is in whole seconds."""

    def __init__(self, detail: str, retry_after: int, reason: Reason) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(retry_after)}, reason=reason)
        self.retry_after = retry_after


class AdmissionControl:
    """The bytes in flight of all requests of one kind, from arrival until the response is sent.

    Bytes count once they arrive, not when ``Content-Length`` announces them: otherwise a client that announces much
    and sends nothing would block all others. A request that is alone is admitted whatever its size. ``what`` describes
    the bytes in error messages, ``reason`` in the metrics. Thread-safe.
    """

    def __init__(self, limit: int, what: str, reason: Reason, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.held = 0
        self._what = what
        self._reason = reason
        self._clock = clock
        self._lock = Lock()
        self._pressed = False
        # Both decay at the same rate, so their quotient is the recent throughput over busy time.
        self._drained_bytes = 0.0
        self._busy_seconds = 0.0
        self._counted_until = 0.0

    def lease(self) -> "Lease":
        """Return the lease of one request, initially empty."""
        return Lease(self)

    def take_pressure(self) -> bool:
        """Return whether a request was rejected since the last call."""
        pressed, self._pressed = self._pressed, False
        return pressed

    def check(self, more: int, own: int = 0) -> None:
        """Raise ``OverloadedError`` if ``more`` bytes do not fit beside those of other requests."""
        others = self.held - own
        if others and self.held + more > self.limit:
            self._pressed = True
            retry_after = self.retry_after()
            raise OverloadedError(
                f"more than {self.limit} bytes {self._what} (max_queue_bytes); retry in {retry_after} s",
                retry_after,
                self._reason,
            )

    def admit(self, lease: "Lease", more: int) -> None:
        """Count ``more`` bytes for a request, or raise ``OverloadedError``."""
        with self._lock:
            if not lease.released:
                self.check(more, lease.size)
                self._count(lease, more)

    def try_admit(self, lease: "Lease", more: int) -> bool:
        """Count more bytes for a request if there is room; return whether there was."""
        with self._lock:
            if lease.released:
                return True
            others = self.held - lease.size
            if others and self.held + more > self.limit:
                return False
            self._count(lease, more)
            return True

    def force(self, lease: "Lease", size: int) -> None:
        """Count exactly ``size`` bytes for a request, which can no longer be rejected."""
        with self._lock:
            if not lease.released:
                self._count(lease, size - lease.size)

    def release(self, lease: "Lease", *, processed: bool) -> None:
        """Release the bytes of a request, and update the throughput if they were processed."""
        with self._lock:
            if processed:
                self._note_processed(lease.size)
            self.held -= lease.size
            lease.size, lease.released = 0, True

    def retry_after(self) -> int:
        """Return the seconds until the bytes held now are processed at the recent throughput, at least 1."""
        waiting = self._clock() - self._counted_until if self.held else 0.0
        busy = self._busy_seconds + waiting
        # Before anything has finished, the time waited so far is the best estimate.
        estimate = self.held * busy / self._drained_bytes if self._drained_bytes else busy
        return max(1, min(MAX_RETRY_SECONDS, math.ceil(estimate)))

    def _count(self, lease: "Lease", more: int) -> None:
        if not self.held:
            self._counted_until = self._clock()
        self.held += more
        lease.size += more

    def _note_processed(self, size: int) -> None:
        now = self._clock()
        passed = now - self._counted_until
        faded = math.exp(-passed / MEMORY_SECONDS)
        self._drained_bytes = self._drained_bytes * faded + size
        self._busy_seconds = self._busy_seconds * faded + passed
        self._counted_until = now


class Lease:
    """The bytes in flight of one request, released on leaving the block.

    The client may be gone before the threads that work for it are done. What they ask for afterwards is neither counted
    nor rejected: nobody would release it, and nobody is told.
    """

    def __init__(self, admission: AdmissionControl) -> None:
        self._admission = admission
        self._rejected = False
        self.size = 0
        """The bytes counted; changed by the admission control alone."""
        self.released = False
        """Whether the block was left; set by the admission control alone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A rejected request, or one without bytes, says nothing about throughput.
        self._admission.release(self, processed=self.size > 0 and not self._rejected)

    def require(self, size: int) -> None:
        """Raise ``OverloadedError`` if a body of this size would not fit now; reserve nothing."""
        try:
            self._admission.check(size, self.size)
        except OverloadedError:
            self._rejected = True
            raise

    def grow(self, size: int) -> None:
        """Reserve ``size`` more bytes, or raise ``OverloadedError``."""
        try:
            self._admission.admit(self, size)
        except OverloadedError:
            self._rejected = True
            raise

    def try_grow(self, size: int) -> bool:
        """Take room for more bytes if there is any; return whether there was."""
        return self._admission.try_admit(self, size)

    def cover(self, size: int) -> None:
        """Reserve at least ``size`` bytes in total, or raise ``OverloadedError``."""
        if size > self.size:
            self.grow(size - self.size)

    def hold(self, size: int) -> None:
        """Hold so many bytes at least, whatever others hold. Few do not count: they wait in the kernel."""
        if size > max(self.size, UNCOUNTED_BYTES):
            self.resize(size)

    def resize(self, size: int) -> None:
        """Hold exactly ``size`` bytes, whatever others hold: for the next part of a response already begun."""
        self._admission.force(self, size)
