"""Responses of the API as values of the core."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

import msgspec

from adapters.api_client.connection import ApiResponse
from adapters.api_client.errors import InvalidResponseError
from adapters.api_client.lines import MAX_LINE_BYTES
from adapters.wire.decode import Decoder
from adapters.wire.query import parse_cursor
from adapters.wire.structure import Structurer
from core.model.batch import BatchResult, Conflict, RefusedRun
from core.model.limits import Limits
from core.model.listing import RunPage
from core.model.run import Run, Timestamp
from core.model.validation_error import ErrorKind, ValidationError
from core.validation.fields import InvalidValueError, parse_timestamp

_UNKNOWN: Final = Timestamp("1970-01-01T00:00:00.000000Z")
_MAX_DETAIL_CHARACTERS: Final = 2000


class _ServerTimes(msgspec.Struct):
    created_at: str
    updated_at: str


class _Error(msgspec.Struct):
    index: int
    error: str
    event_id: str | None = None
    run_id: str | None = None
    field: str | None = None


class _Conflict(msgspec.Struct):
    index: int
    event_id: str
    fields: tuple[str, ...]


class _Batch(msgspec.Struct):
    total: int
    created: int
    existing: int
    failed: int
    runs: list[msgspec.Raw] = []
    errors: list[_Error] = []
    conflicts: list[_Conflict] = []


class _Page(msgspec.Struct):
    runs: list[msgspec.Raw]
    next_cursor: str | None = None
    total: int | None = None


class _Located(msgspec.Struct):
    msg: str
    loc: list[str | int] = []
    type: str = ""


class _Located422(msgspec.Struct):
    detail: list[_Located]


# A run is shown with more bytes than it was sent with.
_runs: Final = Decoder(Structurer(), Limits(max_run_bytes=MAX_LINE_BYTES))


def decode_run(body: bytes) -> Run:
    """Return the run that a response shows; raise ``InvalidResponseError``."""
    times = _decoded(body, _ServerTimes)
    run = _runs.run(body, _UNKNOWN)
    if isinstance(run, RefusedRun):
        raise InvalidResponseError(f"the server sent a run that is none: {run.errors[0]}")
    try:
        run.created_at, run.updated_at = parse_timestamp(times.created_at), parse_timestamp(times.updated_at)
    except InvalidValueError as error:
        raise InvalidResponseError(f"the server sent a run whose own time {error}") from None
    return run


def single_run(response: ApiResponse) -> Run:
    """Return the run that is the whole response."""
    return decode_run(response.body)


def list_page(response: ApiResponse) -> RunPage:
    """Return a page of the list."""
    page = _decoded(response.body, _Page)
    try:
        cursor = parse_cursor(page.next_cursor) if page.next_cursor else None
    except ValueError:
        raise InvalidResponseError("the server sent a cursor that this version does not know") from None
    return RunPage(tuple(decode_run(bytes(run)) for run in page.runs), cursor, page.total)


def batch_result(response: ApiResponse) -> BatchResult:
    """Return what became of a batch."""
    batch = _decoded(response.body, _Batch)
    return BatchResult(
        runs=tuple(decode_run(bytes(run)) for run in batch.runs),
        total=batch.total,
        created=batch.created,
        existing=batch.existing,
        failed=batch.failed,
        refused=tuple(_refused(errors) for _, errors in groupby(batch.errors, key=lambda error: error.index)),
        conflicts=tuple(Conflict(found.index, found.event_id, found.fields) for found in batch.conflicts),
    )


def has_counts(response: ApiResponse) -> bool:
    """Return whether a response says what became of each run of a batch."""
    try:
        msgspec.json.decode(response.body, type=_Batch)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def located_errors(response: ApiResponse) -> tuple[ValidationError, ...]:
    """Return what is wrong with the fields of a request, of which there is at least one."""
    try:
        found = msgspec.json.decode(response.body, type=_Located422).detail
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = []
    errors = tuple(_validation_error(_field(error.loc), error.msg, error.type) for error in found)
    return errors or (ValidationError(None, text_detail(response) or "was refused without a reason"),)


def text_detail(response: ApiResponse) -> str:
    """Return what a response says is wrong; empty if it says nothing that can be read."""
    try:
        document: Any = msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    detail = document.get("detail", "") if isinstance(document, dict) else ""
    text = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    return text[:_MAX_DETAIL_CHARACTERS]


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidResponseError(f"the response is none of this API: {error}") from None


def _refused(errors: Iterable[_Error]) -> RefusedRun:
    wrong = list(errors)
    first = wrong[0]
    return RefusedRun(
        first.index,
        first.event_id,
        first.run_id,
        tuple(_validation_error(error.field, error.error) for error in wrong),
    )


def _field(location: list[str | int]) -> str | None:
    """The field that a location ends in; the first part is the body or the query."""
    last = location[-1] if len(location) > 1 else None
    return last if isinstance(last, str) else None


def _validation_error(field: str | None, message: str, kind: str = "") -> ValidationError:
    name = "it" if field is None else field or "''"
    reason = message.removeprefix(f"{name} ")
    missing = kind == ErrorKind.MISSING or reason == "is required"
    return ValidationError(field, reason, ErrorKind.MISSING if missing else ErrorKind.INVALID)
