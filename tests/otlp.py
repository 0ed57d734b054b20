"""Spans for tests, in either encoding of OTLP."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from adapters.wire.otlp import json as json_spans
from adapters.wire.otlp import protobuf as protobuf_spans
from adapters.wire.otlp.mapping import SpanMapper
from adapters.wire.otlp.slices import SpanSlice, read_slices
from adapters.wire.otlp.spans import plain_number
from adapters.wire.structure import Structurer
from core.model.limits import Limits
from core.model.run import Timestamp
from tests.servers import Answer, Api

TRACES: Final = "/v1/traces"
JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
TYPES: Final = (JSON, PROTOBUF)

TRACE: Final = "5b8efff798038103d269b633813fc60c"
SPAN: Final = "eee19b7ec3c1b174"
START: Final = 1_769_860_800_123_456_789
"""2026-01-31T12:00:00.123456789Z"""
NOW: Final = Timestamp("2026-02-01T00:00:00.000000Z")

_IDS: Final = ("traceId", "spanId", "parentSpanId")


def value(plain: object) -> dict[str, Any]:  # noqa: PLR0911 - one line per kind of value
    """Return an ``AnyValue`` in JSON."""
    match plain:
        case bool():
            return {"boolValue": plain}
        case int():
            return {"intValue": str(plain)}
        case float():
            return {"doubleValue": plain_number(plain)}
        case str():
            return {"stringValue": plain}
        case bytes():
            return {"bytesValue": base64.b64encode(plain).decode()}
        case list():
            return {"arrayValue": {"values": [value(item) for item in plain]}}
        case dict():
            return {"kvlistValue": {"values": pairs(plain)}}
        case _:
            return {}


def pairs(attributes: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return attributes in JSON."""
    return [{"key": key, "value": value(item)} for key, item in attributes.items()]


def span(number: int = 0, attributes: Mapping[str, object] | None = None, **given: Any) -> dict[str, Any]:
    """Return a span in JSON that took 1.5 seconds; each number makes another one. ``None`` leaves a member out."""
    members = {
        "traceId": TRACE,
        "spanId": f"{int(SPAN, 16) + number:016x}",
        "name": "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 1_500_000_000),
        "attributes": pairs(attributes or {}),
        **given,
    }
    return {name: item for name, item in members.items() if item is not None}


def export(
    spans: Sequence[object], resource: Mapping[str, object] | None = None, scope: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return a request in JSON with these spans of one resource and scope."""
    scope_spans = {"scope": scope or {"name": "tests", "version": "1"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": pairs(resource or {})}, "scopeSpans": [scope_spans]}]}


def encoded(document: Mapping[str, Any], media_type: str) -> bytes:
    """Return a request in one of the encodings, from its JSON."""
    if media_type == JSON:
        return json.dumps(document).encode()
    return bytes(ParseDict(_with_base64_ids(document), ExportTraceServiceRequest()).SerializeToString())


def _with_base64_ids(part: Any) -> Any:
    """Return the JSON of Protocol Buffers, which has base64 where OTLP has hex."""
    if isinstance(part, list):
        return [_with_base64_ids(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {
        name: base64.b64encode(bytes.fromhex(item)).decode() if name in _IDS else _with_base64_ids(item)
        for name, item in part.items()
    }


def read(body: bytes, media_type: str, **options: bool) -> Iterator[SpanSlice]:
    """Decode and map a request."""
    reader = json_spans if media_type == JSON else protobuf_spans
    mapper = SpanMapper(Structurer(), **options)
    return read_slices(reader.read_export(body, Limits().max_body_values), mapper, NOW)


def candidates(document: Mapping[str, Any], media_type: str = JSON, **options: bool) -> list[Any]:
    """Return the candidates of a request."""
    return [one for part in read(encoded(document, media_type), media_type, **options) for one in part.candidates]


@attrs.frozen
class Exporter:
    """Sends requests of spans to a server, in one encoding."""

    api: Api
    media_type: str = JSON

    def send(self, document: Mapping[str, Any] | bytes, **headers: str) -> Answer:
        """Send a request."""
        body = document if isinstance(document, bytes) else encoded(document, self.media_type)
        return self.api.send("POST", TRACES, body, **{"Content_Type": self.media_type, **headers})

    def partial_success(self, answer: Answer) -> tuple[int, str]:
        """Return the rejected spans and the message of a response."""
        assert answer.headers["Content-Type"] == self.media_type
        if self.media_type == JSON:
            told = answer.body.get("partialSuccess", {})
            return int(told.get("rejectedSpans", 0)), told.get("errorMessage", "")
        message = ExportTraceServiceResponse.FromString(answer.body or b"")
        return message.partial_success.rejected_spans, message.partial_success.error_message
