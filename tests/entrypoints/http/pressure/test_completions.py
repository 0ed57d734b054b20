"""Outcomes of the writing thread come to the event loop: each to who waits for it, all of one commit at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from adapters.group_commit import GroupCommitWriter
from core.errors import StoreClosedError
from core.ports.unit_of_work import UnitOfWork
from entrypoints.http.pressure.completions import Completions
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, sample_run
from tests.fakes.store import ObservedStore
from tests.servers import DEADLINE_SECONDS


class BoomError(Exception):
    """An item is bad."""


@pytest.fixture
def store() -> ObservedStore:
    """Return a store whose commits wait until ``commit_allowed`` is set."""
    return ObservedStore()


@pytest.fixture
def writer(store: ObservedStore) -> Iterator[GroupCommitWriter]:
    """Yield a writer on the store; at the end, let pending commits through."""
    made = GroupCommitWriter(store)
    yield made
    store.commit_allowed.set()
    made.close()


def add_items(items: Sequence[str], work: UnitOfWork) -> list[str | Exception]:
    """Add a run for each key; ``bad`` is an error of its own."""
    work.runs.add([sample_run(key) for key in items if key != "bad"])
    return [BoomError(key) if key == "bad" else key for key in items]


async def wait_for(completions: Completions, writer: GroupCommitWriter, item: str) -> str:
    """Hand an item over, and return its outcome."""
    value: str = await completions.wait_for(partial(writer.hand_over, add_items, item))
    return value


async def wait(completions: Completions, writer: GroupCommitWriter, item: str) -> str:
    """Do the same with a future."""
    return await completions.wait(writer.submit_item(add_items, item))


both_ways = pytest.mark.parametrize("get", [wait_for, wait])
Get = Callable[[Completions, GroupCommitWriter, str], Awaitable[str]]


async def begin(store: ObservedStore, waiting: Sequence[Awaitable[Any]]) -> Sequence["asyncio.Future[Any]"]:
    """Begin to wait for these, the first of which holds up the writing thread in its commit."""
    first, *others = waiting
    begun = [asyncio.ensure_future(first)]
    assert await asyncio.to_thread(store.commit_reached.wait, HANG_GUARD_SECONDS)
    begun += map(asyncio.ensure_future, others)
    await asyncio.sleep(0)
    return begun


def run(test: Awaitable[None]) -> None:
    """Run a test on its own event loop."""
    asyncio.run(asyncio.wait_for(test, DEADLINE_SECONDS))


@both_ways
def test_each_gets_its_own_outcome(store: ObservedStore, writer: GroupCommitWriter, get: Get) -> None:
    """Its value or its error, although all of them share a commit."""

    async def test() -> None:
        completions = Completions()
        begun = await begin(store, [get(completions, writer, item) for item in ("first", "a", "bad", "b")])
        store.commit_allowed.set()
        first, a, bad, b = await asyncio.gather(*begun, return_exceptions=True)
        assert (first, a, b) == ("first", "a", "b")
        assert isinstance(bad, BoomError)

    run(test())
    assert store.commits == 2


@both_ways
def test_who_stops_waiting_withdraws_nothing(store: ObservedStore, writer: GroupCommitWriter, get: Get) -> None:
    """The item is stored all the same, and the others get their outcomes."""

    async def test() -> None:
        completions = Completions()
        _, left, stayed = await begin(store, [get(completions, writer, item) for item in ("first", "left", "stayed")])
        left.cancel()
        await asyncio.sleep(0)
        store.commit_allowed.set()
        assert await stayed == "stayed"
        assert left.cancelled()

    run(test())
    assert all_keys(store) == {"first", "left", "stayed"}


def test_what_is_not_taken_is_raised_at_once(store: ObservedStore, writer: GroupCommitWriter) -> None:
    """The error of handing over reaches the caller, who waits for nothing."""

    async def test() -> None:
        writer.close()
        with pytest.raises(StoreClosedError):
            await wait_for(Completions(), writer, "late")

    run(test())
    assert all_keys(store) == set()


def test_a_commit_wakes_the_loop_once(
    store: ObservedStore, writer: GroupCommitWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the loop is busy, the outcomes of a commit gather, and it is woken for the first of them only."""

    async def test() -> None:
        loop, woken = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe

        def count_wakes(*call: Any, **options: Any) -> asyncio.Handle:
            woken.append(call)
            return wake(*call, **options)

        completions = Completions()
        begun = await begin(store, [wait_for(completions, writer, item) for item in ("first", "a", "b", "c")])
        monkeypatch.setattr(loop, "call_soon_threadsafe", count_wakes)
        store.commit_allowed.set()
        # The loop does nothing until the writing thread has ended.
        writer.close()
        assert await asyncio.gather(*begun) == ["first", "a", "b", "c"]
        assert len(woken) == 1

    run(test())
