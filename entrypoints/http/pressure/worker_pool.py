"""Threads for what would hold up the event loop, each kind of work with threads of its own."""

import asyncio
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

import attrs

from entrypoints.http.pressure.admission import OverloadedError

MAX_WAITING: Final = 64
"""Calls that may wait for a thread; more would wait for longer than clients do."""

READING_THREADS: Final = max(2, min(4, os.cpu_count() or 1))
"""Reads of SQLite are bound by the processor: more of them than it has cores would only take time from writes."""

RETRY_AFTER_SECONDS: Final = 1

_T = TypeVar("_T")


@attrs.frozen
class _Job:
    """A call and where its outcome goes."""

    call: Callable[[], Any]
    future: "Future[Any]"

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for the outcome
            # What the call had read must not stay in memory for as long as its error.
            traceback.clear_frames(error.__traceback__)
            self.future.set_exception(error)


class WorkerPool:
    """A fixed number of threads and a bounded number of calls that wait for one. Belongs to one event loop.

    Not a ``ThreadPoolExecutor``, whose queue has no bound and whose threads keep the process from ending.
    """

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting = 0
        self._free = asyncio.Semaphore(threads)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"runsink-{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], _T], *, begun: bool = False) -> _T:
        """Return what the call returns or raises. A call whose caller is cancelled before it begins is never made.

        A call for a response that has ``begun`` waits however many do; how many of these there are is bounded by the
        room that they hold.

        Raises:
            OverloadedError: too many calls wait already.
        """
        if not begun and self._free.locked() and self._waiting >= self._max_waiting:
            raise OverloadedError(
                f"{self._max_waiting} requests wait for {self._name} already; "
                f"send the same again in {RETRY_AFTER_SECONDS} s",
                RETRY_AFTER_SECONDS,
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        outcome: Future[_T] = Future()
        # The thread is free again when the call has ended, even if nobody waits for it any more.
        waiter = asyncio.wrap_future(outcome)
        outcome.add_done_callback(lambda _: _call_soon(loop, self._free.release))
        self._jobs.put(_Job(call, outcome))
        return await waiter

    def close(self, within: float) -> None:
        """Wait so many seconds at most until the calls that were begun have ended. No call may be made any more."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


@attrs.frozen
class Pools:
    """The threads of one server: none of these kinds of work waits for another."""

    reading: WorkerPool
    decoding: WorkerPool
    compressing: WorkerPool
    spooling: WorkerPool

    @classmethod
    def start(cls) -> "Pools":
        """Start all threads."""
        return cls(
            reading=WorkerPool("reading", threads=READING_THREADS, max_waiting=MAX_WAITING),
            decoding=WorkerPool("decoding", threads=2, max_waiting=MAX_WAITING),
            compressing=WorkerPool("compressing", threads=2, max_waiting=MAX_WAITING),
            spooling=WorkerPool("spooling", threads=2, max_waiting=MAX_WAITING),
        )

    def close(self, within: float) -> None:
        """Wait so many seconds at most until what was begun has ended. No call may be made any more."""
        deadline = time.monotonic() + within
        for pool in (self.reading, self.decoding, self.compressing, self.spooling):
            pool.close(max(0.0, deadline - time.monotonic()))


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # The loop is closed: the server has stopped without waiting for this call.
        return
