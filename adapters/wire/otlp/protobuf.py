"""Spans from Protocol Buffers.

Only where each span begins and ends is read here. The spans themselves are decoded one at a time by the classes of
``opentelemetry-proto``: decoded as a whole, a request of empty spans would take a hundred times its size.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from adapters.wire.otlp.spans import (
    Attributes,
    Event,
    Link,
    Span,
    SpanGroup,
    TooManySpansError,
    UndecodableExportError,
    UndecodableSpanError,
    plain_number,
    scope_of,
)
from adapters.wire.value_count import UNCOUNTED_BYTES

# Numbers of fields in opentelemetry/proto: collector/trace/v1/trace_service.proto, trace/v1/trace.proto.
_RESOURCE_SPANS: Final = 1
_RESOURCE, _SCOPE_SPANS = 1, 2
_SCOPE, _SPANS = 1, 2

_SMALLEST_SPAN: Final = 32
"""Bytes that no valid span is without: its ids, its start, and what says how long each is."""

_INVALID_SPANS: Final = 1000
"""So many spans of fewer bytes are each rejected by name."""

# The messages that hold others without a bound, by the numbers of the fields that hold them; common/v1/common.proto.
_KEY_VALUE: Final[dict[int, Any]] = {}
_ANY_VALUE: Final[dict[int, Any]] = {5: {}, 6: {1: _KEY_VALUE}}
_ANY_VALUE[5][1] = _ANY_VALUE
_KEY_VALUE[2] = _ANY_VALUE
_SPAN: Final[dict[int, Any]] = {9: _KEY_VALUE, 11: {3: _KEY_VALUE}, 13: {4: _KEY_VALUE}}
_ORIGIN: Final[dict[int, Any]] = {1: _KEY_VALUE, 3: _KEY_VALUE}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}


def read_export(body: bytes, max_values: int) -> list[SpanGroup]:
    """Return the spans of an ``ExportTraceServiceRequest``; a span of more than ``max_values`` values is undecodable.

    Raises:
        UndecodableExportError, TooManySpansError
    """
    left = len(body) // _SMALLEST_SPAN + _INVALID_SPANS
    groups = []
    for resource_spans in _members(body, _RESOURCE_SPANS):
        left = _less(left, 1)
        resource = partial(_resource, b"".join(_members(resource_spans, _RESOURCE)), max_values)
        for scope_spans in _members(resource_spans, _SCOPE_SPANS):
            spans = list(islice(_members(scope_spans, _SPANS), left + 1))
            left = _less(left, 1 + len(spans))
            if spans:
                scope = partial(_scope, b"".join(_members(scope_spans, _SCOPE)), max_values)
                groups.append(SpanGroup(resource, scope, spans, partial(_span, max_values=max_values)))
    return groups


def _less(left: int, used: int) -> int:
    if used > left:
        raise TooManySpansError("the body has more spans than could have an id and a start in so few bytes")
    return left - used


def _members(message: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the contents of every field of that number; raise ``UndecodableExportError``."""
    for number, content in _fields(message):
        if number == wanted and content is not None:
            yield content


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each field, and the content of one that has a length; raise ``UndecodableExportError``."""
    at, end = 0, len(message)
    while at < end:
        # Nearly every tag is one byte; calling for it would take a quarter of the time to find the spans.
        tag, at = (message[at], at + 1) if message[at] < 0x80 else _varint(message, at)
        kind, content = tag & 7, None
        if kind == _LENGTH:
            size, at = _varint(message, at)
            if at + size > end:
                raise UndecodableExportError(f"the body is not Protocol Buffers: a field breaks off after {end} bytes")
            content = message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in _FIXED_BYTES and at + _FIXED_BYTES[kind] <= end:
            at += _FIXED_BYTES[kind]
        else:
            raise UndecodableExportError(f"the body is not Protocol Buffers: it has the wire type {kind}")
        yield tag >> 3, content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins there, and where it ends."""
    value = shift = 0
    for byte in message[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise UndecodableExportError("the body is not Protocol Buffers: a number breaks off")


def _check_values(message: bytes, holders: dict[int, Any], limit: int) -> None:
    """Raise ``UndecodableSpanError`` if a large message holds more than ``limit`` fields: each takes memory."""
    if len(message) <= UNCOUNTED_BYTES:
        return
    waiting = [(message, holders)]
    while waiting:
        part, inner = waiting.pop()
        for number, content in _fields(part):
            limit -= 1
            if limit < 0:
                raise UndecodableSpanError("has too many values (max_body_values)")
            if number in inner and content is not None:
                waiting.append((content, inner[number]))


def _parsed(kind: Any, encoded: bytes, holders: dict[int, Any], max_values: int) -> Any:
    try:
        _check_values(encoded, holders, max_values)
        return kind.FromString(encoded)
    except (DecodeError, UndecodableExportError) as error:
        raise UndecodableSpanError(f"cannot be decoded: {error}") from None


def _resource(encoded: bytes, max_values: int) -> Attributes:
    return _attributes(_parsed(Resource, encoded, _ORIGIN, max_values).attributes)


def _scope(encoded: bytes, max_values: int) -> dict[str, Any]:
    scope = _parsed(InstrumentationScope, encoded, _ORIGIN, max_values)
    return scope_of(scope.name, scope.version, _attributes(scope.attributes))


def _span(encoded: bytes, max_values: int) -> Span:
    span = _parsed(SpanMessage, encoded, _SPAN, max_values)
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        [Event(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events],
        [Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links],
        span.status.code,
        span.status.message,
    )


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    found: Attributes = {}
    for pair in pairs:
        value = pair.value
        # What is not set reads as empty or 0. Nearly all attributes are texts or integers, and asking for the kind of
        # each takes a sixth of the time to decode.
        found[pair.key] = value.string_value or value.int_value or _value(value)
    return found


def _value(value: AnyValue) -> object:
    convert = _CONVERSIONS.get(value.WhichOneof("value"))
    return None if convert is None else convert(value)


_CONVERSIONS: Final[dict[str | None, Any]] = {
    "string_value": lambda value: value.string_value,
    "int_value": lambda value: value.int_value,
    "bool_value": lambda value: value.bool_value,
    "double_value": lambda value: plain_number(value.double_value),
    "array_value": lambda value: [_value(item) for item in value.array_value.values],
    "kvlist_value": lambda value: _attributes(value.kvlist_value.values),
    "bytes_value": lambda value: b64encode(value.bytes_value).decode(),
}
