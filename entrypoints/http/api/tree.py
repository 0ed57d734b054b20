"""A run with all its descendants: the tree, and what it adds up to."""

import attrs
from aiohttp import web

from adapters.wire.query import parse_rollup_query, parse_tree_query
from adapters.wire.summary import rollup_answer, tree_answer
from core.use_cases.tree import read_rollup, read_tree
from entrypoints.http.api.context import Context


@attrs.frozen
class TreeResource:
    """The handlers of trees and rollups."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/runs/{run_id:[^/]+}/tree", self.get_tree),
            web.get("/api/v1/runs/{run_id:[^/]+}/rollup", self.get_rollup),
        ]

    async def get_tree(self, request: web.Request) -> web.Response:
        """Return a run and its descendants."""
        run_id, limits = request.match_info["run_id"], self.context.application.limits
        event_id, limit = parse_tree_query(request.query.items(), limits)
        return await self.context.read(
            request, lambda runs: tree_answer(read_tree(run_id, event_id, limit, limits, runs))
        )

    async def get_rollup(self, request: web.Request) -> web.Response:
        """Return what a run and its descendants add up to; ``null`` if they are too many."""
        run_id, limits = request.match_info["run_id"], self.context.application.limits
        event_id = parse_rollup_query(request.query.items())
        return await self.context.read(request, lambda runs: rollup_answer(read_rollup(run_id, event_id, limits, runs)))
