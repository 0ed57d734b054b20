"""Requests that are rejected before any use case runs."""

from collections.abc import Mapping
from http import HTTPStatus


class RejectedRequestError(Exception):
    """A request that is rejected: ``status``, ``detail`` and ``headers`` make the response.

    ``closes`` says that the connection cannot be used afterwards.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, *, closes: bool = False
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.closes = closes
