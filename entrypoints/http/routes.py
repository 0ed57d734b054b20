"""The routes of the contract: each handler turns a request into one use case and its result into an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import attrs
from aiohttp import web

from adapters.wire.encode import batch_answer, metadata_answer, page_answer
from adapters.wire.json_text import decode_json
from adapters.wire.query import parse_list_query
from core.amend import associate_commit, update_run
from core.batch import BatchResult, Candidate
from core.errors import AnswerTooLargeError
from core.ingest import create_run, ingest_atomic, ingest_lenient
from core.ports.repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from core.query import get_run, list_runs, read_metadata
from entrypoints.application import Application
from entrypoints.http.access import Access
from entrypoints.http.answers import RETRY_AFTER_SECONDS, detail_response, json_response, refuse_expectation
from entrypoints.http.backlog import Backlog, Lease
from entrypoints.http.bodies import INLINE_BODY_BYTES, Allowance, read_json_body
from entrypoints.http.connections import ConnectionLimits
from entrypoints.http.fields import prefers_minimal
from entrypoints.http.outcomes import Outcomes
from entrypoints.http.readiness import Readiness

_T = TypeVar("_T")


@attrs.frozen
class Routes:
    """The handlers, over one application.

    ``executor`` takes what would hold up the event loop: reading the store, and decoding large bodies.
    """

    application: Application
    outcomes: Outcomes
    backlog: Backlog
    readiness: Readiness
    connection_limits: ConnectionLimits
    executor: Executor
    partial_status: int
    version: str
    access: Access

    def table(self) -> list[web.RouteDef]:
        """Every route of the API."""
        routes = [
            web.post("/api/v1/runs/batch", self._leased(self.post_batch)),
            web.post("/api/v1/runs/batch-transactional", self._leased(self.post_batch_transactional)),
            web.post("/api/v1/runs", self._leased(self.post_run)),
            web.get("/api/v1/runs", self.get_runs),
            web.get("/api/v1/runs/{run_id:[^/]+}", self.get_run),
            web.patch("/api/v1/runs/{event_id:[^/]+}", self._leased(self.patch_run)),
            web.post("/api/v1/runs/{event_id:[^/]+}/associate-commit", self._leased(self.post_commit)),
            web.get("/api/v1/metadata", self.get_metadata),
            web.get("/api/v1/limits", self.get_limits),
            web.get("/health", self.get_health),
            web.get("/ready", self.get_ready),
        ]
        for route in routes:
            route.kwargs["expect_handler"] = refuse_expectation
        return routes

    async def post_batch(self, request: web.Request, lease: Lease) -> web.Response:
        """The lenient upload: good runs are stored, bad ones named."""
        return await self._ingest(request, lease, ingest_lenient, self.partial_status)

    async def post_batch_transactional(self, request: web.Request, lease: Lease) -> web.Response:
        """The atomic upload: all runs are stored, or none."""
        return await self._ingest(request, lease, ingest_atomic, HTTPStatus.CREATED)

    async def post_run(self, request: web.Request, lease: Lease) -> web.Response:
        """One run, created or there before."""
        now, decode = self.application.clock.now, self.application.decoder.run
        allowed = Allowance.of_run(self.application.limits)
        candidate = await self._decoded(request, lease, allowed, lambda body: decode(body, now()))
        self.access.charge_runs(request, 1)
        return json_response(await self._write(partial(create_run, candidate)), status=HTTPStatus.CREATED)

    async def get_runs(self, request: web.Request) -> web.Response:
        """A page of runs."""
        structurer, limits = self.application.structurer, self.application.limits
        which, page_request = parse_list_query(request.query.items(), structurer, limits)
        page = await self._read(partial(list_runs, which, page_request, limits))
        return json_response(page_answer(page, page_request))

    async def get_run(self, request: web.Request) -> web.Response:
        """The newest run of a name."""
        return json_response(await self._read(partial(get_run, request.match_info["run_id"])))

    async def patch_run(self, request: web.Request, lease: Lease) -> web.Response:
        """Change what may change about a run."""
        structure = self.application.structurer.changes
        allowed = Allowance.of_run(self.application.limits)
        changes = await self._decoded(request, lease, allowed, lambda body: structure(decode_json(body)))
        command = partial(update_run, request.match_info["event_id"], changes, self.application.clock.now())
        return json_response(await self._write(command))

    async def post_commit(self, request: web.Request, lease: Lease) -> web.Response:
        """Tie a commit to a run."""
        structure = self.application.structurer.commit
        allowed = Allowance.of_run(self.application.limits)
        commit = await self._decoded(request, lease, allowed, lambda body: structure(decode_json(body)))
        command = partial(associate_commit, request.match_info["event_id"], commit, self.application.clock.now())
        return json_response(await self._write(command))

    async def get_metadata(self, _request: web.Request) -> web.Response:
        """The distinct agent names and job types."""
        return json_response(metadata_answer(await self._read(read_metadata)))

    async def get_limits(self, _request: web.Request) -> web.Response:
        """The limits in force."""
        of_connections = {**attrs.asdict(self.connection_limits), "max_queue_bytes": self.backlog.limit}
        return json_response({**attrs.asdict(self.application.limits), **of_connections})

    async def get_health(self, _request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        return json_response({"status": "ok", "version": self.version})

    async def get_ready(self, _request: web.Request) -> web.Response:
        """Whether a write would be taken."""
        obstacle = await self.readiness.obstacle()
        if obstacle is not None:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return detail_response(HTTPStatus.SERVICE_UNAVAILABLE, obstacle, headers)
        return json_response({"status": "ready"})

    def _leased(
        self, handler: Callable[[web.Request, Lease], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Have the handler hold its body's share of the backlog until what it does with it is done."""

        async def handle(request: web.Request) -> web.Response:
            with self.backlog.lease() as lease:
                return await handler(request, lease)

        return handle

    async def _ingest(
        self,
        request: web.Request,
        lease: Lease,
        use_case: Callable[[Sequence[Candidate], UnitOfWork], BatchResult],
        partial_status: int,
    ) -> web.Response:
        now, decode = self.application.clock.now, self.application.decoder.batch
        allowed = Allowance.of_batch(self.application.limits)
        batch = await self._decoded(request, lease, allowed, lambda body: decode(body, now()))
        self.access.charge_runs(request, len(batch))
        minimal = prefers_minimal(request)
        result = await self._write(partial(self._ingest_answerably, use_case, batch, minimal))
        return json_response(
            batch_answer(result, minimal=minimal),
            status=partial_status if result.failed else HTTPStatus.CREATED,
            headers={"Preference-Applied": "return=minimal"} if minimal else None,
        )

    def _ingest_answerably(
        self,
        use_case: Callable[[Sequence[Candidate], UnitOfWork], BatchResult],
        batch: Sequence[Candidate],
        minimal: bool,  # noqa: FBT001 - always given with partial
        work: UnitOfWork,
    ) -> BatchResult:
        """Carry out the use case, unless the runs that were stored before make its answer too large to be sent."""
        result = use_case(batch, work)
        if result.existing and not minimal and not self.application.limits.fit_answer(result.runs):
            raise AnswerTooLargeError(self.application.limits.max_answer_characters)
        return result

    async def _decoded(
        self, request: web.Request, lease: Lease, allowed: Allowance, decode: Callable[[bytes], _T]
    ) -> _T:
        body = await read_json_body(request, allowed, lease, self._run_in_thread)
        return decode(body) if len(body) <= INLINE_BODY_BYTES else await self._run_in_thread(partial(decode, body))

    async def _write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        return await self.outcomes.wait(self.application.write(command))

    async def _read(self, query: Callable[[RunReader], _T]) -> _T:
        return await self._run_in_thread(partial(self.application.read, query))

    async def _run_in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)
