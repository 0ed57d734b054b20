"""Endpoints for operators: health, readiness and limits."""

from collections.abc import Mapping
from http import HTTPStatus

import attrs
from aiohttp import web

from entrypoints.http.messages.request_log import FAILURE
from entrypoints.http.messages.responses import RETRY_AFTER_SECONDS, detail_response, json_response
from entrypoints.http.pressure.readiness import Readiness


@attrs.frozen
class Operations:
    """The handlers for operators."""

    readiness: Readiness
    limits: Mapping[str, int]
    version: str

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [
            web.get("/api/v1/limits", self.get_limits),
            web.get("/health", self.get_health),
            web.get("/ready", self.get_ready),
        ]

    async def get_limits(self, _request: web.Request) -> web.Response:
        """Return the limits in force."""
        return json_response(self.limits)

    async def get_health(self, _request: web.Request) -> web.Response:
        """Return 200 while the process responds."""
        return json_response({"status": "ok", "version": self.version})

    async def get_ready(self, request: web.Request) -> web.Response:
        """Return whether a write would be accepted."""
        failure = await self.readiness.failure()
        if failure is None:
            return json_response({"status": "ready"})
        request[FAILURE] = failure
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return detail_response(HTTPStatus.SERVICE_UNAVAILABLE, failure, headers)
