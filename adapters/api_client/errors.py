"""What can go wrong between a client and a server, beyond the errors of the core."""

from core.errors import RunsinkError, ServerUnreachableError


class ApiError(RunsinkError):
    """The server refused a request, or failed. ``detail`` says why, in the words of the server."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the server responded {status}: {detail}" if detail else f"the server responded {status}")
        self.status = status
        self.detail = detail


class InvalidResponseError(RunsinkError):
    """What came back is no response of this API; perhaps the URL is not that of a runsink server."""


class TruncatedResponseError(ServerUnreachableError):
    """The response broke off before its end. What arrived of it is good, but it is not everything."""
