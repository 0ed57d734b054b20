"""How long something that holds on to a store may be used: until it is closed, in the process that opened it."""

import os
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from core.errors import StoreClosedError, StoreForkedError


class Lifetime:
    """A lock that nobody gets any more after ``end``, and that no forked process gets at all.

    What is done while it is held is therefore done before the end. Usable from any thread.
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
        """Return if the lifetime has not ended.

        Raises:
            StoreClosedError: it has.
            StoreForkedError: it is that of the process from which this one was forked.
        """
        if os.getpid() != self._process:
            raise StoreForkedError
        if self._ended:
            raise StoreClosedError

    def acquire(self) -> None:
        """Take the lock, waiting for it; raise as ``check`` does."""
        # In a forked process a lock that another thread held at that moment is never released.
        self.check()
        self._lock.acquire()
        try:
            self.check()
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def end(self) -> bool:
        """End it, waiting for the lock. Return whether this was the call that did; a forked process ends nothing."""
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
