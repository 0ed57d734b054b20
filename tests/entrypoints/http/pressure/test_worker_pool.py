"""Thread pools: how many calls run and wait, and what happens to cancelled ones."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import pytest

from entrypoints.http.pressure.admission import OverloadedError
from entrypoints.http.pressure.worker_pool import WorkerPool
from tests.servers import DEADLINE_SECONDS


@asynccontextmanager
async def pool_of(threads: int, max_waiting: int) -> AsyncIterator[WorkerPool]:
    """Run a pool for the duration of the block."""
    pool = WorkerPool("testing", threads, max_waiting)
    yield pool
    pool.close(DEADLINE_SECONDS)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on its own event loop."""
    asyncio.run(asyncio.wait_for(test(), DEADLINE_SECONDS))


async def started(pool: WorkerPool, call: Callable[[], object]) -> "asyncio.Task[object]":
    """Let a call start, or wait for a thread."""
    task = asyncio.create_task(pool.run(call))
    await asyncio.sleep(0)
    return task


def test_outcomes_come_back() -> None:
    """A call's result is returned, and its exception is raised."""

    async def test() -> None:
        async with pool_of(1, 1) as pool:
            assert await pool.run(lambda: 7) == 7
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)
            assert await pool.run(lambda: 8) == 8

    run(test)


def test_calls_beyond_the_bound_are_refused() -> None:
    """Calls wait up to the maximum; one more is told when to retry, unless its response has begun."""

    async def test() -> None:
        gate = Event()
        async with pool_of(2, 3) as pool:
            calls = [await started(pool, gate.wait) for _ in range(5)]
            with pytest.raises(OverloadedError, match="3 requests are already waiting for testing") as refused:
                await pool.run(gate.wait)
            assert refused.value.retry_after == 1
            begun = asyncio.create_task(pool.run(gate.wait, begun=True))
            await asyncio.sleep(0)
            gate.set()
            assert await asyncio.gather(*calls, begun) == [True] * 6
            assert await pool.run(lambda: 1) == 1

    run(test)


def test_a_call_that_nobody_waits_for_is_never_made_and_leaves_its_place() -> None:
    """Waiting callers that are cancelled free their places at once."""

    async def test() -> None:
        gate, made = Event(), Event()
        async with pool_of(1, 1) as pool:
            first = await started(pool, gate.wait)
            abandoned = await started(pool, made.set)
            abandoned.cancel()
            await asyncio.wait({abandoned})
            last = await started(pool, lambda: 2)
            gate.set()
            assert (await first, await last) == (True, 2)
        assert not made.is_set()

    run(test)


def test_a_thread_is_free_only_when_its_call_has_ended() -> None:
    """A call cancelled while it runs keeps its thread until it ends."""

    async def test() -> None:
        gate, running = Event(), Event()
        async with pool_of(1, 1) as pool:
            first = await started(pool, lambda: (running.set(), gate.wait()))
            await asyncio.to_thread(running.wait)
            first.cancel()
            await asyncio.wait({first})
            second = await started(pool, lambda: 2)
            with pytest.raises(OverloadedError):
                await pool.run(lambda: 3)
            gate.set()
            assert await second == 2

    run(test)


def test_closing_does_not_wait_for_ever() -> None:
    """A call that does not end is abandoned at the deadline."""

    async def test() -> None:
        gate = Event()
        pool = WorkerPool("testing", 1, 1)
        call = await started(pool, gate.wait)
        await asyncio.to_thread(pool.close, 0.05)
        gate.set()
        assert await call

    run(test)
