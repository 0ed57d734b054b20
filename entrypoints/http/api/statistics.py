"""Figures over many runs: statistics by time, and the most frequent values of fields."""

import attrs
from aiohttp import web

from adapters.wire.figures import facets_answer, statistics_answer
from adapters.wire.query import parse_facets_query, parse_statistics_query
from core.use_cases.statistics import read_facets, read_statistics
from entrypoints.http.api.context import Context


@attrs.frozen
class StatisticsResource:
    """The handlers of statistics and facets."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/stats", self.get_statistics),
            web.get("/api/v1/facets", self.get_facets),
        ]

    async def get_statistics(self, request: web.Request) -> web.Response:
        """Return figures of the matching runs by the time of their start."""
        application = self.context.application
        asked = parse_statistics_query(request.query.items(), application.structurer)
        return await self.context.read(
            request,
            lambda runs: statistics_answer(
                read_statistics(asked.which, asked.bucket_seconds, asked.metrics, application.limits, runs)
            ),
        )

    async def get_facets(self, request: web.Request) -> web.Response:
        """Return the most frequent values of fields among the matching runs."""
        application = self.context.application
        which, fields = parse_facets_query(request.query.items(), application.structurer)
        return await self.context.read(
            request, lambda runs: facets_answer(read_facets(which, fields, application.limits, runs))
        )
