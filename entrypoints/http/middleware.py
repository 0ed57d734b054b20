"""The middleware that every request and response passes through."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import attrs
from aiohttp import web

from adapters.tracebacks import release_locals
from entrypoints.http.guard.access import Access
from entrypoints.http.guard.origins import Origins
from entrypoints.http.messages.compression import MIN_COMPRESSED_BYTES, compress
from entrypoints.http.messages.export_responses import TRACES_PATH, export_error_response
from entrypoints.http.messages.responses import REASON, error_response, tell_request_id
from entrypoints.http.pressure.admission import AdmissionControl
from entrypoints.http.pressure.worker_pool import WorkerPool
from entrypoints.http.rejections import RequestObserver
from entrypoints.http.transport.connections import connection_of
from entrypoints.http.transport.framing import check_framing

_READING: Final = ("GET", "HEAD")

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"})

_UNKNOWN: Final = "unknown"
"""The metrics' name for every method and path that the server does not know: clients must not choose a label."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class Pipeline:
    """Check, handle and respond. One middleware, since each costs every request some microseconds."""

    uploads: AdmissionControl
    responses: AdmissionControl
    origins: Origins
    access: Access
    compressing: WorkerPool
    draining: asyncio.Event
    observer: RequestObserver

    @web.middleware
    async def handle(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Respond to a request. Its bytes count as in flight until the response is sent."""
        begun = time.perf_counter()
        admission = self.responses if request.method in _READING else self.uploads
        connection = connection_of(request)
        with admission.lease() as lease:
            connection.lease = lease
            try:
                response = await self._respond(request, handler)
            except asyncio.CancelledError:
                connection.note_abandoned(request)
                raise
            if isinstance(response, web.Response) and isinstance(body := response.body, bytes):
                # What was done is done: a response that came out larger than expected counts, and is not rejected.
                lease.hold(len(body))
                if len(body) >= MIN_COMPRESSED_BYTES:
                    await compress(request, response, body, self.compressing)
            if self.draining.is_set():
                response.force_close()
            # The client may have disconnected.
            with suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
            if isinstance(response, web.Response):
                # Request and response refer to each other, so they stay until the garbage collector finds them.
                response.body = None
        self._note(request, response, time.perf_counter() - begun)
        return response

    async def complete_head(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every response has, errors included (a response-prepare signal)."""
        self.access.tell_limits(request, response)
        self.origins.tell_browser(request, response)
        tell_request_id(response)

    async def _respond(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Return the handler's response, or an error response."""
        try:
            check_framing(request)
            preflight = self.origins.check(request)
            if preflight is not None:
                return preflight
            self.access.check(request)
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - the client still gets a response
            respond = export_error_response if request.path == TRACES_PATH else error_response
            response = respond(error, request)
            release_locals(error)
            return response

    def _note(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        resource = request.match_info.route.resource
        method = request.method if request.method in _METHODS else _UNKNOWN
        self.observer.note_request(method, resource.canonical if resource else _UNKNOWN, response.status, seconds)
        if (reason := response.get(REASON)) is not None:
            self.observer.note_rejection(reason)
