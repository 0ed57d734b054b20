"""Pages of runs, streamed in parts: at most one part of each page is in memory."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs
from aiohttp import hdrs, web

from adapters.content_coding import Encoder, encoder, encoder_bytes
from adapters.wire.encode import encode, page_ending
from adapters.wire.run_list import encode_listed
from adapters.wire.run_view import RunView
from core.errors import RunsinkError
from core.model.listing import Cursor, PageRequest, RunFilter, RunPage, SummaryPage
from core.model.tree import Rollup
from core.ports.cancellation import Cancellation
from core.ports.run_repository import RunReader
from core.use_cases.query import list_part, rest_of, summarize_part
from core.use_cases.tree import RollupBudget, roll_up_each
from entrypoints.http.api.context import Context
from entrypoints.http.messages.compression import choose_coding
from entrypoints.http.messages.entity_tags import names_any_tag, names_tag, not_modified, tag_headers
from entrypoints.http.messages.request_log import route_of
from entrypoints.http.messages.responses import encoded_response
from entrypoints.http.transport.connections import connection_of, lease_of, run_while_awaited

_log: Final = logging.getLogger("runsink")


class PageSender:
    """Sends one page of runs.

    A page that fits in one part is sent whole. A larger one is read and sent part by part, each from its own snapshot
    of the store; no run is sent twice. The entity tag is that of the first part. Later parts may hold what was
    committed after it, so a client may read the page once more than it has to, but never keeps one that is out of date.
    """

    def __init__(self, request: web.Request, context: Context, which: RunFilter, view: RunView) -> None:
        self._request = request
        self._context = context
        self._which = which
        self._view = view
        self._budget = RollupBudget.of(context.application.limits)
        self._lease = lease_of(request)
        self._coding = choose_coding(request)

    async def send(self, asked: PageRequest) -> web.StreamResponse:
        """Return the response, already sent if it came in parts; 304 if the client has the page already.

        Raises:
            OverloadedError: there is no capacity for the first part.
            StoreError: the first part cannot be read.
        """
        tag, first = await run_while_awaited(self._request, self._context.pools.reading, partial(self._begin, asked))
        if first is None or names_any_tag(self._request):
            return not_modified(tag_headers(tag))
        if first.rest is None:
            return encoded_response(first.body, headers=tag_headers(tag))
        headers = {hdrs.CONTENT_TYPE: "application/json", **tag_headers(tag)}
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
                follow = partial(self._follow, part.rest, coder)
                part = await run_while_awaited(self._request, self._context.pools.reading, follow, begun=True)
                await _write(response, part.body)
            end = b"]," + encode(page_ending(asked, part.next_cursor, total))[1:]
            await response.write_eof(coder.compress(end) + coder.flush())
        except BaseException as error:
            # Without the last chunk, the client can tell that the page is incomplete.
            connection_of(self._request).abort()
            if isinstance(error, RunsinkError):
                _log.error("the response to GET %s was cut off: %s", route_of(self._request), error)
            raise

    def _begin(self, asked: PageRequest, cancellation: Cancellation) -> "tuple[str, _Part | None]":
        """Read and encode the first part, unless the client has the page already."""

        def query(runs: RunReader) -> tuple[str, _Read | None]:
            tag = self._context.entity_tag(self._request, runs)
            return tag, None if names_tag(self._request, tag) else self._read(asked, runs)

        tag, read = self._context.application.read(query, cancellation)
        return tag, None if read is None else _Part.of(asked, read.page, self._encode_first(asked, read))

    def _follow(self, asked: PageRequest, coder: Encoder, cancellation: Cancellation) -> "_Part":
        """Read and encode a further part."""
        read = self._context.application.read(partial(self._read, asked), cancellation)
        return _Part.of(asked, read.page, self._encode_following(coder, read))

    def _read(self, asked: PageRequest, runs: RunReader) -> "_Read":
        """Read a part, with the rollups of its runs if they are to be shown."""
        list_some = summarize_part if self._view.takes_summaries else list_part
        page = list_some(self._which, asked, runs)
        if not self._view.rollup:
            return _Read(page, None)
        return _Read(page, roll_up_each(page.runs, self._context.application.limits, runs, self._budget))

    def _encode_first(self, asked: PageRequest, read: "_Read") -> bytes:
        page, runs = read.page, self._encode(read)
        if rest_of(asked, page) is None:
            ending = encode(page_ending(asked, page.next_cursor, page.total))
            body = b'{"runs":' + runs + b"," + ending[1:]
            self._lease.grow(len(body))
        else:
            body = b'{"runs":' + runs[:-1]
            self._lease.grow(len(body) + encoder_bytes(self._coding))
        return body

    def _encode_following(self, coder: Encoder, read: "_Read") -> bytes:
        # Empty if the remaining runs were deleted meanwhile.
        body = b"," + self._encode(read)[1:-1] if read.page.runs else b""
        self._lease.resize(len(body) + encoder_bytes(self._coding))
        return coder.compress(body)

    def _encode(self, read: "_Read") -> bytes:
        return encode_listed(read.page.runs, self._view, read.rollups)


@attrs.frozen
class _Read:
    """What was read of a part."""

    page: RunPage | SummaryPage
    rollups: Sequence[Rollup | None] | None


@attrs.frozen
class _Part:
    """An encoded part and the request for the rest; its runs are not kept while it is sent."""

    body: bytes
    next_cursor: Cursor | None
    total: int | None
    rest: PageRequest | None

    @classmethod
    def of(cls, asked: PageRequest, page: RunPage | SummaryPage, body: bytes) -> "_Part":
        """Return the part that was asked for, without its runs."""
        return cls(body, page.next_cursor, page.total, rest_of(asked, page))


async def _write(response: web.StreamResponse, body: bytes) -> None:
    """Send a piece and wait until most of it is sent; do nothing if an encoder has no output yet."""
    if body:
        await response.write(body)
