"""Requests that are sent again until they are answered."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from adapters.api_client.connection import ApiConnection, ApiResponse
from adapters.api_client.errors import ApiError
from adapters.api_client.retry import Attempts, RetryPolicy, is_retried, parse_retry_after
from core.errors import RunsinkError, ServerUnreachableError

OnRetry = Callable[[str, float], object]
"""Called with the reason and the seconds that will be waited."""


class GaveUpError(RunsinkError):
    """The server could not be reached, or stayed busy, for all the time that was allowed."""


@attrs.frozen
class Patience:
    """Waits between attempts, and says so."""

    policy: RetryPolicy
    on_retry: OnRetry = lambda _reason, _seconds: None
    sleep: Callable[[float], object] = time.sleep

    def begin(self) -> Attempts:
        """Begin a series of attempts."""
        return self.policy.begin()

    def wait(self, attempts: Attempts, reason: object, retry_after: float | None = None) -> None:
        """Wait before the next attempt.

        Raises:
            GaveUpError: the time is up.
        """
        delay = attempts.failed(retry_after)
        if delay is None:
            raise GaveUpError(f"gave up after {attempts.failures} attempts: {reason}")
        self.on_retry(str(reason), delay)
        self.sleep(delay)


@attrs.frozen
class PatientConnection:
    """A connection that sends a request until the response is final."""

    connection: ApiConnection
    patience: Patience

    def request(
        self, method: str, path: str, document: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[ApiResponse, dict[str, Any]]:
        """Send a JSON document, or bytes, or nothing; return the response, with its body as an object.

        Raises:
            GaveUpError: there was no final one within the time allowed.
            InvalidResponseError: what came back is not HTTP.
        """
        body = document if document is None or isinstance(document, bytes) else json.dumps(document).encode()
        sent = {**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})}
        attempts = self.patience.begin()
        while True:
            try:
                response = self.connection.request(method, path, body, sent)
            except ServerUnreachableError as error:
                self.patience.wait(attempts, error)
                continue
            if not response.body and response.status != 204:
                # Every response has a body; the head of this one was cut off before it said how long.
                self.patience.wait(attempts, "the response broke off")
                continue
            parsed = parse_object(response.body)
            if not is_retried(response.status, with_counts=has_counts(parsed)):
                return response, parsed
            reason = ApiError(response.status, describe_detail(parsed))
            self.patience.wait(attempts, reason, parse_retry_after(response.headers.get("retry-after")))


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a response; a proxy may answer something else, which becomes its ``detail``."""
    try:
        document = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {"detail": ascii(content[:200])}


def has_counts(document: Mapping[str, Any]) -> bool:
    """Return whether a response says what became of the runs; then it is final, whatever its status."""
    return {"total", "created", "existing", "failed"} <= document.keys()


def describe_detail(document: Mapping[str, Any]) -> str:
    """Return the ``detail`` of an error, which is a text or a list of places and messages."""
    detail = document.get("detail")
    if not isinstance(detail, list):
        return "" if detail is None else str(detail)
    return "; ".join(
        f"{'.'.join(map(str, fault.get('loc', ())))}: {fault.get('msg')}" if isinstance(fault, dict) else str(fault)
        for fault in detail
    )
