"""What a sender of spans is told, in the encoding that it uses.

The two messages are written by hand, so that they can be sent where ``opentelemetry-proto`` is not installed.
"""

from enum import StrEnum
from typing import Any

import msgspec


class ExportFormat(StrEnum):
    """How a request is encoded: its media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def encode_export_response(form: ExportFormat, rejected: int, message: str) -> bytes:
    """Write an ``ExportTraceServiceResponse``; without a message everything was accepted, and it is empty."""
    if form is ExportFormat.JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
        return msgspec.json.encode(partial if message else {})
    return _content_field(1, _number_field(1, rejected) + _text_field(2, message)) if message else b""


def encode_status(form: ExportFormat, code: int, message: str, **more: Any) -> bytes:
    """Write a ``google.rpc.Status``; ``more`` are further members in JSON, whose readers ignore them."""
    if form is ExportFormat.JSON:
        return msgspec.json.encode({"code": code, "message": message, **more})
    return _number_field(1, code) + _text_field(2, message)


def _number_field(field: int, value: int) -> bytes:
    # A zero is the default and not written.
    return _varint(field << 3) + _varint(value) if value else b""


def _text_field(field: int, text: str) -> bytes:
    return _content_field(field, text.encode("utf-8", "backslashreplace")) if text else b""


def _content_field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
