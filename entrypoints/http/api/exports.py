"""The export: all matching runs in one response of any length."""

import logging
from functools import partial
from typing import Final

import attrs
from aiohttp import hdrs, web

from adapters.content_coding import encoder, encoder_bytes
from adapters.wire.csv import csv_header, csv_rows
from adapters.wire.encode import encode_lines
from adapters.wire.query import ExportFormat, parse_export_query
from core.errors import RunsinkError
from core.model.listing import Cursor, RunFilter, RunPage
from core.ports.cancellation import Cancellation
from core.use_cases.export import export_page
from entrypoints.http.api.context import Context
from entrypoints.http.messages.compression import choose_coding
from entrypoints.http.messages.request_log import route_of
from entrypoints.http.transport.connections import connection_of, lease_of, run_while_awaited

_TYPES: Final = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv; charset=utf-8"}

_log: Final = logging.getLogger("runsink")


@attrs.frozen
class Exports:
    """The handler of exports."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [web.get("/api/v1/export", self.get_export)]

    async def get_export(self, request: web.Request) -> web.StreamResponse:
        """Send all matching runs, oldest first, part by part."""
        which, kind = parse_export_query(request.query.items(), self.context.application.structurer)
        # The first part is read before the head is sent, so that a failing store still has a status.
        page, body = await self._read(request, which, kind, None, begun=False)
        coding = choose_coding(request)
        headers = {hdrs.CONTENT_TYPE: _TYPES[kind], hdrs.VARY: "Accept-Encoding", hdrs.CACHE_CONTROL: "no-store"}
        if coding is not None:
            headers[hdrs.CONTENT_ENCODING] = coding
        response = web.StreamResponse(headers=headers)
        if request.method == hdrs.METH_HEAD:
            return response
        coder = encoder(coding)
        lease = lease_of(request)
        try:
            await response.prepare(request)
            if kind is ExportFormat.CSV:
                body = csv_header() + body
            while True:
                lease.resize(len(body) + encoder_bytes(coding))
                if piece := await self.context.pools.compressing.run(partial(coder.compress, body), begun=True):
                    await response.write(piece)
                if page.next_cursor is None:
                    break
                page, body = await self._read(request, which, kind, page.next_cursor, begun=True)
            await response.write_eof(coder.flush())
        except BaseException as error:
            # Without the last chunk the client sees that the export is not complete.
            connection_of(request).abort()
            if isinstance(error, RunsinkError):
                _log.error("the response to GET %s was cut off: %s", route_of(request), error)
            raise
        return response

    async def _read(
        self, request: web.Request, which: RunFilter, kind: ExportFormat, after: Cursor | None, *, begun: bool
    ) -> tuple[RunPage, bytes]:
        """Read the next runs and encode them, in a thread."""
        encode = csv_rows if kind is ExportFormat.CSV else encode_lines

        def read(cancellation: Cancellation) -> tuple[RunPage, bytes]:
            page = self.context.application.read(lambda runs: export_page(which, after, runs), cancellation)
            body = encode(page.runs)
            if not begun:
                lease_of(request).grow(len(body))
            return attrs.evolve(page, runs=()), body

        return await run_while_awaited(request, self.context.pools.reading, read, begun=begun)
