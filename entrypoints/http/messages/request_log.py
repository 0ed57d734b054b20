"""The line of the log for each request: at ``debug``, or at ``info`` if it failed or was slow.

It names the route and never the path, which may contain a ``run_id``; the token's name and never the token.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import attrs
from aiohttp import hdrs, web

SLOW_SECONDS: Final = 2.0
"""From this duration on a request is logged at ``info``."""

UNHURRIED_ROUTES: Final = frozenset({"/api/v1/runs/stream", "/api/v1/export"})
"""They take as long as their client wants, so that no duration of theirs is slow."""

FAILURE: Final = web.RequestKey("failure", str)
"""Why a request failed with a status of 500 or more; set where the error becomes a response."""

_log: Final = logging.getLogger("runsink.requests")


@attrs.frozen
class RequestLog:
    """Logs the requests of one server. ``name_client`` returns the name of a request's token, if any."""

    name_client: Callable[[web.BaseRequest], str | None]

    def note(self, request: web.BaseRequest, status: int | None, seconds: float) -> None:
        """Log a request that took so many seconds; the status is ``None`` if its client left before the response."""
        level = logging.INFO if _is_notable(request, status, seconds) else logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(level, _event(request, status), extra=self._describe(request, status, seconds))

    def note_rejected(self, status: HTTPStatus, detail: str, request_id: str, peer: tuple[str, int] | None) -> None:
        """Log a connection that was closed without a complete request; ``peer`` is its address and port, if known."""
        if _log.isEnabledFor(logging.INFO):
            client = peer[0] if peer else "unknown"
            fields = {"request_id": request_id, "status": status.value, "client": client, "reason": detail}
            _log.info("connection rejected", extra=fields)

    def _describe(self, request: web.BaseRequest, status: int | None, seconds: float) -> dict[str, Any]:
        fields = {
            "method": request.method if request.method in hdrs.METH_ALL else "other",
            "route": route_of(request),
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "bytes_in": request.content.total_bytes,
            "bytes_out": request.writer.output_size,
            "client": self.name_client(request) or request.remote or "unknown",
            "reason": request.get(FAILURE),
        }
        return {name: value for name, value in fields.items() if value is not None}


def route_of(request: web.BaseRequest) -> str | None:
    """Return the template of a request's path, or ``None`` if there is no such route."""
    try:
        resource = request.match_info.route.resource if isinstance(request, web.Request) else None
    except (AssertionError, AttributeError):
        # Malformed HTTP is answered before a route is looked for.
        return None
    return None if resource is None else resource.canonical


def _is_notable(request: web.BaseRequest, status: int | None, seconds: float) -> bool:
    return _has_failed(request, status) or (seconds >= SLOW_SECONDS and route_of(request) not in UNHURRIED_ROUTES)


def _has_failed(request: web.BaseRequest, status: int | None) -> bool:
    return FAILURE in request or (status is not None and status >= HTTPStatus.BAD_REQUEST)


def _event(request: web.BaseRequest, status: int | None) -> str:
    if status is None:
        return "request abandoned by its client"
    return "request failed" if _has_failed(request, status) else "request"
