"""Sending the entries of an outbox: creations in batches, everything else in order behind them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, Final

import attrs

from adapters.api_client.connection import ApiResponse
from adapters.api_client.errors import ApiError
from adapters.api_client.retrying import PatientConnection, describe_detail, has_counts
from adapters.telemetry_outbox.entries import Entry, Kind
from adapters.telemetry_outbox.file import Item, OutboxFile, Part

_BATCH: Final = "/api/v1/runs/batch"
_MINIMAL: Final = {"Prefer": "return=minimal"}
_OF_THE_REQUEST: Final = frozenset({400, 413, 422})
"""Statuses of a batch that one of its runs may have caused."""
_OF_THE_ENTRY: Final = frozenset({400, 409, 413, 422})
"""Statuses that an entry may have caused. Any other error would meet every entry, so that it ends the flush."""
_MAX_ROUNDS: Final = 100


@attrs.define
class Tally:
    """What became of the entries: how many the server acknowledged, rejected, or is to get again later."""

    sent: int = 0
    created: int = 0
    existing: int = 0
    updated: int = 0
    rejected: int = 0
    waiting: int = 0
    bytes_done: int = 0


@attrs.define
class Flush:
    """One flush of an outbox to a server."""

    outbox: OutboxFile
    connection: PatientConnection
    on_progress: Callable[[Tally], object] = lambda _tally: None
    tally: Tally = attrs.field(factory=Tally)

    def run(self) -> bool:
        """Send everything, also what is appended meanwhile; return ``False`` if entries stay in a part of the file.

        Raises:
            GaveUpError: the server could not be reached, or stayed busy.
            ApiError: the server refuses every entry, as without a token.
            InvalidResponseError: it is no server of this API.
        """
        is_put_back = True
        try:
            seen: set[str] = set()
            for _ in range(_MAX_ROUNDS):
                for part in self.outbox.parts():
                    if part.name not in seen:
                        seen.add(part.name)
                        self._send_part(part)
                if not self.outbox.take():
                    break
        finally:
            is_put_back = self.outbox.put_back()
        return is_put_back

    def _send_part(self, part: Part) -> None:
        with closing(part.windows()) as windows:
            for window in windows:
                self._send_window(window)

    def _send_window(self, window: Sequence[Item]) -> None:
        for item in window:
            if not isinstance(item.content, Entry):
                self._reject(item)
        entries = [(item, item.content) for item in window if isinstance(item.content, Entry)]
        self._create([(item, entry) for item, entry in entries if entry.kind is Kind.CREATION])
        # What waits for its run to be created, or for an earlier change of it, waits on.
        waiting = {entry.event_id for item, entry in entries if entry.kind is Kind.CREATION and not item.is_settled}
        for item, entry in entries:
            if entry.kind is not Kind.CREATION and entry.event_id not in waiting:
                self._change(item, entry)
        self.tally.waiting += sum(not item.is_settled for item in window)

    def _create(self, sent: Sequence[tuple[Item, Entry]]) -> None:
        """Send creations as one batch; as two, if the server does not say which of them it cannot take."""
        if not sent:
            return
        document = {"runs": [entry.payload for _, entry in sent]}
        response, body = self.connection.request("POST", _BATCH, document, _MINIMAL)
        if has_counts(body):
            self._note_batch([item for item, _ in sent], body)
        elif response.status not in _OF_THE_REQUEST:
            raise _error_of(response, body)
        elif len(sent) == 1:
            self._reject(sent[0][0], response, body)
        else:
            half = len(sent) // 2
            self._create(sent[:half])
            self._create(sent[half:])

    def _note_batch(self, items: Sequence[Item], body: dict[str, Any]) -> None:
        faults: dict[int, list[dict[str, Any]]] = {}
        for error in body["errors"]:
            faults.setdefault(error["index"], []).append(error)
        self.tally.created += body["created"]
        self.tally.existing += body["existing"]
        for index, item in enumerate(items):
            if index not in faults:
                self._settle(item)
            elif not all(error.get("retryable") for error in faults[index]):
                self._reject_run(item, faults[index])

    def _change(self, item: Item, entry: Entry) -> None:
        response, body = self.connection.request(entry.method, entry.path, entry.payload, _MINIMAL)
        if response.status in {200, 201}:
            self.tally.updated += 1
            self._settle(item)
        elif response.status in _OF_THE_ENTRY or has_counts(body) or _is_run_missing(response, body):
            self._reject(item, response, body)
        else:
            raise _error_of(response, body)

    def _settle(self, item: Item) -> None:
        self.tally.sent += 1
        self._leave(item)

    def _reject_run(self, item: Item, errors: Iterable[dict[str, Any]]) -> None:
        named = [{name: error.get(name) for name in ("field", "error")} for error in errors]
        self._write_rejection(item, error="; ".join(str(error["error"]) for error in named), errors=named)

    def _reject(self, item: Item, response: ApiResponse | None = None, body: dict[str, Any] | None = None) -> None:
        if response is None:
            self._write_rejection(item)
        else:
            error = describe_detail(body or {}) or "; ".join(
                str(e.get("error")) for e in (body or {}).get("errors", ())
            )
            self._write_rejection(item, status=response.status, error=error)

    def _write_rejection(self, item: Item, **why: Any) -> None:
        self.outbox.reject(item.content, **why)
        self.tally.rejected += 1
        self._leave(item)

    def _leave(self, item: Item) -> None:
        item.is_settled = True
        self.tally.bytes_done += len(item.content.raw) + 1
        self.on_progress(self.tally)


def _is_run_missing(response: ApiResponse, body: dict[str, Any]) -> bool:
    """Whether the server does not know the run; any other 404 comes of a wrong URL, and says nothing of the entry."""
    return response.status == 404 and describe_detail(body).startswith("Run not found")


def _error_of(response: ApiResponse, body: dict[str, Any]) -> ApiError:
    return ApiError(response.status, describe_detail(body))
