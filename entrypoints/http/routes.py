"""The routes of the contract: each handler turns a request into one use case and its result into an answer."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import attrs
from aiohttp import web

from adapters.wire.decode import decode_json
from adapters.wire.encode import batch_answer, metadata_answer
from adapters.wire.query import format_cursor, parse_list_query
from core.amend import associate_commit, update_run
from core.batch import BatchResult, Candidate
from core.ingest import create_run, ingest_atomic, ingest_lenient
from core.ports.repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from core.query import get_run, list_runs, read_metadata
from entrypoints.application import Application
from entrypoints.http.answers import answer_expectation, json_response
from entrypoints.http.bodies import read_json_body
from entrypoints.http.outcomes import Outcomes

_T = TypeVar("_T")

INLINE_BODY_BYTES = 256 * 1024
"""Bodies up to this size are decoded on the event loop: it takes 2 or 3 ms, and a change of threads costs more."""


@attrs.frozen
class Routes:
    """The handlers, over one application.

    ``executor`` takes what would hold up the event loop: reading the store, and decoding large bodies.
    """

    application: Application
    outcomes: Outcomes
    executor: Executor
    partial_status: int
    version: str

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
            route.kwargs["expect_handler"] = answer_expectation
        return routes

    async def post_batch(self, request: web.Request) -> web.Response:
        """The lenient upload: good runs are stored, bad ones named."""
        return await self._ingest(request, ingest_lenient, self.partial_status)

    async def post_batch_transactional(self, request: web.Request) -> web.Response:
        """The atomic upload: all runs are stored, or none."""
        return await self._ingest(request, ingest_atomic, HTTPStatus.CREATED)

    async def post_run(self, request: web.Request) -> web.Response:
        """One run, created or there before."""
        body = await self._body(request)
        candidate = self.application.decoder.run(body, self.application.clock.now())
        return json_response(await self._write(partial(create_run, candidate)), status=HTTPStatus.CREATED)

    async def get_runs(self, request: web.Request) -> web.Response:
        """A page of runs."""
        which, page_request = parse_list_query(request.query, self.application.structurer, self.application.limits)
        page = await self._read(partial(list_runs, which, page_request))
        answer = {
            "runs": page.runs,
            "total": page.total,
            "limit": page_request.limit,
            "offset": page_request.offset,
            "next_cursor": format_cursor(page.next_cursor) if page.next_cursor else None,
        }
        return json_response(answer)

    async def get_run(self, request: web.Request) -> web.Response:
        """The newest run of a name."""
        return json_response(await self._read(partial(get_run, request.match_info["run_id"])))

    async def patch_run(self, request: web.Request) -> web.Response:
        """Change what may change about a run."""
        changes = self.application.structurer.changes(decode_json(await self._body(request)))
        command = partial(update_run, request.match_info["event_id"], changes, self.application.clock.now())
        return json_response(await self._write(command))

    async def post_commit(self, request: web.Request) -> web.Response:
        """Tie a commit to a run."""
        commit = self.application.structurer.commit(decode_json(await self._body(request)))
        command = partial(associate_commit, request.match_info["event_id"], commit, self.application.clock.now())
        return json_response(await self._write(command))

    async def get_metadata(self, _request: web.Request) -> web.Response:
        """The distinct agent names and job types."""
        return json_response(metadata_answer(await self._read(read_metadata)))

    async def get_limits(self, _request: web.Request) -> web.Response:
        """The limits in force."""
        return json_response(self.application.limits)

    async def get_health(self, _request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        return json_response({"status": "ok", "version": self.version})

    async def get_ready(self, _request: web.Request) -> web.Response:
        """Whether a write would be taken: one that writes nothing was."""
        await self._write(lambda _work: None)
        return json_response({"status": "ready"})

    async def _ingest(
        self,
        request: web.Request,
        use_case: Callable[[Sequence[Candidate], UnitOfWork], BatchResult],
        partial_status: int,
    ) -> web.Response:
        body = await self._body(request)
        decode = partial(self.application.decoder.batch, body, self.application.clock.now())
        batch = decode() if len(body) <= INLINE_BODY_BYTES else await self._run_in_thread(decode)
        result = await self._write(partial(use_case, batch))
        minimal = _prefers_minimal(request)
        return json_response(
            batch_answer(result, minimal=minimal),
            status=partial_status if result.failed else HTTPStatus.CREATED,
            headers={"Preference-Applied": "return=minimal"} if minimal else None,
        )

    async def _body(self, request: web.Request) -> bytes:
        return await read_json_body(request, self.application.limits.max_body_bytes)

    async def _write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        return await self.outcomes.wait(self.application.write(command))

    async def _read(self, query: Callable[[RunReader], _T]) -> _T:
        return await self._run_in_thread(partial(self.application.read, query))

    async def _run_in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)


def _prefers_minimal(request: web.Request) -> bool:
    """Whether the client asked for ``return=minimal`` (RFC 7240, section 4.2)."""
    preferences = ",".join(request.headers.getall("Prefer", ())).split(",")
    # The first of several preferences of one name counts (RFC 7240, section 2).
    returns = (parts for parts in map(_preference, preferences) if parts[0] == "return")
    return next(returns, ("return", ""))[1] == "minimal"


def _preference(text: str) -> tuple[str, str]:
    name, _, value = text.partition(";")[0].partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()
