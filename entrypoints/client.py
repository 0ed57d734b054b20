"""A client of a runsink server.

    with Client("http://127.0.0.1:8765", outbox="telemetry.outbox") as client:
        with client.run(agent_name="planner", job_type="plan") as run:
            run.update(items_succeeded=3)

Without an outbox every call returns once the server has acknowledged it. With one it returns once it is on disk here.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from adapters.api_client.connection import TIMEOUT_SECONDS, ApiResponse
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


class Client:
    """Sends runs to a server and reads them. Usable from any thread, and in a forked process.

    Results and errors are those of ``open_store``. What fails for the moment is tried again, as ``retry`` says; then
    ``ServerUnreachableError``, ``ApiError`` or a ``StoreError`` is raised.

    With ``outbox``, the path of a file, what is to be sent is put there first and delivered by a thread of its own.
    ``send``, ``send_batch``, ``update`` and ``associate_commit`` then return ``Queued``, and raise nothing unless
    ``raise_errors`` is true: what cannot be queued is logged at level warning, to "runsink", and counted.
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
        self._connections = ConnectionPool(url, token, timeout)
        self._intake: Intake | None = None
        if outbox is not None:
            opened = Outbox.open(outbox, self._connections.exchange)
            self._intake = Intake(self._requests, opened, raise_errors=raise_errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, run: RunLike) -> Run | Queued:
        """Create a run; without an ``event_id`` it is given one. Raises ``RunRefusedError``."""
        if self._intake is not None:
            return self._intake.send(run)
        return self._carry_out(self._requests.create(run))

    def send_batch(self, runs: Sequence[RunLike], *, atomic: bool = False) -> BatchResult | Queued:
        """Create up to 1000 runs: every valid one or, if ``atomic``, all or none.

        Raises:
            NotABatchError, BatchTooLargeError, EveryRunRefusedError, BatchRolledBackError: as ``open_store``.
        """
        if self._intake is not None:
            return self._intake.send_batch(runs, atomic=atomic)
        return self._carry_out(self._requests.batch(runs, atomic=atomic))

    def update(self, event_id: str, changes: Mapping[str, Any]) -> Run | Queued:
        """Change what may change about a run; raises ``InvalidChangesError`` or ``RunNotFoundError``."""
        if self._intake is not None:
            return self._intake.update(event_id, changes)
        return self._carry_out(self._requests.update(event_id, changes))

    def associate_commit(self, event_id: str, commit: Mapping[str, Any]) -> Run | Queued:
        """Tie a commit to a run; raises ``InvalidCommitError`` or ``RunNotFoundError``."""
        if self._intake is not None:
            return self._intake.associate_commit(event_id, commit)
        return self._carry_out(self._requests.associate_commit(event_id, commit))

    def get(self, run_id: str) -> Run:
        """Read the newest run of this name; raises ``RunNotFoundError``."""
        return self._carry_out(self._requests.get(run_id))

    def list(
        self,
        which: RunFilter | None = None,
        *,
        limit: int = 100,
        offset: int = 0,
        cursor: Cursor | None = None,
        counted: bool = True,
        **filters: Any,
    ) -> RunPage:
        """Read a page of runs, newest start first, such as ``list(status="failure", limit=10)``.

        ``total`` is counted unless there is a ``cursor`` or ``counted`` is false. Raises ``InvalidQueryError``.
        """
        paging = {"limit": limit, "offset": offset, "cursor": cursor, "counted": counted}
        return self._carry_out(self._requests.list(filters_of(which, filters), paging))

    def export(self, which: RunFilter | None = None, **filters: Any) -> Iterator[Run]:
        """Read all matching runs, oldest first, as they arrive.

        Raises:
            InvalidQueryError: before the first run.
            TruncatedResponseError: the rest did not arrive.
        """
        operation = self._requests.export(filters_of(which, filters))
        return self._exported(operation)

    def run(self, *, agent_name: str, job_type: str, run_id: str | None = None, **fields: Any) -> "RunHandle":
        """Report the block of a ``with`` statement as a run, with these fields.

        It begins as ``running`` and ends as ``success``, ``failure`` or ``cancelled``, with its duration and, if it
        failed, the error. Blocks inside it have it for their parent. In other threads only what ``RunHandle.bind``
        returns is inside it.
        """
        named = {"agent_name": agent_name, "job_type": job_type, "run_id": run_id}
        return RunHandle(self, RunScope({**fields, **named}))

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Wait, so many seconds at most, until the outbox is delivered; return what is left."""
        return FlushResult(0, 0, 0) if self._intake is None else self._intake.flush(timeout)

    def close(self, timeout: float | None = CLOSE_SECONDS) -> FlushResult:
        """Flush and let go of everything; what is left stays in the outbox. Closing again does nothing."""
        intake = self._intake
        result = FlushResult(0, 0, 0) if intake is None else intake.close(timeout)
        self._connections.close()
        return result

    @property
    def queues(self) -> bool:
        """Whether there is an outbox."""
        return self._intake is not None

    def _carry_out(self, operation: Operation[_T]) -> _T:
        return operation.interpret(self._persist(lambda: self._connections.exchange(operation)))

    def _persist(self, attempt: Callable[[], ApiResponse]) -> ApiResponse:
        """Try until there is a response that does not change by waiting, or the time is up."""
        attempts = self._retry.begin()
        while True:
            try:
                response = attempt()
            except ServerUnreachableError:
                delay = attempts.failed()
                if delay is None:
                    raise
            else:
                if not may_pass(response):
                    return response
                delay = attempts.failed(parse_retry_after(response.headers.get("retry-after")))
                if delay is None:
                    return response
            time.sleep(delay)

    def _exported(self, operation: Operation[None]) -> Iterator[Run]:
        with self._connections.stream(operation) as stream:
            if stream.status != 200:
                operation.interpret(ApiResponse(stream.status, stream.headers, stream.read()))
            yield from map(decode_run, stream.lines())


class RunHandle:
    """A run that is under way; made by ``Client.run`` and entered once."""

    def __init__(self, client: Client, scope: RunScope) -> None:
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

    def update(self, **changes: Any) -> None:
        """Change fields of the run at once; a ``status`` that is given here stays when the block ends well."""
        self._client.update(self.event_id, changes)
        self._scope.note(changes)

    def associate_commit(self, commit_hash: str, commit_source: str = "ci", **fields: Any) -> None:
        """Tie a commit to the run."""
        commit = {"commit_hash": commit_hash, "commit_source": commit_source, **fields}
        self._client.associate_commit(self.event_id, commit)

    def bind(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return the function so that it is inside this run in any thread, as in ``pool.map(run.bind(work), items)``.

        Threads do not inherit the context of the one that starts them, unless Python 3.14 or later is told so.
        """
        return self._scope.bind(function)

    def __enter__(self) -> Self:
        run = self._scope.enter()
        try:
            self._client.send(run)
        except BaseException as error:
            self._scope.leave()
            if self._client.queues:
                # An interrupt may come right after the run was queued.
                self._end(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.leave()
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        try:
            self._client.update(self.event_id, self._scope.outcome(error))
        except RunsinkError as failure:
            if error is None:
                raise
            # What went wrong in the block matters more.
            _log.warning("the end of run %s was not reported: %s", self.run_id, failure)
