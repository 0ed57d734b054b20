"""Endpoints for operators: health, readiness and limits."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

import attrs
from aiohttp import web

from core.model.run import shown_time
from core.ports.run_repository import RunReader
from entrypoints.http.api.context import Context
from entrypoints.http.messages.request_log import FAILURE
from entrypoints.http.messages.responses import RETRY_AFTER_SECONDS, detail_response, json_response
from entrypoints.http.pressure.readiness import Readiness


@attrs.frozen
class Operations:
    """The handlers for operators."""

    context: Context
    readiness: Readiness
    limits: Mapping[str, int]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/limits", self.get_limits),
            web.get("/health", self.get_health),
            web.get("/ready", self.get_ready),
        ]

    async def get_limits(self, request: web.Request) -> web.Response:
        """Return the limits in force; the retention horizon is that of the store."""

        def read(runs: RunReader) -> object:
            horizon = runs.retention_horizon()
            return {**self.limits, "retention_horizon": None if horizon is None else shown_time(horizon)}

        return await self.context.read_more(request, partial(self.context.application.read, read))

    async def get_health(self, _request: web.Request) -> web.Response:
        """Return 200 while the process responds."""
        return json_response({"status": "ok", "version": self.context.version})

    async def get_ready(self, request: web.Request) -> web.Response:
        """Return whether a write would be accepted."""
        failure = await self.readiness.failure()
        if failure is None:
            return json_response({"status": "ready"})
        request[FAILURE] = failure
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return detail_response(HTTPStatus.SERVICE_UNAVAILABLE, failure, headers)
