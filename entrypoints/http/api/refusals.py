"""Rejected runs that were kept."""

import attrs
from aiohttp import web

from adapters.wire.encode import encode, refusal_page_answer
from adapters.wire.query import parse_refusals_query
from core.ports.cancellation import Cancellation
from entrypoints.http.api.context import Context
from entrypoints.http.messages.entity_tags import content_tag, names_any_tag, names_tag, not_modified, tag_headers
from entrypoints.http.messages.responses import encoded_response
from entrypoints.http.transport.connections import lease_of, run_while_awaited


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

        def read(_cancellation: Cancellation) -> tuple[str, bytes]:
            # A page is small, so reading it is not cancelled midway.
            body = encode(refusal_page_answer(application.list_refusals(which, asked)))
            lease_of(request).grow(len(body))
            return content_tag(body), body

        tag, body = await run_while_awaited(request, self.context.pools.reading, read)
        if names_tag(request, tag) or names_any_tag(request):
            return not_modified(tag_headers(tag))
        return encoded_response(body, headers=tag_headers(tag))
