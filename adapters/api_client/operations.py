"""What a client asks of the API: each function builds one request and knows what its response means.

Nothing here sends anything, so that clients of every kind share it. Results and errors are those of the same call in
process. What is sent has passed the same rules as on the server, so it arrives as it was meant or not at all.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import attrs

from adapters.api_client.connection import ApiResponse
from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.responses import (
    batch_result,
    has_counts,
    list_page,
    located_errors,
    single_run,
    text_detail,
)
from adapters.api_client.retry import is_retried
from adapters.wire.encode import encode
from adapters.wire.query import format_cursor
from adapters.wire.structure import Structurer
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    NotABatchError,
    ResponseTooLargeError,
    RunNotFoundError,
    RunRefusedError,
    RunsinkError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreTimeoutError,
)
from core.model.batch import BatchResult, Candidate, RefusedRun
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter, RunPage
from core.model.run import SERVER_FIELDS, Commit, Run, RunChanges, Timestamp
from core.model.validation_error import ValidationError
from core.use_cases.ingest import check_batch_size
from core.validation.keys import require_key
from core.validation.queries import page_request

_T = TypeVar("_T")

_JSON: Final = {"Content-Type": "application/json"}
_MINIMAL: Final = {"Prefer": "return=minimal"}
_UNSENT: Final = Timestamp("1970-01-01T00:00:00.000000Z")
"""What stands in the server's own fields of a run that is on its way to it."""

RunLike = Run | Mapping[str, Any]
"""A run as read from a store, or a mapping with the contract's fields; times may be given as ``datetime``."""


@attrs.frozen
class Operation(Generic[_T]):
    """A request, and how to read its response; ``interpret`` returns the result or raises the error."""

    method: str
    path: str
    interpret: Callable[[ApiResponse], _T]
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)


def may_pass(response: ApiResponse) -> bool:
    """Return whether the same request may succeed later."""
    return is_retried(response.status, with_counts=response.status == 500 and has_counts(response))


class Requests:
    """Builds operations. Safe to use from several threads."""

    def __init__(self, structurer: Structurer | None = None, limits: Limits | None = None) -> None:
        self._structurer = structurer or Structurer()
        self._limits = limits or Limits()

    def candidate(self, run: RunLike, index: int = 0) -> Candidate:
        """Return a run as it would be sent, or what is wrong with it. A missing ``event_id`` is made up."""
        given: Any = run
        if isinstance(run, Mapping):
            given = {name: _plain_time(value) for name, value in run.items()}
            if given.get("event_id") is None:
                given["event_id"] = str(uuid4())
        return self._structurer.run(given, index, _UNSENT)

    def candidates(self, runs: Sequence[RunLike]) -> list[Candidate]:
        """Return the runs of a batch, each as it would be sent; raise ``NotABatchError`` or ``BatchTooLargeError``."""
        check_batch_size(len(runs), self._limits.max_batch_runs)
        return [self.candidate(run, index) for index, run in enumerate(runs)]

    def changes(self, changes: Mapping[str, Any]) -> RunChanges:
        """Return changes as they would be sent; raise ``InvalidChangesError``."""
        return self._structurer.changes({name: _plain_time(value) for name, value in changes.items()})

    def commit(self, commit: Mapping[str, Any]) -> Commit:
        """Return a commit as it would be sent; raise ``InvalidCommitError``."""
        return self._structurer.commit({name: _plain_time(value) for name, value in commit.items()})

    def create(self, run: RunLike) -> Operation[Run]:
        """Create one run; raise ``RunRefusedError``."""
        candidate = self.candidate(run)
        if isinstance(candidate, RefusedRun):
            raise RunRefusedError(candidate)
        return Operation("POST", "/api/v1/runs", _created, encode_run(candidate), _JSON)

    def batch(self, runs: Sequence[RunLike], *, atomic: bool) -> "Operation[BatchResult]":
        """Create several runs; raise as ``RunStore.ingest_lenient`` and ``ingest_atomic`` do."""
        candidates = self.candidates(runs)
        good = [candidate for candidate in candidates if isinstance(candidate, Run)]
        refused = [candidate for candidate in candidates if isinstance(candidate, RefusedRun)]
        if refused and (atomic or not good):
            result = BatchResult((), len(runs), 0, 0, len(runs), tuple(refused))
            raise BatchRolledBackError(result) if atomic else EveryRunRefusedError(result)
        sent = [index for index, candidate in enumerate(candidates) if isinstance(candidate, Run)]
        operation = batch_of([encode_run(run) for run in good], atomic=atomic)
        return attrs.evolve(operation, interpret=lambda response: _merged(operation, response, sent, refused))

    def update(self, event_id: str, changes: Mapping[str, Any]) -> Operation[Run]:
        """Change a run; raise ``InvalidChangesError`` or ``RunNotFoundError``."""
        return update_of(require_key(event_id), encode(self.changes(changes)))

    def associate_commit(self, event_id: str, commit: Mapping[str, Any]) -> Operation[Run]:
        """Tie a commit to a run; raise ``InvalidCommitError`` or ``RunNotFoundError``."""
        return commit_of(require_key(event_id), encode_commit(self.commit(commit)))

    def get(self, run_id: str) -> Operation[Run]:
        """Read the newest run of a name; raise ``RunNotFoundError``."""
        key = require_key(run_id)
        return Operation("GET", f"/api/v1/runs/{_quoted(key)}", lambda response: _single(response, key))

    def list(self, filters: Mapping[str, Any], paging: Mapping[str, Any]) -> Operation[RunPage]:
        """Read a page of runs; raise ``InvalidQueryError``."""
        asked = page_request(paging, self._limits)
        return Operation("GET", _with_query("/api/v1/runs", self._query(filters) | _page_query(asked)), _page)

    def export(self, filters: Mapping[str, Any]) -> Operation[None]:
        """Read all runs, one a line; only the response to a failure is interpreted. Raise ``InvalidQueryError``."""
        query = {"format": "ndjson", **self._query(filters)}
        return Operation(
            "GET", _with_query("/api/v1/export", query), _no_export, headers={"Accept": "application/x-ndjson"}
        )

    def _query(self, filters: Mapping[str, Any]) -> dict[str, str]:
        given: dict[str, Any] = {name: _plain_time(value) for name, value in filters.items() if value is not None}
        which = attrs.asdict(self._structurer.run_filter(given), recurse=False)
        return {name: _spelled(value) for name, value in which.items() if value is not None and value is not False}


def _spelled(value: object) -> str:
    """Return a part of a filter as it stands in a query string."""
    match value:
        case True:
            return "true"
        case frozenset():
            return ",".join(sorted(map(str, value)))
        case _:
            return str(value)


def filters_of(which: RunFilter | None, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a filter together with those that are given by name."""
    return {**(attrs.asdict(which, recurse=False) if which is not None else {}), **filters}


def encode_run(run: Run) -> bytes:
    """Return a run as it is sent: without the fields that are the server's own or not given."""
    values = ((field.name, getattr(run, field.name)) for field in attrs.fields(Run))
    return encode({name: value for name, value in values if value is not None and name not in SERVER_FIELDS})


def encode_commit(commit: Commit) -> bytes:
    """Return a commit as it is sent."""
    return encode({name: value for name, value in attrs.asdict(commit).items() if value is not None})


def batch_of(runs: Sequence[bytes], *, atomic: bool, minimal: bool = False) -> Operation[BatchResult]:
    """Create the runs that are encoded already."""
    path = "/api/v1/runs/batch-transactional" if atomic else "/api/v1/runs/batch"
    body = b'{"runs":[' + b",".join(runs) + b"]}"
    return Operation("POST", path, _batch, body, _JSON | _MINIMAL if minimal else _JSON)


def update_of(event_id: str, changes: bytes) -> Operation[Run]:
    """Change a run by changes that are encoded already."""
    return Operation(
        "PATCH", f"/api/v1/runs/{_quoted(event_id)}", lambda response: _updated(response, event_id), changes, _JSON
    )


def commit_of(event_id: str, commit: bytes) -> Operation[Run]:
    """Tie a commit that is encoded already to a run."""
    path = f"/api/v1/runs/{_quoted(event_id)}/associate-commit"
    return Operation("POST", path, lambda response: _tied(response, event_id), commit, _JSON)


def _quoted(key: str) -> str:
    return quote(key, safe="")


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _page_query(asked: PageRequest) -> dict[str, str]:
    query = {"limit": str(asked.limit)}
    if asked.offset:
        query["offset"] = str(asked.offset)
    if asked.cursor is not None:
        query["cursor"] = format_cursor(asked.cursor)
    elif not asked.counted:
        query["cursor"] = ""
    return query


def _plain_time(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _created(response: ApiResponse) -> Run:
    if response.status == 201:
        return single_run(response)
    if response.status == 422:
        raise RunRefusedError(RefusedRun(0, None, None, located_errors(response)))
    raise failure(response)


def _single(response: ApiResponse, key: str) -> Run:
    if response.status == 200:
        return single_run(response)
    if response.status == 404 and text_detail(response).startswith("Run not found"):
        raise RunNotFoundError(key)
    raise failure(response)


def _updated(response: ApiResponse, event_id: str) -> Run:
    if response.status == 422:
        raise InvalidChangesError(located_errors(response))
    return _single(response, event_id)


def _tied(response: ApiResponse, event_id: str) -> Run:
    if response.status == 400:
        raise InvalidCommitError((ValidationError(None, text_detail(response)),))
    return _single(response, event_id)


def _page(response: ApiResponse) -> RunPage:
    if response.status == 200:
        return list_page(response)
    if response.status == 422:
        raise InvalidQueryError(located_errors(response))
    raise failure(response)


def _no_export(response: ApiResponse) -> None:
    if response.status == 422:
        raise InvalidQueryError(located_errors(response))
    raise failure(response)


def _batch(response: ApiResponse) -> BatchResult:
    if response.status in {201, 207} or (response.status == 500 and has_counts(response)):
        return batch_result(response)
    if response.status == 400 and has_counts(response):
        raise BatchRolledBackError(batch_result(response))
    if response.status == 422 and has_counts(response):
        raise EveryRunRefusedError(batch_result(response))
    if response.status == 422:
        error = located_errors(response)[0]
        raise NotABatchError(error.field, error.reason)
    if found := _TOO_MANY.match(text_detail(response)):
        raise BatchTooLargeError(int(found[1]), int(found[2]))
    if response.status == 413 and (found := _TOO_LONG.search(text_detail(response))):
        raise ResponseTooLargeError(int(found[1]))
    raise failure(response)


_TOO_MANY: Final = re.compile(r"Batch size (\d{1,18}) exceeds maximum limit of (\d{1,18}) runs")
_TOO_LONG: Final = re.compile(r"more than (\d{1,18}) bytes \(max_response_bytes\)")


def _merged(
    operation: Operation[BatchResult], response: ApiResponse, sent: Sequence[int], refused: Sequence[RefusedRun]
) -> BatchResult:
    """Return the result for all runs, of which those of these indices were sent and those others refused before."""
    if not refused:
        return operation.interpret(response)
    try:
        return _widened(operation.interpret(response), sent, refused)
    except EveryRunRefusedError as error:
        raise EveryRunRefusedError(_widened(error.result, sent, refused)) from None


def _widened(result: BatchResult, sent: Sequence[int], refused: Sequence[RefusedRun]) -> BatchResult:
    theirs = [attrs.evolve(run, index=sent[run.index]) for run in result.refused]
    return attrs.evolve(
        result,
        total=result.total + len(refused),
        failed=result.failed + len(refused),
        refused=tuple(sorted([*theirs, *refused], key=lambda run: run.index)),
        conflicts=tuple(attrs.evolve(conflict, index=sent[conflict.index]) for conflict in result.conflicts),
    )


def failure(response: ApiResponse) -> RunsinkError:
    """Return the error that a response means wherever nothing else is said about its status."""
    detail = text_detail(response)
    told = ApiError(response.status, detail)
    error: RunsinkError
    match response.status:
        case 503 if "max_read_seconds" in detail:
            error = StoreTimeoutError()
        case 503:
            error = StoreBusyError(detail or str(told))
        case 507:
            error = StoreFullError(detail or str(told))
        case 500:
            error = StoreError(detail or str(told))
        case status if status < 400:
            error = InvalidResponseError(f"the server responded {status}, which means nothing here")
        case _:
            return told
    error.__cause__ = told
    return error
