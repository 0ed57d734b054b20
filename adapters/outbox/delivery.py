"""Delivering a queue: in order, in batches, until the server has acknowledged or refused each entry."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters.api_client.connection import ApiResponse
from adapters.api_client.operations import Operation, batch_of, commit_of, may_pass, update_of
from adapters.api_client.responses import batch_result, has_counts, text_detail
from adapters.api_client.retry import parse_retry_after
from adapters.outbox.queue import Entry, Kind, Queue
from core.errors import RunsinkError

_log: Final = logging.getLogger("runsink")

MAX_BATCH_RUNS: Final = 1000
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
_MAX_ERROR_CHARACTERS: Final = 4000

Exchange = Callable[[Operation[Any]], ApiResponse]
"""Sends a request and returns the response; raises ``ServerUnreachableError``, or ``InvalidResponseError``."""


class DeliveryError(RunsinkError):
    """Nothing can be delivered at present; what waits is kept."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Delivery:
    """Delivers the entries of a queue. Used by the one who holds the queue's claim.

    Creations go first and together, since a creation never changes a run that is there; everything else follows in the
    order in which it was queued. Whatever was sent and not acknowledged is sent again, which the server takes for the
    same (``event_id``). ``before_request`` may raise ``DeliveryError``, when the claim is lost.
    """

    def __init__(self, queue: Queue, exchange: Exchange, before_request: Callable[[], object] = lambda: None) -> None:
        self._queue = queue
        self._exchange = exchange
        self._before_request = before_request

    def step(self) -> bool:
        """Deliver the first entries; return whether there were any. Raises ``DeliveryError``."""
        if not self._queue.totals().entries:
            return False
        # Only who has the claim knows that nobody else is delivering what is read here.
        self._before_request()
        entries = self._queue.first(MAX_BATCH_RUNS, MAX_BATCH_BYTES)
        runs = [entry for entry in entries if entry.kind is Kind.RUN]
        if runs:
            self._deliver_runs(runs)
            return True
        if entries:
            self._deliver_one(entries[0])
        return bool(entries)

    def _deliver_runs(self, entries: Sequence[Entry]) -> None:
        response = self._send(batch_of([entry.body for entry in entries], atomic=False, minimal=True))
        if response.status in {201, 207, 422, 500} and has_counts(response):
            errors: dict[int, list[str]] = {}
            for refused in batch_result(response).refused:
                errors.setdefault(refused.index, []).extend(map(str, refused.errors))
            self._settle(entries, {index: "; ".join(texts) for index, texts in errors.items()})
        elif response.status not in {400, 413, 422}:
            raise self._obstacle(response)
        elif len(entries) > 1:
            # Together they are too much, or one of them spoils the rest.
            self._deliver_runs(entries[: len(entries) // 2])
        else:
            self._settle(entries, {0: _reason(response)})

    def _deliver_one(self, entry: Entry) -> None:
        response = self._send(_operation(entry))
        if response.status in {200, 201}:
            self._queue.remove([entry])
        elif _refuses(entry, response):
            self._settle([entry], {0: _reason(response)})
        else:
            raise self._obstacle(response)

    def _settle(self, entries: Sequence[Entry], errors: dict[int, str]) -> None:
        rejected = [(entry, errors[index]) for index, entry in enumerate(entries) if index in errors]
        delivered = [entry for index, entry in enumerate(entries) if index not in errors]
        if not rejected:
            self._queue.remove(delivered)
            return
        self._queue.reject([(entry, error[:_MAX_ERROR_CHARACTERS]) for entry, error in rejected], delivered)
        for entry, error in rejected:
            _log.warning("the server refused a %s of %s: %s", entry.kind.value, entry.event_id, error)

    def _send(self, operation: Operation[Any]) -> ApiResponse:
        self._before_request()
        try:
            return self._exchange(operation)
        except RunsinkError as error:
            raise DeliveryError(str(error)) from error

    def _obstacle(self, response: ApiResponse) -> DeliveryError:
        reason = f"the server responded {_reason(response)}"
        if may_pass(response):
            return DeliveryError(reason, parse_retry_after(response.headers.get("retry-after")))
        return DeliveryError(f"{reason}; check the URL and the token")


def _operation(entry: Entry) -> Operation[Any]:
    match entry.kind:
        case Kind.CHANGES:
            return update_of(entry.event_id, entry.body)
        case Kind.COMMIT:
            return commit_of(entry.event_id, entry.body)
        case _:
            runs = msgspec.json.decode(entry.body, type=list[msgspec.Raw])
            return batch_of([bytes(run) for run in runs], atomic=True, minimal=True)


def _refuses(entry: Entry, response: ApiResponse) -> bool:
    """Whether the server will never take this entry, as opposed to nothing at all."""
    if response.status == 404:
        # Of another 404 it is the URL that is wrong.
        return entry.kind is not Kind.BATCH and text_detail(response).startswith("Run not found")
    return response.status in {400, 413, 422}


def _reason(response: ApiResponse) -> str:
    return f"{response.status} {text_detail(response)}".rstrip()
