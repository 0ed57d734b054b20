"""Deliver results from the writer thread to the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from adapters.group_commit import Outcome, Settle
from core.errors import StoreError

_T = TypeVar("_T")


class Completions:
    """Let the event loop await futures of other threads, waking it once for all that finish together.

    A group commit finishes many requests at once. ``asyncio.wrap_future`` would wake the loop for each of them, and
    the two threads would contend for the GIL each time. Bound to the running loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done: deque[tuple[Future[Any] | Outcome, asyncio.Future[Any]]] = deque()
        self._waking = False
        self.succeeded_at = self._loop.time()
        """Loop time at which the store last succeeded."""

    async def wait(self, future: Future[_T]) -> _T:
        """Return or raise the future's outcome. Cancelling the caller does not cancel the future."""
        waiter: asyncio.Future[_T] = self._loop.create_future()
        future.add_done_callback(lambda done: self._announce(done, waiter))
        return await waiter

    async def wait_for(self, submit: Callable[[Settle], object]) -> Any:
        """Do the same with what ``submit`` hands over to another thread."""
        waiter: asyncio.Future[Any] = self._loop.create_future()
        submit(lambda outcome: self._announce(outcome, waiter))
        return await waiter

    def _announce(self, done: Future[Any] | Outcome, waiter: asyncio.Future[Any]) -> None:
        """Queue what is done for delivery; called in the thread that did it."""
        self._done.append((done, waiter))
        # Set before waking and cleared before delivering, so every item is delivered by this wake-up or the next.
        if not self._waking:
            self._waking = True
            # The loop is closed if the drain time ran out; then nobody is waiting.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._waking = False
        now = self._loop.time()
        while self._done:
            done, waiter = self._done.popleft()
            error = done.exception()
            if not isinstance(error, StoreError):
                self.succeeded_at = now
            if waiter.cancelled():
                continue
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)
