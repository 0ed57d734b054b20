"""Starting and stopping the HTTP server."""

import asyncio
import logging
import select
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version

import attrs
from aiohttp import web
from aiohttp.typedefs import Middleware

from core.errors import RunsinkError
from entrypoints.application import Application
from entrypoints.http.api.routes import Routes
from entrypoints.http.guard.access import Access
from entrypoints.http.guard.origins import Origins
from entrypoints.http.messages.compression import compress_with
from entrypoints.http.messages.request_body import UnacceptableBodyError
from entrypoints.http.messages.responses import detail_response, error_response
from entrypoints.http.pressure.admission import AdmissionControl, OverloadedError
from entrypoints.http.pressure.completions import Outcomes
from entrypoints.http.pressure.readiness import Readiness
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.transport.connections import (
    CUT_SECONDS,
    ConnectionLimits,
    Connections,
    SlowBodyError,
    connection_of,
)
from entrypoints.http.transport.framing import find_ambiguity
from entrypoints.http.transport.listening import BACKLOG
from entrypoints.settings import Settings

_log = logging.getLogger("runsink")

ACCEPT_SECONDS = 1.0
"""How long those who are waiting to be accepted are accepted when the server stops, while others go on coming."""

_READING = ("GET", "HEAD")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class RunningServer:
    """A server that takes connections."""

    _sockets: Sequence[socket.socket]
    _sites: Sequence[web.SockSite]
    _runner: web.ServerRunner
    _app_runner: web.AppRunner
    _connections: Connections
    _pools: Pools
    _drain_seconds: float

    async def close(self) -> float:
        """Take no more connections, answer what has begun, then stop. The application stays open.

        Returns the seconds that are left of the time for draining.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        await self._accept_waiting()
        for site in self._sites:
            await site.stop()
        # aiohttp's own shutdown throws away the rest of bodies that are still arriving, so it comes after.
        await self._connections.drain(self._drain_seconds - 2 * CUT_SECONDS)
        await self._runner.cleanup()
        await self._app_runner.cleanup()
        # What still reads was cancelled with its request, and is given up in a moment.
        self._pools.close(max(CUT_SECONDS, deadline - loop.time()))
        return max(0.0, deadline - loop.time())

    async def _accept_waiting(self) -> None:
        """Accept those who are connected as far as they can tell: closing the listener would cut them off."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACCEPT_SECONDS
        while select.select(self._sockets, [], [], 0)[0] and loop.time() < deadline:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        # What was accepted last becomes a connection in the next rounds of the loop.
        for _ in range(3):
            await asyncio.sleep(0)


async def start_server(
    application: Application, settings: Settings, access: Access, sockets: Sequence[socket.socket]
) -> RunningServer:
    """Take connections from these listening sockets, which are closed with the server."""
    pools = Pools.start()
    limits = ConnectionLimits.of(settings)
    draining = asyncio.Event()
    outcomes = Outcomes()
    uploads = AdmissionControl(settings.max_queue_bytes, "wait to be written")
    responses = AdmissionControl(settings.max_queue_bytes, "wait to be read")
    routes = Routes(
        application=application,
        access=access,
        outcomes=outcomes,
        readiness=Readiness(application, outcomes, uploads, draining),
        connection_limits=limits,
        max_queue_bytes=settings.max_queue_bytes,
        pools=pools,
        partial_status=settings.partial_status,
        version=version("runsink"),
    )
    origins = Origins.of(settings, access.keyring)
    app = web.Application(
        middlewares=[
            _send_within(uploads, responses, draining),
            _refuse_ambiguous,
            compress_with(pools.compressing),
            _answer,
            origins.guard,
            access.admit,
        ]
    )
    app.on_response_prepare.extend([access.tell_limits, origins.tell_browser])
    app.add_routes(routes.table())
    app_runner = web.AppRunner(app)
    await app_runner.setup()
    assert app_runner.server is not None  # noqa: S101 - setup has made it
    connections = Connections(
        app_runner.server, limits, draining, lambda: uploads.take_pressure() | responses.take_pressure()
    )
    runner = web.ServerRunner(connections, shutdown_timeout=CUT_SECONDS)
    await runner.setup()
    # The loop accepts up to ``backlog`` connections at a time: of processes that share a socket, each is to take one
    # and leave the others to those that are idle.
    sites = [web.SockSite(runner, listening, backlog=1) for listening in sockets]
    for site, listening in zip(sites, sockets, strict=True):
        await site.start()
        listening.listen(BACKLOG)
    return RunningServer(sockets, sites, runner, app_runner, connections, pools, settings.drain_seconds)


def _send_within(uploads: AdmissionControl, responses: AdmissionControl, draining: asyncio.Event) -> Middleware:
    """The middleware: a request holds its bytes in flight until its response is sent."""

    @web.middleware
    async def send_within(request: web.Request, handler: _Handler) -> web.StreamResponse:
        admission = responses if request.method in _READING else uploads
        with admission.lease() as lease:
            connection_of(request).lease = lease
            response = await handler(request)
            if draining.is_set():
                response.force_close()
            # A client that is gone has no use for it.
            with suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
        return response

    return send_within


@web.middleware
async def _refuse_ambiguous(request: web.Request, handler: _Handler) -> web.StreamResponse:
    ambiguity = find_ambiguity(request)
    if ambiguity is not None:
        return _last_response(HTTPStatus.BAD_REQUEST, ambiguity)
    return await handler(request)


@web.middleware
async def _answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error leaves as JSON with a ``detail``."""
    try:
        return await handler(request)
    except RunsinkError as error:
        return error_response(error)
    except (OverloadedError, UnacceptableBodyError) as error:
        return detail_response(error.status, error.detail, error.headers)
    except (SlowBodyError, web.RequestPayloadError, ConnectionError) as error:
        return _broken_body(error)
    except web.HTTPException as error:
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return detail_response(error.status, f"{error.reason}: {request.method} {request.path}", allowed)
    except Exception:  # noqa: BLE001 - the client still gets an answer
        # The path as it was sent: decoded it may hold a line break.
        _log.exception("%s %s failed", request.method, request.raw_path)
        return detail_response(500, "internal error; the server's log says more")


def _broken_body(error: SlowBodyError | web.RequestPayloadError | ConnectionError) -> web.Response:
    """The last answer of a connection on which no end of the body is to be found; to one that is lost, nobody's."""
    if isinstance(error, SlowBodyError):
        return _last_response(HTTPStatus.REQUEST_TIMEOUT, str(error))
    return _last_response(HTTPStatus.BAD_REQUEST, "the body is malformed HTTP (RFC 9112, section 7.1)")


def _last_response(status: HTTPStatus, detail: str) -> web.Response:
    """An error after which the connection cannot be used."""
    response = detail_response(status, detail)
    response.force_close()
    return response
