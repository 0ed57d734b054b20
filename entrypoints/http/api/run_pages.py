"""Pages of runs, streamed in parts: at most one part of each page is in memory."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
from aiohttp import hdrs, web

from adapters.content_coding import Encoder, encoder, encoder_bytes
from adapters.wire.encode import encode, encode_runs, page_ending
from core.errors import RunsinkError
from core.model.listing import Cursor, PageRequest, RunFilter, RunPage
from core.ports.cancellation import Cancellation
from core.use_cases.query import list_part, rest_of
from entrypoints.application import Application
from entrypoints.http.messages.compression import choose_coding
from entrypoints.http.messages.request_log import route_of
from entrypoints.http.messages.responses import encoded_response
from entrypoints.http.pressure.worker_pool import WorkerPool
from entrypoints.http.transport.connections import connection_of, lease_of, run_while_awaited

_log: Final = logging.getLogger("runsink")


class PageSender:
    """Sends one page of runs.

    A page that fits in one part is sent whole. A larger one is read and sent part by part, each from its own snapshot
    of the store; no run is sent twice.
    """

    def __init__(self, request: web.Request, application: Application, pool: WorkerPool, which: RunFilter) -> None:
        self._request = request
        self._application = application
        self._pool = pool
        self._which = which
        self._lease = lease_of(request)
        self._coding = choose_coding(request)

    async def send(self, asked: PageRequest) -> web.StreamResponse:
        """Return the response, already sent if it came in parts.

        Raises:
            OverloadedError: there is no capacity for the first part.
            StoreError: the first part cannot be read.
        """
        first = await self._read(asked, partial(self._encode_first, asked), begun=False)
        if first.rest is None:
            return encoded_response(first.body)
        headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.VARY: "Accept-Encoding"}
        if self._coding is not None:
            headers[hdrs.CONTENT_ENCODING] = self._coding
        response = web.StreamResponse(headers=headers)
        if self._request.method != hdrs.METH_HEAD:
            await self._send_parts(response, encoder(self._coding), asked, first)
        return response

    async def _send_parts(
        self, response: web.StreamResponse, coder: Encoder, asked: PageRequest, first: "_Part"
    ) -> None:
        part, total = first, first.total
        try:
            await response.prepare(self._request)
            await _write(response, coder.compress(part.body))
            while part.rest is not None:
                part = await self._read(part.rest, partial(self._encode_following, coder), begun=True)
                await _write(response, part.body)
            end = b"]," + encode(page_ending(asked, part.next_cursor, total))[1:]
            await response.write_eof(coder.compress(end) + coder.flush())
        except BaseException as error:
            # Without the last chunk, the client can tell that the page is incomplete.
            connection_of(self._request).abort()
            if isinstance(error, RunsinkError):
                _log.error("the response to GET %s was cut off: %s", route_of(self._request), error)
            raise

    async def _read(self, asked: PageRequest, encode_part: Callable[[RunPage], bytes], *, begun: bool) -> "_Part":
        """Read and encode a part in a thread."""

        def read(cancellation: Cancellation) -> _Part:
            page = self._application.read(partial(list_part, self._which, asked), cancellation)
            return _Part(encode_part(page), page.next_cursor, page.total, rest_of(asked, page))

        return await run_while_awaited(self._request, self._pool, read, begun=begun)

    def _encode_first(self, asked: PageRequest, page: RunPage) -> bytes:
        if rest_of(asked, page) is None:
            ending = encode(page_ending(asked, page.next_cursor, page.total))
            body = b'{"runs":' + encode_runs(page.runs) + b"," + ending[1:]
            self._lease.grow(len(body))
        else:
            body = b'{"runs":' + encode_runs(page.runs)[:-1]
            self._lease.grow(len(body) + encoder_bytes(self._coding))
        return body

    def _encode_following(self, coder: Encoder, page: RunPage) -> bytes:
        # Empty if the remaining runs were deleted meanwhile.
        body = b"," + encode_runs(page.runs)[1:-1] if page.runs else b""
        self._lease.resize(len(body) + encoder_bytes(self._coding))
        return coder.compress(body)


@attrs.frozen
class _Part:
    """An encoded part and the request for the rest; its runs are not kept while it is sent."""

    body: bytes
    next_cursor: Cursor | None
    total: int | None
    rest: PageRequest | None


async def _write(response: web.StreamResponse, body: bytes) -> None:
    """Send a piece and wait until most of it is sent; do nothing if an encoder has no output yet."""
    if body:
        await response.write(body)
