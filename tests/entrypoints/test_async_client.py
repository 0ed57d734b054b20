"""The asynchronous client against real servers."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.api_client.errors import ApiError, InvalidResponseError, TruncatedResponseError
from adapters.api_client.retry import RetryPolicy
from core.errors import (
    BatchRolledBackError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    RunNotFoundError,
    RunRefusedError,
    ServerUnreachableError,
)
from core.model.batch import BatchResult
from core.model.run import Run, Status
from entrypoints.async_client import AsyncClient
from entrypoints.client import Client
from tests.adapters.api_client.scripted import saying, scripted
from tests.servers import Api, MakeRun

AT_ONCE = RetryPolicy(seconds=0)


def using(url: str, work: Callable[[AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    """Do the work with a client in an event loop of its own."""

    async def main() -> Any:
        async with AsyncClient(url, **{"retry": AT_ONCE, **options}) as client:
            return await work(client)

    outcome = asyncio.run(main())
    gc.collect()  # a connection that was forgotten would warn here
    return outcome


def test_it_does_what_the_other_does(server: Api, make_run: MakeRun) -> None:
    """Every method has the results of the synchronous client."""

    async def work(client: AsyncClient) -> None:
        run = await client.send(make_run(event_id="e-1", metrics_json={"a": 1}))
        assert run == await client.get("launch-1")
        result = await client.send_batch([make_run(event_id="e-2"), make_run(event_id="e-1"), {}])
        assert isinstance(result, BatchResult)
        assert (result.created, result.existing, result.failed) == (1, 1, 1)
        changed = await client.update("e-1", {"status": "failed", "end_time": datetime(2026, 2, 1, tzinfo=UTC)})
        tied = await client.associate_commit("e-1", {"commit_hash": "abcdef0", "commit_source": "ci"})
        assert isinstance(changed, Run)
        assert isinstance(tied, Run)
        assert (changed.status, changed.end_time, tied.commit_hash) == (
            Status.FAILURE,
            "2026-02-01T00:00:00.000000Z",
            "abcdef0",
        )
        with Client(server.url) as other:
            assert await client.list(limit=1) == other.list(limit=1)
            assert await client.list(status="failure") == other.list(status="failure")

    using(server.url, work)


def test_errors(server: Api) -> None:
    """Every kind of refusal has its error."""

    async def work(client: AsyncClient) -> None:
        calls: list[tuple[type[Exception], Callable[[], Coroutine[Any, Any, Any]]]] = [
            (RunRefusedError, lambda: client.send({})),
            (EveryRunRefusedError, lambda: client.send_batch([{}])),
            (BatchRolledBackError, lambda: client.send_batch([{}], atomic=True)),
            (InvalidChangesError, lambda: client.update("a", {"event_id": "b"})),
            (InvalidCommitError, lambda: client.associate_commit("a", {})),
            (InvalidQueryError, lambda: client.list(colour="red")),
            (RunNotFoundError, lambda: client.get("nothing")),
        ]
        for error, call in calls:
            with pytest.raises(error):
                await call()

    using(server.url, work)


def test_nobody_there() -> None:
    """An unreachable server is one kind of error."""
    with pytest.raises(ServerUnreachableError):
        using("http://127.0.0.1:9", lambda client: client.get("a"), retry=RetryPolicy(seconds=0.1, first_delay=0.02))


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", ServerUnreachableError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", TruncatedResponseError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", TruncatedResponseError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", InvalidResponseError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", InvalidResponseError),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", InvalidResponseError),
        (b'HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\n{"detail": "a"}', ApiError),
    ],
)
def test_bad_responses(response: bytes, error: type[Exception]) -> None:
    """What breaks off, is no HTTP, or none of this API is told apart, by both clients alike."""
    with scripted(saying(response)) as url, Client(url, retry=AT_ONCE) as client, pytest.raises(error):
        client.get("a")
    with scripted(saying(response)) as url, pytest.raises(error):
        using(url, lambda client: client.get("a"))


def test_an_outbox(server: Api, tmp_path: Path, make_run: MakeRun) -> None:
    """Calls return once it is on disk here, and a thread delivers it."""

    async def work(client: AsyncClient) -> None:
        await asyncio.gather(*(client.send(make_run(event_id=f"e-{number}")) for number in range(50)))
        await client.update("e-7", {"items_failed": 7})
        await client.send({})
        left = await client.flush(20)
        assert (left.undelivered, left.rejected, left.refused) == (0, 0, 1)

    using(server.url, work, outbox=tmp_path / "outbox")
    assert server.find(limit=1).body["total"] == 50
    assert server.stored("e-7")["items_failed"] == 7


def test_parents_of_tasks(server: Api, tmp_path: Path) -> None:
    """Blocks in tasks have the block that started the task for their parent, however they interleave."""

    async def task(client: AsyncClient, number: int) -> None:
        async with client.run(agent_name="a", job_type="b", run_id=f"middle-{number}"):
            await asyncio.sleep(0)
            async with client.run(agent_name="a", job_type="b", run_id=f"inner-{number}") as run:
                await run.update(items_failed=number)
                await run.associate_commit("abcdef0")

    async def work(client: AsyncClient) -> None:
        async with client.run(agent_name="a", job_type="b", run_id="outer"):
            await asyncio.gather(*(task(client, number) for number in range(10)))
        async with client.run(agent_name="a", job_type="b", run_id="after"):
            pass

    using(server.url, work, outbox=tmp_path / "outbox")
    found = server.find(limit=1000).body["runs"]
    assert {run["run_id"]: run["parent_run_id"] for run in found} == {
        "outer": None,
        "after": None,
        **{f"middle-{number}": "outer" for number in range(10)},
        **{f"inner-{number}": f"middle-{number}" for number in range(10)},
    }
    assert {run["status"] for run in found} == {"success"}


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 5, 8, 200])
def test_a_cancelled_task(server: Api, moment: int) -> None:
    """The run of a cancelled task is cancelled, and so is the task."""

    async def work(client: AsyncClient) -> None:
        async def forever() -> None:
            async with client.run(agent_name="a", job_type="b", run_id="r"):
                await asyncio.sleep(60)

        task = asyncio.create_task(forever())
        for _ in range(moment):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # One that was cancelled before it began was never reported.
        assert {run.status for run in (await client.list()).runs} <= {Status.CANCELLED}

    using(server.url, work)


def test_a_block_that_fails(server: Api) -> None:
    """The error goes on, and the run says what it was."""

    async def work(client: AsyncClient) -> None:
        async with client.run(agent_name="a", job_type="b", run_id="r"):
            raise LookupError("nothing there")

    with pytest.raises(LookupError):
        using(server.url, work)
    assert server.get("r").body["error_summary"] == "LookupError: nothing there"


def run_line(number: int) -> bytes:
    """A run as an export has it."""
    return (
        b'{"event_id":"e-%d","run_id":"r","agent_name":"a","job_type":"b","start_time":"2026-01-31T12:00:00Z",'
        b'"created_at":"2026-01-31T12:00:00Z","updated_at":"2026-01-31T12:00:00Z","status":"success"}\n' % number
    )


@pytest.mark.parametrize("whole", [True, False])
def test_exports(*, whole: bool) -> None:
    """Runs arrive one by one; an export that breaks off is an error after those that came."""
    lines = b"".join(map(run_line, range(3)))
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(lines), lines)
    response += b"0\r\n\r\n" if whole else b"fff\r\n{"
    received: list[str] = []

    async def work(client: AsyncClient) -> None:
        async for run in client.export(status="success"):
            received.append(run.event_id)  # noqa: PERF401 - what came before an error counts

    def work_synchronously(url: str) -> None:
        with Client(url) as client:
            for run in client.export(status="success"):
                received.append(run.event_id)  # noqa: PERF401

    for act in (lambda url: using(url, work), work_synchronously):
        received.clear()
        with scripted(saying(response)) as url:
            if whole:
                act(url)
            else:
                with pytest.raises(TruncatedResponseError):
                    act(url)
        assert received == ["e-0", "e-1", "e-2"]
