"""Rejected runs that were kept."""

import attrs
from aiohttp import web

from adapters.wire.encode import refusal_page_answer
from adapters.wire.query import parse_refusals_query
from entrypoints.http.api.context import Context


@attrs.frozen
class Refusals:
    """The handler of rejected runs."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [web.get("/api/v1/refusals", self.get_refusals)]

    async def get_refusals(self, request: web.Request) -> web.Response:
        """Return a page of rejected runs, the last one first."""
        application = self.context.application
        which, asked = parse_refusals_query(request.query.items(), application.limits)

        # A page is small, so reading it is not cancelled midway.
        return await self.context.read_more(
            request, lambda _cancellation: refusal_page_answer(application.list_refusals(which, asked))
        )
