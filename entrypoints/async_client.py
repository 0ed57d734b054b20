"""A client of a runsink server for programs that run an event loop: ``Client`` with coroutines.

async with AsyncClient("http://127.0.0.1:8765", outbox="telemetry.outbox") as client:
    async with client.run(agent_name="planner", job_type="plan") as run:
        await run.update(items_succeeded=3)
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from adapters.api_client.asynchronous import AsyncConnections
from adapters.api_client.connection import TIMEOUT_SECONDS
from adapters.api_client.connection_pool import ConnectionPool
from adapters.api_client.operations import Operation, Requests, RunLike, filters_of, may_pass
from adapters.api_client.responses import decode_run
from adapters.api_client.retry import RetryPolicy, parse_retry_after
from adapters.outbox.intake import Intake, Queued
from adapters.outbox.outbox import FlushResult, Outbox
from core.errors import RunsinkError, ServerUnreachableError
from core.model.batch import BatchResult
from core.model.listing import Cursor, RunFilter, RunPage
from core.model.run import Run
from entrypoints.run_scope import RunScope

_log: Final = logging.getLogger("runsink")

_T = TypeVar("_T")
_P = ParamSpec("_P")

CLOSE_SECONDS: Final = 5.0
"""How long leaving the block of a client waits for the delivery of its outbox."""

_CANCEL_SECONDS: Final = 5.0
"""How long a block that is cancelled while it is entered waits for the report of its beginning."""


class AsyncClient:
    """Sends runs to a server and reads them, from one event loop.

    Everything is as in ``Client``. The outbox is written and delivered by threads, so that neither a disk nor a server
    holds up the event loop.
    """

    def __init__(  # noqa: PLR0913 - each can be given alone
        self,
        url: str,
        token: str | None = None,
        outbox: str | os.PathLike[str] | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        raise_errors: bool = False,
    ) -> None:
        self._requests = Requests()
        self._retry = retry or RetryPolicy()
        self._connections = AsyncConnections(url, token, timeout)
        self._delivering = ConnectionPool(url, token, timeout)
        self._intake: Intake | None = None
        if outbox is not None:
            opened = Outbox.open(outbox, self._delivering.exchange)
            self._intake = Intake(self._requests, opened, raise_errors=raise_errors)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, run: RunLike) -> Run | Queued:
        """Create a run; see ``Client.send``."""
        if self._intake is not None:
            return await asyncio.to_thread(self._intake.send, run)
        return await self._carry_out(self._requests.create(run))

    async def send_batch(self, runs: Sequence[RunLike], *, atomic: bool = False) -> BatchResult | Queued:
        """Create up to 1000 runs; see ``Client.send_batch``."""
        if self._intake is not None:
            return await asyncio.to_thread(self._intake.send_batch, runs, atomic=atomic)
        return await self._carry_out(self._requests.batch(runs, atomic=atomic))

    async def update(self, event_id: str, changes: Mapping[str, Any]) -> Run | Queued:
        """Change what may change about a run; see ``Client.update``."""
        if self._intake is not None:
            return await asyncio.to_thread(self._intake.update, event_id, changes)
        return await self._carry_out(self._requests.update(event_id, changes))

    async def associate_commit(self, event_id: str, commit: Mapping[str, Any]) -> Run | Queued:
        """Tie a commit to a run; see ``Client.associate_commit``."""
        if self._intake is not None:
            return await asyncio.to_thread(self._intake.associate_commit, event_id, commit)
        return await self._carry_out(self._requests.associate_commit(event_id, commit))

    async def get(self, run_id: str) -> Run:
        """Read the newest run of this name; see ``Client.get``."""
        return await self._carry_out(self._requests.get(run_id))

    async def list(
        self,
        which: RunFilter | None = None,
        *,
        limit: int = 100,
        offset: int = 0,
        cursor: Cursor | None = None,
        counted: bool = True,
        **filters: Any,
    ) -> RunPage:
        """Read a page of runs, newest start first; see ``Client.list``."""
        paging = {"limit": limit, "offset": offset, "cursor": cursor, "counted": counted}
        return await self._carry_out(self._requests.list(filters_of(which, filters), paging))

    async def export(self, which: RunFilter | None = None, **filters: Any) -> AsyncIterator[Run]:
        """Read all matching runs, oldest first, as they arrive; see ``Client.export``."""
        operation = self._requests.export(filters_of(which, filters))
        async for line in self._connections.lines(operation):
            yield decode_run(line)

    def run(self, *, agent_name: str, job_type: str, run_id: str | None = None, **fields: Any) -> "AsyncRunHandle":
        """Report the block of an ``async with`` statement as a run; see ``Client.run``.

        Tasks that are created inside the block are inside the run.
        """
        named = {"agent_name": agent_name, "job_type": job_type, "run_id": run_id}
        return AsyncRunHandle(self, RunScope({**fields, **named}))

    async def flush(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109 - the time is part of the result
        """Wait, so many seconds at most, until the outbox is delivered; return what is left."""
        if self._intake is None:
            return FlushResult(0, 0, 0)
        return await asyncio.to_thread(self._intake.flush, timeout)

    async def close(self, timeout: float | None = CLOSE_SECONDS) -> FlushResult:  # noqa: ASYNC109
        """Flush and let go of everything; what is left stays in the outbox. Closing again does nothing."""
        intake = self._intake
        result = FlushResult(0, 0, 0) if intake is None else await asyncio.to_thread(intake.close, timeout)
        await self._connections.close()
        self._delivering.close()
        return result

    async def _carry_out(self, operation: Operation[_T]) -> _T:
        attempts = self._retry.begin()
        while True:
            try:
                response = await self._connections.exchange(operation)
            except ServerUnreachableError:
                delay = attempts.failed()
                if delay is None:
                    raise
            else:
                passing = may_pass(response)
                told = parse_retry_after(response.headers.get("retry-after"))
                delay = attempts.failed(told) if passing else None
                if delay is None:
                    return operation.interpret(response)
            await asyncio.sleep(delay)


class AsyncRunHandle:
    """A run that is under way; made by ``AsyncClient.run`` and entered once."""

    def __init__(self, client: AsyncClient, scope: RunScope) -> None:
        self._client = client
        self._scope = scope

    @property
    def event_id(self) -> str:
        """The key of the run."""
        return self._scope.event_id

    @property
    def run_id(self) -> str:
        """The name of the run, which is the ``parent_run_id`` of those inside it."""
        return self._scope.run_id

    async def update(self, **changes: Any) -> None:
        """Change fields of the run at once; a ``status`` that is given here stays when the block ends well."""
        await self._client.update(self.event_id, changes)
        self._scope.note(changes)

    async def associate_commit(self, commit_hash: str, commit_source: str = "ci", **fields: Any) -> None:
        """Tie a commit to the run."""
        commit = {"commit_hash": commit_hash, "commit_source": commit_source, **fields}
        await self._client.associate_commit(self.event_id, commit)

    def bind(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return the function so that it is inside this run in any thread; ``asyncio.to_thread`` does not need it."""
        return self._scope.bind(function)

    async def __aenter__(self) -> Self:
        sending = asyncio.ensure_future(self._client.send(self._scope.enter()))
        try:
            await asyncio.shield(sending)
        except BaseException as error:
            self._scope.leave()
            if isinstance(error, asyncio.CancelledError):
                await self._cancel(sending, error)
            raise
        return self

    async def _cancel(self, sending: "asyncio.Future[Run | Queued]", error: asyncio.CancelledError) -> None:
        """Report the end of a run whose beginning is just being reported, in this order."""
        await asyncio.wait({sending}, timeout=_CANCEL_SECONDS)
        if not sending.done():
            sending.cancel()
        elif sending.exception() is None:
            await self._end(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.leave()
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        outcome = self._scope.outcome(error)
        try:
            # Cancelling the task again does not keep its end from being reported.
            await asyncio.shield(self._client.update(self.event_id, outcome))
        except RunsinkError as failure:
            if error is None:
                raise
            # What went wrong in the block matters more.
            _log.warning("the end of run %s was not reported: %s", self.run_id, failure)
