"""Connections with deadlines and a maximum number, and JSON responses to malformed HTTP.

aiohttp (3.14, ``aiohttp.web_protocol.RequestHandler``) times out only idle connections. A client that sends a head or a
body, or reads a response, too slowly holds its connection forever. The number of connections is unlimited, and
malformed HTTP gets a plain-text response before the application sees it. So this module subclasses aiohttp's protocol
and server, using and overriding only public names, but for a look at the messages that the parser has queued.

One periodic sweep checks all deadlines, so that requests need no timers.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

import attrs
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from core.ports.cancellation import Cancellation
from entrypoints.http.messages.request_log import RequestLog
from entrypoints.http.messages.responses import SlowBodyError, error_response, raw_response
from entrypoints.http.pressure.admission import Lease
from entrypoints.http.pressure.worker_pool import WorkerPool
from entrypoints.http.rejections import Reason, RequestObserver
from entrypoints.http.transport.accepting import ConnectionShare
from entrypoints.http.transport.connection_limits import ConnectionLimits
from entrypoints.http.transport.mounting import mount
from entrypoints.request_ids import HEADER, RequestIds, current_request_id

_T = TypeVar("_T")

SWEEP_SECONDS: Final = 0.5
"""Interval of the sweep, by which a connection may outlive its deadline."""

LINGERING_SECONDS: Final = 10.0
"""What aiohttp allows by default."""

STANDSTILL_SECONDS: Final = 5.0
"""How long a client may transfer no byte while others are rejected for lack of capacity."""

CUT_SECONDS: Final = 0.2
"""How long aiohttp may wait, twice, for requests still in flight after the drain time."""


class Phase(Enum):
    """The state of a connection."""

    FRESH = auto()
    """Nothing has arrived yet."""
    HEAD = auto()
    """The head of a request is arriving."""
    REQUEST = auto()
    """A request is in flight."""
    STREAM = auto()
    """The same, without a total deadline: the handler checks the pace."""
    RESTING = auto()
    """Idle between two requests."""
    CLOSING = auto()
    """The last response may still be in transit."""


class Connection(web.RequestHandler):
    """The connection of one client."""

    __slots__ = (
        "_begun_at",
        "_connections",
        "_head_bytes",
        "_link",
        "_moved_at",
        "_payload",
        "_phase",
        "_reading",
        "_seconds",
        "_since",
        "_stalled_since",
        "_unsent",
        "lease",
    )

    def __init__(self, connections: "Connections", options: Mapping[str, Any]) -> None:
        super().__init__(connections, loop=asyncio.get_running_loop(), **options)
        self._connections = connections
        self._seconds = connections.seconds
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._head_bytes = 0
        self._stalled_since: float | None = None
        self._unsent = 0
        self._reading: asyncio.Task[Any] | None = None
        self.lease: Lease | None = None
        """The bytes in flight of the current request."""
        self._enter(Phase.FRESH)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - always so for TCP
        self._link = transport
        if self._connections.join(self):
            super().connection_made(transport)
        else:
            # Respond at once, so that the client can go elsewhere or retry. In the listener's backlog it would wait for
            # an unknown time, health checks included. Do not wait for its request: that would use up the descriptors
            # that the limit protects.
            limit = self._connections.limits.max_connections
            self._connections.observer.note_rejection(Reason.CONNECTIONS)
            self._respond_raw(HTTPStatus.SERVICE_UNAVAILABLE, f"more than {limit} connections (max_connections)")
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.leave(self)
        if self._reading is not None:
            self._reading.cancel()
        super().connection_lost(exc)

    @contextmanager
    def cancelled_when_lost(self) -> Iterator[None]:
        """Cancel the current task if the client disconnects during the block."""
        self._reading = asyncio.current_task()
        try:
            yield
        finally:
            self._reading = None

    def data_received(self, data: bytes) -> None:
        self._moved_at = self._connections.time()
        if self._phase is Phase.HEAD:
            limit = self._connections.limits.max_header_bytes
            if self._head_bytes > limit:
                detail = f"the request head exceeds {limit} bytes (max_header_bytes)"
                self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
                return
            self._head_bytes += len(data)
        # The body of a request answered early may still be arriving.
        elif self._phase not in (Phase.REQUEST, Phase.STREAM) and data and self._payload.is_eof():
            self._enter(Phase.HEAD)
            self._head_bytes = len(data)
        super().data_received(data)
        if self._phase in (Phase.REQUEST, Phase.STREAM):
            self._end_malformed_body()

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp always returns None
        """Have a client that sends no more in the middle of a body told so, and of a stream what was stored.

        Return whether the connection stays open for the response.
        """
        if self._phase not in (Phase.REQUEST, Phase.STREAM) or self._payload.is_eof():
            return False
        self._payload.set_exception(web.RequestPayloadError("the client sent no more"))
        return True

    def begin(self, payload: StreamReader) -> None:
        """Note that the head of a request has arrived."""
        self._payload = payload
        self._enter(Phase.REQUEST)
        self._begun_at = self._since
        self._end_malformed_body()

    def _end_malformed_body(self) -> None:
        """End the wait for the rest of a body whose chunks are malformed: aiohttp's parser in C leaves it waiting."""
        # Before a body has ended, nothing but an error can follow it.
        if self._messages and not self._payload.is_eof():
            self._payload.set_exception(web.RequestPayloadError("the body is malformed"))

    def begin_stream(self) -> None:
        """Let the body of the request that has begun take any time."""
        self._enter(Phase.STREAM)

    def end_stream(self) -> None:
        """Note that no more of the body is wanted: from now on the client has to read its response."""
        self._enter(Phase.REQUEST)
        if self._stalled_since is not None:
            self._stalled_since = self._moved_at

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            # Raised before the application's own code, by an expectation on an unknown path.
            resp = error_response(resp, request)
        if not resp.prepared:
            # The application has not seen the request, or could not respond.
            resp.headers[HEADER] = current_request_id() or ""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._enter(Phase.RESTING)
            self._connections.log.note(request, resp.status, self._since - self._begun_at)

    def note_abandoned(self, request: web.BaseRequest) -> None:
        """Log a request that gets no response, because its client left or the time to drain is over."""
        self._connections.log.note(request, None, self._connections.time() - self._begun_at)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's; it quotes the request, which may contain a token
    ) -> web.StreamResponse:
        """Return the response to a request that never reached the application, or whose response failed."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has already begun") from exc
        response = error_response(exc if isinstance(exc, Exception) else RuntimeError(f"status {status}"), request)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an exception, except for client errors: the client is told, or has left, and must not flood the log."""
        error = kw.get("exc_info")
        is_told = isinstance(error, web.RequestPayloadError | HttpProcessingError)
        # aiohttp fails if it reads on from a closed connection, or if a handler ends for which it just stopped waiting.
        has_left = self.transport is None and isinstance(error, RuntimeError | asyncio.InvalidStateError)
        if not (is_told or has_left):
            super().log_exception(*args, **kw)

    def pause_writing(self) -> None:
        self._stalled_since = self._moved_at = self._connections.time()
        self._unsent = self._link.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def check(self, now: float, *, pressed: bool) -> None:
        """Enforce the deadlines and, if ``pressed``, that the client keeps transferring bytes."""
        if self._link.is_closing() and self._phase is not Phase.CLOSING:
            self._enter(Phase.CLOSING)
        # A client that streams may read nothing until it has sent everything.
        if self._stalled_since is not None and self._phase is not Phase.STREAM:
            self._note_progress(now)
            if now - self._stalled_since > self._seconds[Phase.CLOSING] or (pressed and self._is_stalled(now)):
                self._link.abort()
                return
        if now - self._since > self._seconds[self._phase]:
            self._end_phase()
        elif pressed and self._phase is Phase.REQUEST and not self._payload.is_eof() and self._is_stalled(now):
            self._payload.set_exception(SlowBodyError(f"no byte of the body arrived for {STANDSTILL_SECONDS} seconds"))

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""
        return self._phase in (Phase.HEAD, Phase.REQUEST, Phase.STREAM)

    @property
    def stalled(self) -> bool:
        """Whether the client does not read what was sent to it."""
        return self._stalled_since is not None

    def _note_progress(self, now: float) -> None:
        unsent = self._link.get_write_buffer_size()
        if unsent < self._unsent:
            self._moved_at = now
        self._unsent = unsent

    def _is_stalled(self, now: float) -> bool:
        return now - self._moved_at > STANDSTILL_SECONDS

    def abort(self) -> None:
        """Close the connection at once, even if a response is in transit."""
        self._link.abort()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._moved_at = self._connections.time()

    def _end_phase(self) -> None:
        if self._phase is Phase.REQUEST:
            # A client that has sent everything is not to blame for a slow response.
            if not self._payload.is_eof():
                self._payload.set_exception(SlowBodyError(_late("the body", self._seconds, self._phase)))
        elif self._phase is Phase.HEAD:
            self._connections.observer.note_rejection(Reason.SLOW_CLIENT)
            self._reject(HTTPStatus.REQUEST_TIMEOUT, _late("the request head", self._seconds, self._phase))
        elif self._phase is Phase.CLOSING:
            self._link.abort()
        else:
            self.force_close()

    def _reject(self, status: HTTPStatus, detail: str) -> None:
        """Respond and close the connection although no complete request has arrived."""
        self._respond_raw(status, detail)
        self.force_close()

    def _respond_raw(self, status: HTTPStatus, detail: str) -> None:
        request_id = self._connections.ids.new()
        self._link.write(raw_response(status, detail, request_id))
        self._connections.log.note_rejected(status, detail, request_id, self._link.get_extra_info("peername"))


@attrs.frozen
class ServerHooks:
    """What the connections of a server ask and report to.

    ``draining`` is set when the server stops. ``take_pressure`` returns whether a request was rejected for lack of room
    since it was called last. ``share`` is told how many connections there are.
    """

    draining: asyncio.Event
    take_pressure: Callable[[], bool]
    observer: RequestObserver
    log: RequestLog
    share: ConnectionShare


class Connections(web.Server):
    """All connections of one server: create, sweep and drain them."""

    def __init__(
        self, inner: web.Server, limits: ConnectionLimits, hooks: ServerHooks, root_path: str | None = None
    ) -> None:
        super().__init__(inner.request_handler, request_factory=self._begin)
        self.limits = limits
        self.draining = hooks.draining
        self.observer = hooks.observer
        self.log = hooks.log
        self._share = hooks.share
        self._take_pressure = hooks.take_pressure
        self.ids = RequestIds()
        self.time = time.monotonic
        self.seconds: Mapping[Phase, float] = {
            Phase.FRESH: limits.max_header_seconds,
            Phase.HEAD: limits.max_header_seconds,
            Phase.REQUEST: limits.max_body_seconds,
            Phase.STREAM: math.inf,
            Phase.RESTING: limits.max_idle_seconds,
            Phase.CLOSING: limits.max_body_seconds,
        }
        self._make_request_of_app = mount(inner.request_factory, root_path)
        self._open: set[Connection] = set()
        self._share.note(0)
        self._options = {
            "access_log": None,
            "auto_decompress": False,
            # aiohttp's timer would abort a head that is arriving, so it must fire after ours.
            "keepalive_timeout": limits.max_idle_seconds + limits.max_header_seconds + 10 * SWEEP_SECONDS,
            # How long the rest of a body is read that was rejected before it was there.
            "lingering_time": min(LINGERING_SECONDS, limits.max_body_seconds),
        }
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def __call__(self) -> Connection:
        return Connection(self, self._options)

    @property
    def number(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def join(self, connection: Connection) -> bool:
        """Add a connection and return ``True``, or return ``False`` if there are too many."""
        has_room = len(self._open) < self.limits.max_connections
        if has_room:
            self._open.add(connection)
        self._share.note(len(self._open))
        return has_room

    def leave(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self._share.note(len(self._open))

    async def drain(self, seconds: float) -> None:
        """Close each connection after its next response, and idle ones once no request is in flight.

        Until then, open connections may still ask whether the server is ready. Return after ``seconds`` at the latest.
        """
        self.draining.set()
        deadline = self.time() + seconds
        while self._open and self.time() < deadline:
            if not any(connection.busy for connection in self._open):
                for connection in list(self._open):
                    connection.force_close()
            await asyncio.sleep(0.02)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the signature is aiohttp's
        """Abort the remaining connections."""
        self._sweeping.cancel()
        await super().shutdown(timeout)
        for connection in list(self._open):
            connection.abort()

    def _begin(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)  # noqa: S101 - created only here
        protocol.begin(payload)
        # The task of the request copies the context.
        self.ids.begin(message.headers.get(HEADER))
        return self._make_request_of_app(message, payload, protocol, writer, task)

    def _sweep(self) -> None:
        now, pressed = self.time(), self._take_pressure()
        for connection in list(self._open):
            connection.check(now, pressed=pressed)
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


def _late(what: str, seconds: Mapping[Phase, float], phase: Phase) -> str:
    name = "max_body_seconds" if phase is Phase.REQUEST else "max_header_seconds"
    return f"{what} did not arrive within {seconds[phase]} seconds ({name})"


def connection_of(request: web.Request) -> Connection:
    """Return the connection of a request."""
    protocol = request.protocol
    assert isinstance(protocol, Connection)  # noqa: S101 - created only here
    return protocol


def lease_of(request: web.Request) -> Lease:
    """Return the lease of a request, held until its response is sent."""
    lease = connection_of(request).lease
    assert lease is not None  # noqa: S101 - set by the middleware
    return lease


async def run_while_awaited(
    request: web.Request, pool: WorkerPool, read: Callable[[Cancellation], _T], *, begun: bool = False
) -> _T:
    """Run ``read`` in a thread of the pool; cancel it if the client disconnects or the server stops.

    Raises:
        OverloadedError: the pool's queue is full and the response has not ``begun``.
    """
    cancellation = Cancellation()
    try:
        with connection_of(request).cancelled_when_lost():
            return await pool.run(partial(read, cancellation), begun=begun)
    except asyncio.CancelledError:
        cancellation.request()
        raise
