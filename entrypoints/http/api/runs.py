"""Stored runs: list, get and change them."""

import attrs
from aiohttp import web

from adapters.wire.json_text import decode_json
from adapters.wire.query import parse_list_query
from core.use_cases.query import bounded, get_run
from core.use_cases.update import associate_commit, update_run
from entrypoints.http.api.context import Context
from entrypoints.http.api.run_pages import PageSender
from entrypoints.http.messages.responses import json_response
from entrypoints.http.transport.connections import lease_of


@attrs.frozen
class Runs:
    """The handlers of stored runs."""

    context: Context

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/runs", self.get_runs),
            web.get("/api/v1/runs/{run_id:[^/]+}", self.get_run),
            web.patch("/api/v1/runs/{event_id:[^/]+}", self.patch_run),
            web.post("/api/v1/runs/{event_id:[^/]+}/associate-commit", self.post_commit),
        ]

    async def get_runs(self, request: web.Request) -> web.StreamResponse:
        """Return a page of runs; a large one is sent in parts."""
        application = self.context.application
        which, asked, view = parse_list_query(request.query.items(), application.structurer, application.limits)
        return await PageSender(request, self.context, which, view).send(bounded(which, asked, application.limits))

    async def get_run(self, request: web.Request) -> web.Response:
        """Return the newest run with a ``run_id``."""
        run_id = request.match_info["run_id"]
        return await self.context.read(request, lambda runs: get_run(run_id, runs))

    async def patch_run(self, request: web.Request) -> web.Response:
        """Change the mutable fields of a run."""
        application, event_id = self.context.application, request.match_info["event_id"]
        changes = await self.context.decode(
            request,
            self.context.run_allowance,
            lambda body: application.structurer.changes(decode_json(body)),
        )
        now, admit = application.clock.now(), lease_of(request).cover
        return json_response(await self.context.write(lambda work: update_run(event_id, changes, now, work, admit)))

    async def post_commit(self, request: web.Request) -> web.Response:
        """Associate a commit with a run."""
        application, event_id = self.context.application, request.match_info["event_id"]
        commit = await self.context.decode(
            request,
            self.context.run_allowance,
            lambda body: application.structurer.commit(decode_json(body)),
        )
        now, admit = application.clock.now(), lease_of(request).cover
        return json_response(
            await self.context.write(lambda work: associate_commit(event_id, commit, now, work, admit))
        )
