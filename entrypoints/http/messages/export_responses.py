"""Responses to requests of spans, in the encoding of the request: what OTLP/HTTP asks for, and what exporters retry."""

from http import HTTPStatus
from typing import Final

import attrs
from aiohttp import web

from adapters.wire.otlp.responses import ExportFormat, encode_export_response, encode_status
from core.errors import StoreError
from entrypoints.http.messages.responses import RETRY_AFTER_SECONDS, ErrorDocument, describe_error

TRACES_PATH: Final = "/v1/traces"

MAX_MESSAGE_BYTES: Final = 1000

_RETRIED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE})

# Codes of gRPC (google/rpc/code.proto).
_INVALID_ARGUMENT, _INTERNAL, _UNAVAILABLE = 3, 13, 14
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: 16,  # UNAUTHENTICATED
    HTTPStatus.FORBIDDEN: 7,  # PERMISSION_DENIED
    HTTPStatus.REQUEST_TIMEOUT: 4,  # DEADLINE_EXCEEDED
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,  # RESOURCE_EXHAUSTED
    HTTPStatus.INTERNAL_SERVER_ERROR: _INTERNAL,
    HTTPStatus.SERVICE_UNAVAILABLE: _UNAVAILABLE,
}


def export_response(form: ExportFormat, rejected: int, message: str) -> web.Response:
    """Return the response to a request that was read to its end."""
    body = encode_export_response(form, rejected, shortened(message))
    return web.Response(body=body, content_type=form)


def export_error_response(error: Exception, request: web.Request) -> web.Response:
    """Return a ``google.rpc.Status`` for any error of a request.

    What another attempt may get over is 503 with ``Retry-After``: exporters retry few other statuses, if any, and lose
    the spans.
    """
    document = _retried(error, describe_error(error, request))
    form = _format_of_errors(request)
    code = _CODES.get(HTTPStatus(document.status), _INVALID_ARGUMENT)
    detail = str(document.body["detail"])
    body = encode_status(form, code, detail, detail=detail, request_id=document.body["request_id"])
    response = web.Response(body=body, status=document.status, headers=document.headers, content_type=form)
    document.mark(response)
    if document.closes:
        response.force_close()
    return response


def shortened(message: str) -> str:
    """Return a message of at most ``MAX_MESSAGE_BYTES`` in UTF-8."""
    encoded = message.encode("utf-8", "backslashreplace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: MAX_MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"


def _retried(error: Exception, document: ErrorDocument) -> ErrorDocument:
    if document.status not in _RETRIED and not isinstance(error, StoreError):
        return document
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), **(document.headers or {})}
    return attrs.evolve(document, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)


def _format_of_errors(request: web.Request) -> ExportFormat:
    sent = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return ExportFormat.PROTOBUF if sent == ExportFormat.PROTOBUF else ExportFormat.JSON
