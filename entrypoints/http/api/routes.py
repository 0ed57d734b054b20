"""The routes of the contract: each handler turns a request into one use case and its result into an answer."""

from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Protocol, TypeVar

import attrs
from aiohttp import web

from adapters.wire.encode import batch_answer, encode, metadata_answer
from adapters.wire.json_text import decode_json
from adapters.wire.query import format_metadata_cursor, parse_list_query, parse_metadata_query
from core.model.batch import BatchResult, Candidate
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Admit, check_response_size, create_run, ingest_atomic, ingest_lenient
from core.use_cases.query import get_run, read_metadata
from core.use_cases.update import associate_commit, update_run
from entrypoints.application import Application
from entrypoints.http.api.run_pages import PageSender, run_while_awaited
from entrypoints.http.guard.access import Access
from entrypoints.http.messages.headers import prefers_minimal
from entrypoints.http.messages.request_body import INLINE_BODY_BYTES, Allowance, read_json_body
from entrypoints.http.messages.responses import (
    RETRY_AFTER_SECONDS,
    detail_response,
    encoded_response,
    json_response,
    refuse_expectation,
)
from entrypoints.http.pressure.admission import Lease
from entrypoints.http.pressure.completions import Outcomes
from entrypoints.http.pressure.readiness import Readiness
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.transport.connections import ConnectionLimits, lease_of

_T = TypeVar("_T")


class Ingest(Protocol):
    """One of the two ingest use cases."""

    def __call__(self, batch: Sequence[Candidate], work: UnitOfWork, admit: Admit | None) -> BatchResult: ...


@attrs.frozen
class Routes:
    """The handlers, over one application.

    ``pools`` take what would hold up the event loop: reading the store, and decoding large bodies.
    """

    application: Application
    outcomes: Outcomes
    readiness: Readiness
    connection_limits: ConnectionLimits
    max_queue_bytes: int
    pools: Pools
    partial_status: int
    version: str
    access: Access

    def table(self) -> list[web.RouteDef]:
        """Every route of the API."""
        routes = [
            web.post("/api/v1/runs/batch", self.post_batch),
            web.post("/api/v1/runs/batch-transactional", self.post_batch_transactional),
            web.post("/api/v1/runs", self.post_run),
            web.get("/api/v1/runs", self.get_runs),
            web.get("/api/v1/runs/{run_id:[^/]+}", self.get_run),
            web.patch("/api/v1/runs/{event_id:[^/]+}", self.patch_run),
            web.post("/api/v1/runs/{event_id:[^/]+}/associate-commit", self.post_commit),
            web.get("/api/v1/metadata", self.get_metadata),
            web.get("/api/v1/limits", self.get_limits),
            web.get("/health", self.get_health),
            web.get("/ready", self.get_ready),
        ]
        for route in routes:
            route.kwargs["expect_handler"] = refuse_expectation
        return routes

    async def post_batch(self, request: web.Request) -> web.Response:
        """The lenient upload: good runs are stored, bad ones named."""
        return await self._ingest(request, ingest_lenient, self.partial_status)

    async def post_batch_transactional(self, request: web.Request) -> web.Response:
        """The atomic upload: all runs are stored, or none."""
        return await self._ingest(request, ingest_atomic, HTTPStatus.CREATED)

    async def post_run(self, request: web.Request) -> web.Response:
        """One run, created or there before."""
        now, decode = self.application.clock.now, self.application.decoder.run
        allowed = Allowance.of_run(self.application.limits)
        candidate = await self._decoded(request, allowed, lambda body: decode(body, now()))
        self.access.charge_runs(request, 1)
        return json_response(await self._write(partial(create_run, candidate)), status=HTTPStatus.CREATED)

    async def get_runs(self, request: web.Request) -> web.StreamResponse:
        """A page of runs, sent in parts when it is large."""
        which, asked = parse_list_query(request.query.items(), self.application.structurer, self.application.limits)
        pages = PageSender(request, self.application, self.pools.reading, which)
        return await pages.send(asked)

    async def get_run(self, request: web.Request) -> web.Response:
        """The newest run of a name."""
        return await self._read_response(request, partial(get_run, request.match_info["run_id"]))

    async def patch_run(self, request: web.Request) -> web.Response:
        """Change what may change about a run."""
        structure = self.application.structurer.changes
        allowed = Allowance.of_run(self.application.limits)
        changes = await self._decoded(request, allowed, lambda body: structure(decode_json(body)))
        command = partial(update_run, request.match_info["event_id"], changes, self.application.clock.now())
        return json_response(await self._write(command))

    async def post_commit(self, request: web.Request) -> web.Response:
        """Tie a commit to a run."""
        structure = self.application.structurer.commit
        allowed = Allowance.of_run(self.application.limits)
        commit = await self._decoded(request, allowed, lambda body: structure(decode_json(body)))
        command = partial(associate_commit, request.match_info["event_id"], commit, self.application.clock.now())
        return json_response(await self._write(command))

    async def get_metadata(self, request: web.Request) -> web.Response:
        """A part of the distinct agent names and job types."""
        asked = parse_metadata_query(request.query.items(), self.application.limits)

        def answer(runs: RunReader) -> object:
            metadata = read_metadata(asked, runs)
            rest = metadata.next_part
            return metadata_answer(metadata, format_metadata_cursor(rest) if rest else None)

        return await self._read_response(request, answer)

    async def get_limits(self, _request: web.Request) -> web.Response:
        """The limits in force."""
        of_connections = {**attrs.asdict(self.connection_limits), "max_queue_bytes": self.max_queue_bytes}
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

    async def _ingest(
        self,
        request: web.Request,
        use_case: Ingest,
        partial_status: int,
    ) -> web.Response:
        now, decode = self.application.clock.now, self.application.decoder.batch
        allowed = Allowance.of_batch(self.application.limits)
        batch = await self._decoded(request, allowed, lambda body: decode(body, now()))
        self.access.charge_runs(request, len(batch))
        minimal = prefers_minimal(request)
        admit = None if minimal else partial(self._admit_response, lease_of(request))
        result = await self._write(partial(use_case, batch, admit=admit))
        return json_response(
            batch_answer(result),
            status=partial_status if result.failed else HTTPStatus.CREATED,
            headers={"Preference-Applied": "return=minimal"} if minimal else None,
        )

    def _admit_response(self, lease: Lease, size: int) -> None:
        """Take room for the stored runs that a response is to hold, beyond what the body holds already."""
        check_response_size(size, self.application.limits.max_response_bytes)
        lease.cover(size)

    async def _decoded(self, request: web.Request, allowed: Allowance, decode: Callable[[bytes], _T]) -> _T:
        body = await read_json_body(request, allowed, lease_of(request), self.pools.decoding.run)
        return decode(body) if len(body) <= INLINE_BODY_BYTES else await self.pools.decoding.run(partial(decode, body))

    async def _write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        return await self.outcomes.wait(self.application.write(command))

    async def _read_response(self, request: web.Request, query: Callable[[RunReader], object]) -> web.Response:
        """Read what a response says and encode it in a thread, if there is room for it."""

        def read(cancellation: Cancellation) -> bytes:
            body = encode(self.application.read(query, cancellation))
            lease_of(request).grow(len(body))
            return body

        return encoded_response(await run_while_awaited(request, self.pools.reading, read))
