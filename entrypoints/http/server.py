"""Start and stop the HTTP server."""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

import attrs
from aiohttp import web

from adapters.prometheus import Exposition, ServerState
from entrypoints.application import Application
from entrypoints.http.api.api_description import ApiDescription
from entrypoints.http.api.context import Context
from entrypoints.http.api.exports import Exports
from entrypoints.http.api.jobs import Jobs, JobsResource
from entrypoints.http.api.metadata import MetadataResource
from entrypoints.http.api.metrics import MetricsResource
from entrypoints.http.api.operations import Operations
from entrypoints.http.api.otlp import Otlp
from entrypoints.http.api.refusals import Refusals
from entrypoints.http.api.runs import Runs
from entrypoints.http.api.statistics import StatisticsResource
from entrypoints.http.api.stream import Stream
from entrypoints.http.api.stream_taker import MIN_BYTES_PER_SECOND, StreamSlots
from entrypoints.http.api.tree import TreeResource
from entrypoints.http.api.uploads import Uploads
from entrypoints.http.guard.access import Access
from entrypoints.http.guard.origins import Origins
from entrypoints.http.messages.request_log import RequestLog
from entrypoints.http.messages.responses import check_expectation
from entrypoints.http.middleware import Pipeline
from entrypoints.http.pressure.admission import AdmissionControl
from entrypoints.http.pressure.completions import Completions
from entrypoints.http.pressure.readiness import Readiness
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.rejections import Reason
from entrypoints.http.transport.accepting import Acceptor, ConnectionShare
from entrypoints.http.transport.connection_limits import ConnectionLimits
from entrypoints.http.transport.connections import CUT_SECONDS, Connections, ServerHooks
from entrypoints.http.transport.listening import Listeners
from entrypoints.http.ui.page import Page
from entrypoints.settings import Settings

METRICS_CONNECTIONS = 32
"""Maximum connections to the separate port of the metrics; a scraper uses one or two."""


@attrs.frozen
class Backend:
    """What is served: the store with its use cases, the jobs, and the metrics of both and of the server."""

    application: Application
    jobs: Jobs
    exposition: Exposition


@attrs.frozen
class _Endpoint:
    """Listening sockets, and the web application behind them."""

    acceptors: Sequence[Acceptor]
    runner: web.ServerRunner
    app_runner: web.AppRunner
    connections: Connections

    async def stop_accepting(self) -> None:
        """Accept the backlog, then close the listening sockets."""
        for acceptor in self.acceptors:
            await acceptor.close()

    async def close(self) -> None:
        """Abort what is left of the connections."""
        await self.runner.cleanup()
        await self.app_runner.cleanup()


@attrs.frozen
class _Mounted:
    """Routes, and the prefix under which a proxy publishes them."""

    routes: Sequence[web.RouteDef]
    root_path: str | None


@attrs.frozen
class RunningServer:
    """A server that accepts connections. ``_metrics_endpoint`` serves the metrics, if they have a port of their own."""

    _endpoint: _Endpoint
    _metrics_endpoint: _Endpoint | None
    _pools: Pools
    _drain_seconds: float

    async def close(self) -> float:
        """Stop accepting connections, finish the requests in flight, then stop. The application stays open.

        Return the seconds left of the drain time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        await self._endpoint.stop_accepting()
        # aiohttp's own shutdown discards the rest of bodies still arriving, so it comes last.
        await self._endpoint.connections.drain(self._drain_seconds - 2 * CUT_SECONDS)
        await self._endpoint.close()
        if self._metrics_endpoint is not None:
            # Nobody loses anything by a scrape that is broken off.
            await self._metrics_endpoint.stop_accepting()
            await self._metrics_endpoint.close()
        # Reads still running were cancelled with their requests and end in a moment.
        self._pools.close(max(CUT_SECONDS, deadline - loop.time()))
        return max(0.0, deadline - loop.time())


async def start_server(
    backend: Backend,
    settings: Settings,
    access: Access,
    listeners: Listeners,
    share: ConnectionShare | None = None,
) -> RunningServer:
    """Accept connections from these listening sockets, which are closed with the server.

    A process that shares them with others has a ``share``.
    """
    application, exposition = backend.application, backend.exposition
    pools = Pools.start()
    limits = ConnectionLimits.of(settings)
    draining = asyncio.Event()
    uploads = AdmissionControl(settings.max_queue_bytes, "waiting to be written", Reason.REQUEST_BYTES)
    responses = AdmissionControl(settings.max_queue_bytes, "waiting to be read", Reason.RESPONSE_BYTES)
    origins = Origins.of(settings, access.keyring)
    hooks = ServerHooks(
        draining,
        lambda: uploads.take_pressure() | responses.take_pressure(),
        exposition.metrics,
        RequestLog(access.token_name),
        share or ConnectionShare.alone(),
    )
    pipeline = Pipeline(uploads, responses, origins, access, pools.compressing, draining, exposition.metrics)
    context = Context(application, access, Completions(), pools, settings.root_path or "", version("runsink"))
    readiness = Readiness(application, context.completions, uploads, draining)
    shown_limits = {
        **attrs.asdict(application.limits),
        **attrs.asdict(limits),
        "max_queue_bytes": settings.max_queue_bytes,
        "max_streams": settings.max_streams,
        "keep_refusals": settings.keep_refusals,
        "min_stream_bytes_per_second": MIN_BYTES_PER_SECOND,
    }
    slots = StreamSlots(settings.max_streams, draining)
    stream = Stream(context, backend.jobs, slots, settings.body_seconds)
    operations = Operations(context, readiness, shown_limits)
    metrics = MetricsResource(exposition, application.store, pools.scraping)
    routes = [
        *api_routes(context, settings.partial_status, stream, operations, None if listeners.metrics else metrics),
        *page_routes(context),
    ]
    mounted = _Mounted(routes, settings.root_path)
    endpoint = await _open(pipeline, mounted, limits, listeners.api, hooks)
    if application.refusals is not None:
        exposition.metrics.watch_dropped_refusals(application.refusals.count_dropped)
    exposition.metrics.watch_server(partial(_state_of, endpoint.connections, pipeline, context, slots))
    metrics_endpoint = None
    if listeners.metrics:
        few = attrs.evolve(limits, max_connections=METRICS_CONNECTIONS)
        mounted = _Mounted(metrics.routes(), settings.root_path)
        own = attrs.evolve(hooks, take_pressure=lambda: False, share=ConnectionShare.alone())
        metrics_endpoint = await _open(pipeline, mounted, few, listeners.metrics, own)
    return RunningServer(endpoint, metrics_endpoint, pools, settings.drain_seconds)


def _state_of(connections: Connections, pipeline: Pipeline, context: Context, slots: StreamSlots) -> ServerState:
    return ServerState(
        connections=connections.number,
        connections_limit=connections.limits.max_connections,
        streams=slots.used,
        streams_limit=slots.limit,
        in_flight_bytes={"request": pipeline.uploads.held, "response": pipeline.responses.held},
        in_flight_limit_bytes=pipeline.uploads.limit,
        waiting_commands=context.application.writer.waiting,
        waiting_calls={name: pool.waiting for name, pool in context.pools.by_name().items()},
    )


async def _open(
    pipeline: Pipeline,
    mounted: _Mounted,
    limits: ConnectionLimits,
    sockets: Sequence[socket.socket],
    hooks: ServerHooks,
) -> _Endpoint:
    """Accept connections from these sockets, and serve these routes."""
    app = web.Application(middlewares=[pipeline.handle])
    app.on_response_prepare.append(pipeline.complete_head)
    app.add_routes(mounted.routes)
    app_runner = web.AppRunner(app)
    await app_runner.setup()
    assert app_runner.server is not None  # noqa: S101 - created by setup
    connections = Connections(app_runner.server, limits, hooks, mounted.root_path)
    runner = web.ServerRunner(connections, shutdown_timeout=CUT_SECONDS)
    await runner.setup()
    acceptors = [Acceptor(listening, connections, hooks.share) for listening in sockets]
    return _Endpoint(acceptors, runner, app_runner, connections)


def api_routes(
    context: Context,
    partial_status: int,
    stream: Stream,
    operations: Operations,
    metrics: MetricsResource | None,
) -> list[web.RouteDef]:
    """Return every route of the API; the metrics may be served elsewhere."""
    routes = [
        *Uploads(context, partial_status).routes(),
        *stream.routes(),
        *Otlp(context).routes(),
        *JobsResource(context, stream.jobs).routes(),
        *Exports(context).routes(),
        *Runs(context).routes(),
        *TreeResource(context).routes(),
        *StatisticsResource(context).routes(),
        *MetadataResource(context).routes(),
        *Refusals(context).routes(),
        *operations.routes(),
        *(metrics.routes() if metrics else ()),
        *ApiDescription(context).routes(),
    ]
    return _with_expectations(routes)


def page_routes(context: Context) -> list[web.RouteDef]:
    """Return every route of the page."""
    return _with_expectations(Page(context).routes())


def _with_expectations(routes: list[web.RouteDef]) -> list[web.RouteDef]:
    for route in routes:
        route.kwargs["expect_handler"] = check_expectation
    return routes
