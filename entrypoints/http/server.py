"""Starting and stopping the HTTP server."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import attrs
from aiohttp import web
from aiohttp.typedefs import Middleware

from core.errors import RunsinkError
from entrypoints.application import Application
from entrypoints.http.access import Access
from entrypoints.http.answers import detail_response, error_response
from entrypoints.http.bodies import UnacceptableBodyError
from entrypoints.http.compression import compress_with
from entrypoints.http.listening import BACKLOG
from entrypoints.http.outcomes import Outcomes
from entrypoints.http.routes import Routes
from entrypoints.settings import Settings

_log = logging.getLogger("runsink")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


DRAIN_SECONDS = 30
"""How long stopping waits for requests that have begun, and then for answers that are being written; a client that
sends or reads no more must not keep it for ever."""


class _InFlight:
    """The requests that have begun and are not answered yet."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.draining = False

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(self, *_error: object) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def drain(self) -> None:
        """Wait until every request is answered, for as long as that may take."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), DRAIN_SECONDS)


@attrs.frozen
class RunningServer:
    """A server that takes connections."""

    _sites: Sequence[web.SockSite]
    _runner: web.AppRunner
    _in_flight: _InFlight
    _executor: ThreadPoolExecutor

    async def close(self) -> None:
        """Take no more connections, answer what has begun, then stop. The application stays open."""
        for site in self._sites:
            await site.stop()
        # aiohttp's own shutdown throws away the rest of bodies that are still arriving, so it comes after.
        await self._in_flight.drain()
        await self._runner.cleanup()
        self._executor.shutdown()


async def start_server(
    application: Application, settings: Settings, access: Access, sockets: Sequence[socket.socket]
) -> RunningServer:
    """Take connections from these listening sockets, which are closed with the server."""
    executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="runsink")
    in_flight = _InFlight()
    routes = Routes(application, Outcomes(), executor, settings.partial_status, version("runsink"), access)
    app = web.Application(middlewares=[compress_with(executor), _follow(in_flight), access.admit])
    app.on_response_prepare.append(access.tell_limits)
    app.add_routes(routes.table())
    runner = web.AppRunner(
        app, access_log=None, auto_decompress=False, handle_signals=False, shutdown_timeout=DRAIN_SECONDS
    )
    await runner.setup()
    # The loop accepts up to ``backlog`` connections at a time: of processes that share a socket, each is to take one
    # and leave the others to those that are idle.
    sites = [web.SockSite(runner, listening, backlog=1) for listening in sockets]
    for site, listening in zip(sites, sockets, strict=True):
        await site.start()
        listening.listen(BACKLOG)
    return RunningServer(sites, runner, in_flight, executor)


def _follow(in_flight: _InFlight) -> Middleware:
    """The middleware: counts requests, answers errors, and while draining lets each be the last of its connection."""

    @web.middleware
    async def follow(request: web.Request, handler: _Handler) -> web.StreamResponse:
        with in_flight:
            response = await _answer(request, handler)
            if in_flight.draining:
                response.force_close()
            return response

    return follow


async def _answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error leaves as JSON with a ``detail``."""
    try:
        return await handler(request)
    except RunsinkError as error:
        return error_response(error)
    except UnacceptableBodyError as error:
        return detail_response(error.status, error.detail, error.headers)
    except web.HTTPException as error:
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return detail_response(error.status, f"{error.reason}: {request.method} {request.path}", allowed)
    except Exception:  # noqa: BLE001 - the client still gets an answer
        _log.exception("%s %s failed", request.method, request.path)
        return detail_response(500, "internal error; the server's log says more")
