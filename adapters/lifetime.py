"""How long a store may be used: until it is closed, and only in the process that opened it."""

import os
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from core.errors import StoreClosedError, StoreForkedError


class Lifetime:
    """A lock that cannot be acquired after ``end``, nor in a forked process.

    So everything done while holding it happens before the end. Thread-safe.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._ended

    def check(self) -> None:
        """Raise if the lifetime has ended.

        Raises:
            StoreClosedError: it has ended.
            StoreForkedError: it belongs to the process from which this one was forked.
        """
        if os.getpid() != self._process:
            raise StoreForkedError
        if self._ended:
            raise StoreClosedError

    def acquire(self) -> None:
        """Acquire the lock, waiting for it; raise as ``check`` does."""
        # In a forked process, a lock that another thread held at the fork is never released.
        self.check()
        self._lock.acquire()
        try:
            self.check()
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def end(self) -> bool:
        """End the lifetime, waiting for the lock. Return whether this call did; a forked process ends nothing."""
        with suppress(StoreClosedError, StoreForkedError), self:
            self._ended = True
            return True
        return False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
