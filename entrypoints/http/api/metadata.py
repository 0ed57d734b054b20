"""Metadata: the names in use."""

import attrs
from aiohttp import web

from adapters.wire.encode import metadata_answer
from adapters.wire.query import format_metadata_cursor, parse_metadata_query
from core.ports.run_repository import RunReader
from core.use_cases.query import read_metadata
from entrypoints.http.api.context import Context


@attrs.frozen
class MetadataResource:
    """The handler of the metadata."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [web.get("/api/v1/metadata", self.get_metadata)]

    async def get_metadata(self, request: web.Request) -> web.Response:
        """Return a page of the distinct agent names and job types."""
        asked = parse_metadata_query(request.query.items(), self.context.application.limits)

        def read(runs: RunReader) -> object:
            metadata = read_metadata(asked, runs)
            rest = metadata.next_part
            return metadata_answer(metadata, format_metadata_cursor(rest) if rest else None)

        return await self.context.read(request, read)
