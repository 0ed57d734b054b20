"""Thread pools for work that would block the event loop, one pool for each kind of work."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

import attrs

from adapters.tracebacks import release_locals
from entrypoints.http.pressure.admission import OverloadedError
from entrypoints.http.rejections import Reason

MAX_WAITING: Final = 64
"""Maximum calls waiting for a thread; more would wait longer than clients do."""

READING_THREADS: Final = max(2, min(4, os.cpu_count() or 1))
"""Reads of SQLite are CPU-bound: more threads than cores would only slow down writes."""

RETRY_AFTER_SECONDS: Final = 1

_T = TypeVar("_T")


@attrs.frozen
class _Job:
    """A call, the future for its outcome, and the caller's context, which lines of the log name the request from."""

    call: Callable[[], Any]
    future: "Future[Any]"
    context: Context = attrs.field(factory=copy_context)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.context.run(self.call))
        except BaseException as error:  # noqa: BLE001 - passed on to whoever awaits the outcome
            release_locals(error)
            self.future.set_exception(error)
            # The frame, which the error refers to, must not refer to the future.
            del self


class WorkerPool:
    """A fixed number of threads with a bounded queue. Bound to one event loop.

    A ``ThreadPoolExecutor`` has an unbounded queue, and its threads keep the process from exiting.
    """

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self.waiting = 0
        """The number of calls that wait for a thread."""
        self._free = asyncio.Semaphore(threads)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"runsink-{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], _T], *, begun: bool = False) -> _T:
        """Return or raise the outcome of ``call``. If the caller is cancelled before the call starts, it never runs.

        A call for a response already ``begun`` skips the queue limit; admission control bounds the number of these.

        Raises:
            OverloadedError: the queue is full.
        """
        if not begun and self._free.locked() and self.waiting >= self._max_waiting:
            raise OverloadedError(
                f"{self._max_waiting} requests are already waiting for {self._name}; retry in {RETRY_AFTER_SECONDS} s",
                RETRY_AFTER_SECONDS,
                Reason.THREADS,
            )
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        loop = asyncio.get_running_loop()
        outcome: Future[_T] = Future()
        # The thread is free only when the call has ended, even if nobody awaits it any more.
        waiter = asyncio.wrap_future(outcome)
        outcome.add_done_callback(lambda _: _call_soon(loop, self._free.release))
        self._jobs.put(_Job(call, outcome))
        return await waiter

    def close(self, within: float) -> None:
        """Wait at most ``within`` seconds for running calls. No call may be made afterwards."""
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
    """The thread pools of one server, so that no kind of work waits for another."""

    reading: WorkerPool
    decoding: WorkerPool
    compressing: WorkerPool
    spooling: WorkerPool
    streaming: WorkerPool
    scraping: WorkerPool

    @classmethod
    def start(cls) -> "Pools":
        """Start all threads."""
        return cls(
            reading=WorkerPool("reading", threads=READING_THREADS, max_waiting=MAX_WAITING),
            decoding=WorkerPool("decoding", threads=2, max_waiting=MAX_WAITING),
            compressing=WorkerPool("compressing", threads=2, max_waiting=MAX_WAITING),
            spooling=WorkerPool("spooling", threads=2, max_waiting=MAX_WAITING),
            # One thread, however many streams there are: they take turns, and batches do not wait for all of them.
            streaming=WorkerPool("streaming", threads=1, max_waiting=MAX_WAITING),
            # One for a store that hangs, one for the metrics.
            scraping=WorkerPool("scraping", threads=2, max_waiting=MAX_WAITING),
        )

    def by_name(self) -> Mapping[str, WorkerPool]:
        """Return each pool by the name of its field."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(Pools)}

    def close(self, within: float) -> None:
        """Wait at most ``within`` seconds for running calls. No call may be made afterwards."""
        deadline = time.monotonic() + within
        for pool in self.by_name().values():
            pool.close(max(0.0, deadline - time.monotonic()))


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # The loop is closed: the server stopped without waiting for this call.
        return
