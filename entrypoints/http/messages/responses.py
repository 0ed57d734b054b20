"""Responses. Every body is JSON; this module alone maps errors to statuses."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadStatusLine, HttpProcessingError, InvalidHeader, InvalidURLError, LineTooLong

from adapters.wire.encode import batch_answer, encode
from adapters.wire.json_text import NotJsonError, NotUtf8Error
from adapters.wire.otlp.spans import TooManySpansError, UndecodableExportError
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    JobNotFoundError,
    NotABatchError,
    ResponseTooLargeError,
    RunNotFoundError,
    RunRefusedError,
    RunsinkError,
    SpoolFullError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreTimeoutError,
    StreamTooLargeError,
)
from core.model.validation_error import ValidationError
from entrypoints.http.messages.request_log import FAILURE, route_of
from entrypoints.http.rejections import Reason, RejectedRequestError
from entrypoints.request_ids import HEADER, current_request_id
from entrypoints.streams import UndecodableStreamError

RETRY_AFTER_SECONDS: Final = 1

REASON: Final = web.ResponseKey("reason", Reason)
"""Where a response says for which reason the request was rejected, if for any."""

_log = logging.getLogger("runsink")


class SlowBodyError(TimeoutError):
    """A body did not arrive in time. A ``TimeoutError`` keeps aiohttp from waiting for the rest."""


def json_response(
    document: object, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with this document, which may contain runs, as JSON."""
    return encoded_response(encode(document), status=status, headers=headers)


def encoded_response(
    body: bytes, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with this encoded JSON."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


@attrs.frozen
class ErrorDocument:
    """The response to an error. With ``closes``, the connection is closed afterwards; ``reason`` is for the metrics."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] | None = None
    closes: bool = False
    reason: Reason | None = None

    def mark(self, response: web.StreamResponse) -> None:
        """Note in the response why the request was rejected."""
        if self.reason is not None:
            response[REASON] = self.reason


def describe_error(error: Exception, request: web.BaseRequest) -> ErrorDocument:
    """Return the response to an error, as data; log an error that this module does not know."""
    document = _describe_domain_error(error) if isinstance(error, RunsinkError) else _describe_other(error, request)
    if document.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # With such a status, the detail is about the server and quotes no run.
        request[FAILURE] = document.body["detail"]
    return attrs.evolve(document, body={**document.body, "request_id": current_request_id()})


def error_response(error: Exception, request: web.BaseRequest) -> web.Response:
    """Return the response to any error of a request."""
    document = describe_error(error, request)
    response = json_response(document.body, status=document.status, headers=document.headers)
    document.mark(response)
    if document.closes:
        response.force_close()
    return response


def _describe_other(error: Exception, request: web.BaseRequest) -> ErrorDocument:
    rejected = _rejection(error, request)
    document = {"detail": rejected.detail}
    return ErrorDocument(rejected.status, document, rejected.headers, rejected.closes, rejected.reason)


def _rejection(error: Exception, request: web.BaseRequest) -> RejectedRequestError:
    if isinstance(error, RejectedRequestError):
        return error
    if isinstance(error, SlowBodyError):
        return RejectedRequestError(HTTPStatus.REQUEST_TIMEOUT, str(error), closes=True, reason=Reason.SLOW_CLIENT)
    if isinstance(error, web.RequestPayloadError | ConnectionError):
        # The end of the body is unknown. If the connection is lost, nobody reads this.
        detail = "the body is malformed HTTP (RFC 9112, section 7.1)"
        return RejectedRequestError(HTTPStatus.BAD_REQUEST, detail, closes=True)
    if isinstance(error, HttpProcessingError):
        return RejectedRequestError(*_malformed(error), closes=True)
    if isinstance(error, web.HTTPException):
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return RejectedRequestError(
            HTTPStatus(error.status), f"{error.reason}: {request.method} {request.path}", allowed
        )
    # Not the path, which may contain a run_id.
    _log.error("internal error", exc_info=error, extra={"route": route_of(request) or "none"})
    return RejectedRequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the server's log")


def raw_response(status: HTTPStatus, detail: str, request_id: str) -> bytes:
    """Return the bytes of a response that closes a connection without a complete request."""
    body = encode({"detail": detail, "request_id": request_id})
    retry = f"Retry-After: {RETRY_AFTER_SECONDS}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n{retry}{HEADER}: {request_id}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def detail_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with only a ``detail`` and the request's id."""
    body = {"detail": detail, "request_id": current_request_id()}
    return json_response(body, status=status, headers=headers)


def tell_request_id(response: web.StreamResponse) -> None:
    """Add the id of the current request to its response."""
    response.headers[HEADER] = current_request_id() or ""


async def check_expectation(request: web.Request) -> web.StreamResponse | None:
    """Return 417 for any expectation but 100-continue (RFC 9110, section 10.1.1)."""
    if request.headers["Expect"].lower() != "100-continue":
        return detail_response(HTTPStatus.EXPECTATION_FAILED, "the only supported expectation is 100-continue")
    return None


def say_continue(request: web.Request) -> None:
    """Send ``100 Continue`` if the client expects it; called only once the request is admitted.

    HTTP/1.0 has no interim responses: its clients would mistake one for the final response (RFC 9110, section 10.1.1).
    """
    if "Expect" in request.headers and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _describe_domain_error(error: RunsinkError) -> ErrorDocument:
    status, body = next((status, body) for kind, status, body in _TABLE if isinstance(error, kind))
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
    return ErrorDocument(status, body(error), headers, reason=reason)


def _malformed(error: HttpProcessingError) -> tuple[HTTPStatus, str]:
    """Return the status and detail for malformed HTTP, without quoting it: it may contain a token."""
    if isinstance(error, LineTooLong):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a line of the request head is too long"
    named = {BadStatusLine: "request line", InvalidURLError: "target", InvalidHeader: "header"}
    part = next((name for kind, name in named.items() if isinstance(error, kind)), "request")
    return HTTPStatus.BAD_REQUEST, f"the {part} is malformed HTTP (RFC 9112)"


def _detail(error: RunsinkError) -> dict[str, Any]:
    return {"detail": str(error)}


def _response_too_large(error: ResponseTooLargeError) -> dict[str, Any]:
    return {"detail": f"{error}: Prefer: return=minimal"}


def _read_timeout(error: StoreTimeoutError) -> dict[str, Any]:
    return {"detail": f"{error}: start_time_from and start_time_to, or cursor="}


def _not_a_batch(error: NotABatchError) -> dict[str, Any]:
    place = ("body",) if error.field is None else ("body", error.field)
    return {"detail": [{"loc": place, "msg": error.reason, "type": "value_error"}]}


def _every_run_refused(error: EveryRunRefusedError) -> dict[str, Any]:
    details = [
        _located(("body", "runs", refused.index), wrong) for refused in error.result.refused for wrong in refused.errors
    ]
    return {"detail": details, **batch_answer(error.result)}


def _rolled_back(error: BatchRolledBackError) -> dict[str, Any]:
    return {"detail": str(error), **batch_answer(error.result)}


def _run_refused(error: RunRefusedError) -> dict[str, Any]:
    return {"detail": [_located(("body",), wrong) for wrong in error.refused.errors]}


def _invalid_changes(error: InvalidChangesError) -> dict[str, Any]:
    return {"detail": [_located(("body",), wrong) for wrong in error.errors]}


def _invalid_query(error: InvalidQueryError) -> dict[str, Any]:
    return {"detail": [_located(("query",), wrong) for wrong in error.errors]}


def _located(place: tuple[str | int, ...], wrong: ValidationError) -> dict[str, Any]:
    loc = place if wrong.field is None else (*place, wrong.field)
    return {"loc": loc, "msg": str(wrong), "type": wrong.kind}


_TABLE: tuple[tuple[type[RunsinkError], HTTPStatus, Callable[[Any], dict[str, Any]]], ...] = (
    (NotJsonError, HTTPStatus.BAD_REQUEST, _detail),
    (NotABatchError, HTTPStatus.UNPROCESSABLE_ENTITY, _not_a_batch),
    (BatchTooLargeError, HTTPStatus.BAD_REQUEST, _detail),
    (EveryRunRefusedError, HTTPStatus.UNPROCESSABLE_ENTITY, _every_run_refused),
    (ResponseTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _response_too_large),
    (BatchRolledBackError, HTTPStatus.BAD_REQUEST, _rolled_back),
    (RunRefusedError, HTTPStatus.UNPROCESSABLE_ENTITY, _run_refused),
    (InvalidChangesError, HTTPStatus.UNPROCESSABLE_ENTITY, _invalid_changes),
    (InvalidCommitError, HTTPStatus.BAD_REQUEST, _detail),
    (InvalidQueryError, HTTPStatus.UNPROCESSABLE_ENTITY, _invalid_query),
    (RunNotFoundError, HTTPStatus.NOT_FOUND, _detail),
    (JobNotFoundError, HTTPStatus.NOT_FOUND, _detail),
    (UndecodableStreamError, HTTPStatus.BAD_REQUEST, _detail),
    (UndecodableExportError, HTTPStatus.BAD_REQUEST, _detail),
    (TooManySpansError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _detail),
    (NotUtf8Error, HTTPStatus.BAD_REQUEST, _detail),
    (StreamTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _detail),
    (SpoolFullError, HTTPStatus.INSUFFICIENT_STORAGE, _detail),
    (StoreBusyError, HTTPStatus.SERVICE_UNAVAILABLE, _detail),
    (StoreTimeoutError, HTTPStatus.SERVICE_UNAVAILABLE, _read_timeout),
    (StoreFullError, HTTPStatus.INSUFFICIENT_STORAGE, _detail),
    (StoreError, HTTPStatus.INTERNAL_SERVER_ERROR, _detail),
)

_REASONS: Final = (
    (SpoolFullError, Reason.SPOOL_FULL),
    (StoreBusyError, Reason.STORE_BUSY),
    (StoreTimeoutError, Reason.READ_TIMEOUT),
    (StoreFullError, Reason.DISK_FULL),
    (StoreError, Reason.STORE_FAILED),
)
