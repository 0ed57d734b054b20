"""The ids of requests: accepted from clients or generated, and known to everything that runs for a request."""

import re
import secrets
from contextvars import ContextVar
from itertools import count
from typing import Final

HEADER: Final = "X-Request-ID"

_SANE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")

_CURRENT: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


class RequestIds:
    """The ids of one process: a random prefix and a counter, which costs less than a random id for each request."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    def new(self) -> str:
        """Return an id that no other request has."""
        return f"{self._prefix}-{next(self._numbers):x}"

    def begin(self, given: str | None) -> None:
        """Let the current context belong to a request: with the client's id if it is sane, else with a new one.

        Sane ids have 1 to 128 characters of ``A-Z a-z 0-9 . _ ~ + / = -``.
        """
        _CURRENT.set(given if given is not None and _SANE.fullmatch(given) else self.new())


def current_request_id() -> str | None:
    """Return the id of the request that the current context belongs to, if any."""
    return _CURRENT.get()
