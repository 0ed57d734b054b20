"""Requests rejected before any use case runs, and why requests are rejected."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol


class Reason(StrEnum):
    """Why a request was rejected that may be in order in itself."""

    CONNECTIONS = "connections"
    DISK_FULL = "disk_full"
    DRAINING = "draining"
    HOST = "host"
    ORIGIN = "origin"
    RATE_LIMIT = "rate_limit"
    READ_TIMEOUT = "read_timeout"
    REQUEST_BYTES = "request_bytes"
    RESPONSE_BYTES = "response_bytes"
    SCOPE = "scope"
    SLOW_CLIENT = "slow_client"
    SPOOL_FULL = "spool_full"
    STORE_BUSY = "store_busy"
    STORE_FAILED = "store_failed"
    STREAMS = "streams"
    THREADS = "threads"
    TOKEN = "token"  # noqa: S105 - the reason, not a secret


class RequestObserver(Protocol):
    """Is told what became of requests, to count it. Used by the event loop only; its methods raise nothing."""

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request and its response. ``route`` is the template of the path, such as ``/api/v1/jobs/{job_id}``."""
        ...

    def note_rejection(self, reason: str) -> None:
        """Note that a request or a connection was rejected for one of ``Reason``."""
        ...


class RejectedRequestError(Exception):
    """A rejected request: ``status``, ``detail`` and ``headers`` form the response.

    With ``closes``, the connection is closed afterwards. ``reason`` is for the metrics.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        closes: bool = False,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.closes = closes
        self.reason = reason
