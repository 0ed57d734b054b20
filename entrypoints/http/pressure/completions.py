"""The way back from the writing thread to the event loop."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from core.errors import StoreError

_T = TypeVar("_T")


class Completions:
    """Lets the event loop wait for futures of other threads, and wakes it once for all that are done together.

    A group commit finishes many requests at once. ``asyncio.wrap_future`` would wake the loop for each of them, and
    each time the two threads would contend for the GIL. Belongs to the running loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done: deque[tuple[Future[Any], asyncio.Future[Any]]] = deque()
        self._waking = False
        self.succeeded_at = self._loop.time()
        """When the store last did what was asked of it, in the time of the loop."""

    async def wait(self, future: Future[_T]) -> _T:
        """What the future returns or raises. Whoever is cancelled meanwhile does not cancel the future."""
        waiter: asyncio.Future[_T] = self._loop.create_future()
        future.add_done_callback(lambda done: self._announce(done, waiter))
        return await waiter

    def _announce(self, future: Future[Any], waiter: asyncio.Future[Any]) -> None:
        """Called by the thread that finished the future."""
        self._done.append((future, waiter))
        # Set before waking and cleared before delivering: what is appended is delivered by this waking or the next.
        if not self._waking:
            self._waking = True
            # The loop is closed when what is left was cut at the end of draining; then nobody waits any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._waking = False
        while self._done:
            future, waiter = self._done.popleft()
            error = future.exception()
            if not isinstance(error, StoreError):
                self.succeeded_at = self._loop.time()
            if waiter.cancelled():
                continue
            if error is None:
                waiter.set_result(future.result())
            else:
                waiter.set_exception(error)
