"""Requests rejected before any use case runs."""

from collections.abc import Mapping
from http import HTTPStatus


class RejectedRequestError(Exception):
    """A rejected request: ``status``, ``detail`` and ``headers`` form the response.

    With ``closes``, the connection is closed afterwards.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, *, closes: bool = False
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.closes = closes
