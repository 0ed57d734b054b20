"""Start and stop the HTTP server."""

import asyncio
import select
import socket
from collections.abc import Sequence
from importlib.metadata import version

import attrs
from aiohttp import web

from entrypoints.application import Application
from entrypoints.http.api.context import Context
from entrypoints.http.api.exports import Exports
from entrypoints.http.api.jobs import Jobs, JobsResource
from entrypoints.http.api.metadata import MetadataResource
from entrypoints.http.api.operations import Operations
from entrypoints.http.api.runs import Runs
from entrypoints.http.api.stream import Stream
from entrypoints.http.api.stream_taker import MIN_BYTES_PER_SECOND, StreamSlots
from entrypoints.http.api.uploads import Uploads
from entrypoints.http.guard.access import Access
from entrypoints.http.guard.origins import Origins
from entrypoints.http.messages.responses import check_expectation
from entrypoints.http.middleware import Pipeline
from entrypoints.http.pressure.admission import AdmissionControl
from entrypoints.http.pressure.completions import Completions
from entrypoints.http.pressure.readiness import Readiness
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.transport.connections import CUT_SECONDS, ConnectionLimits, Connections
from entrypoints.http.transport.listening import BACKLOG
from entrypoints.settings import Settings

ACCEPT_SECONDS = 1.0
"""Maximum time spent accepting the backlog on shutdown, while new connections keep arriving."""


@attrs.frozen
class RunningServer:
    """A server that accepts connections."""

    _sockets: Sequence[socket.socket]
    _sites: Sequence[web.SockSite]
    _runner: web.ServerRunner
    _app_runner: web.AppRunner
    _connections: Connections
    _pools: Pools
    _drain_seconds: float

    async def close(self) -> float:
        """Stop accepting connections, finish the requests in flight, then stop. The application stays open.

        Return the seconds left of the drain time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        await self._accept_waiting()
        for site in self._sites:
            await site.stop()
        # aiohttp's own shutdown discards the rest of bodies still arriving, so it comes last.
        await self._connections.drain(self._drain_seconds - 2 * CUT_SECONDS)
        await self._runner.cleanup()
        await self._app_runner.cleanup()
        # Reads still running were cancelled with their requests and end in a moment.
        self._pools.close(max(CUT_SECONDS, deadline - loop.time()))
        return max(0.0, deadline - loop.time())

    async def _accept_waiting(self) -> None:
        """Accept the backlog: its clients are already connected, and closing the listener would reset them."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ACCEPT_SECONDS
        while select.select(self._sockets, [], [], 0)[0] and loop.time() < deadline:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        # The last accepted sockets become connections in the next iterations of the loop.
        for _ in range(3):
            await asyncio.sleep(0)


async def start_server(
    application: Application, jobs: Jobs, settings: Settings, access: Access, sockets: Sequence[socket.socket]
) -> RunningServer:
    """Accept connections from these listening sockets, which are closed with the server."""
    pools = Pools.start()
    limits = ConnectionLimits.of(settings)
    draining = asyncio.Event()
    uploads = AdmissionControl(settings.max_queue_bytes, "waiting to be written")
    responses = AdmissionControl(settings.max_queue_bytes, "waiting to be read")
    origins = Origins.of(settings, access.keyring)
    pipeline = Pipeline(uploads, responses, origins, access, pools.compressing, draining)
    app = web.Application(middlewares=[pipeline.handle])
    app.on_response_prepare.extend([access.tell_limits, origins.tell_browser])
    context = Context(application, access, Completions(), pools)
    readiness = Readiness(application, context.completions, uploads, draining)
    shown_limits = {
        **attrs.asdict(application.limits),
        **attrs.asdict(limits),
        "max_queue_bytes": settings.max_queue_bytes,
        "max_streams": settings.max_streams,
        "min_stream_bytes_per_second": MIN_BYTES_PER_SECOND,
    }
    stream = Stream(context, jobs, StreamSlots(settings.max_streams, draining), settings.body_seconds)
    operations = Operations(context, readiness, shown_limits, version("runsink"))
    app.add_routes(api_routes(context, settings.partial_status, stream, operations))
    app_runner = web.AppRunner(app)
    await app_runner.setup()
    assert app_runner.server is not None  # noqa: S101 - created by setup
    connections = Connections(
        app_runner.server, limits, draining, lambda: uploads.take_pressure() | responses.take_pressure()
    )
    runner = web.ServerRunner(connections, shutdown_timeout=CUT_SECONDS)
    await runner.setup()
    # The loop accepts up to ``backlog`` connections at a time. A process that shares the socket accepts one, and
    # leaves the others to idle processes.
    sites = [web.SockSite(runner, listening, backlog=1) for listening in sockets]
    for site, listening in zip(sites, sockets, strict=True):
        await site.start()
        listening.listen(BACKLOG)
    return RunningServer(sockets, sites, runner, app_runner, connections, pools, settings.drain_seconds)


def api_routes(context: Context, partial_status: int, stream: Stream, operations: Operations) -> list[web.RouteDef]:
    """Return every route of the API."""
    routes = [
        *Uploads(context, partial_status).routes(),
        *stream.routes(),
        *JobsResource(context, stream.jobs).routes(),
        *Exports(context).routes(),
        *Runs(context).routes(),
        *MetadataResource(context).routes(),
        *operations.routes(),
    ]
    for route in routes:
        route.kwargs["expect_handler"] = check_expectation
    return routes
