"""Spans from JSON, as OTLP writes it: hex ids, 64-bit integers as text or numbers, enumerations as integers.

Unknown members are passed over. As in ``protobuf``, a span is decoded when its turn has come.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import msgspec

from adapters.wire.otlp.spans import (
    NO_ID,
    Attributes,
    Event,
    Link,
    Span,
    SpanGroup,
    UndecodableExportError,
    UndecodableSpanError,
    plain_number,
    scope_of,
)
from adapters.wire.value_count import UNCOUNTED_BYTES, holds_more_values

_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)
_LONGEST_INTEGER: Final = 20


# Nothing of a request refers to what holds it, so the garbage collector need not track the many small structs.


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None
    double_value: float | str | None = None
    array_value: "_Array | None" = None
    kvlist_value: "_Pairs | None" = None
    bytes_value: str | None = None


class _Array(msgspec.Struct, gc=False):
    values: list[_Value] | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Pairs(msgspec.Struct, gc=False):
    values: list[_Pair] | None = None


class _Attributed(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _NamedScope(_Attributed):
    name: str | None = None
    version: str | None = None


class _ScopeSpans(msgspec.Struct):
    scope: msgspec.Raw = msgspec.Raw(b"null")
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"null")
    scope_spans: list[_ScopeSpans] | None = None


class _Export(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


class _Event(_Attributed, rename="camel"):
    name: str | None = None
    time_unix_nano: int | str | None = None


class _Link(_Attributed, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None


class _Status(msgspec.Struct):
    code: int | None = None
    message: str | None = None


class _Span(_Attributed, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None


_exports: Final = msgspec.json.Decoder(_Export)
_spans: Final = msgspec.json.Decoder(_Span)
_resources: Final = msgspec.json.Decoder(_Attributed | None)
_scopes: Final = msgspec.json.Decoder(_NamedScope | None)


def read_export(body: bytes, max_values: int) -> list[SpanGroup]:
    """Return the spans of an ``ExportTraceServiceRequest``; a span of more than ``max_values`` values is undecodable.

    Raises:
        UndecodableExportError
    """
    try:
        export = _exports.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableExportError(f"the body is not an ExportTraceServiceRequest in JSON: {error}") from None
    groups = []
    for resource_spans in export.resource_spans or ():
        resource = partial(_resource, resource_spans.resource, max_values)
        groups += [
            SpanGroup(
                resource,
                partial(_scope, scope_spans.scope, max_values),
                scope_spans.spans,
                partial(_span, max_values=max_values),
            )
            for scope_spans in resource_spans.scope_spans or ()
            if scope_spans.spans
        ]
    return groups


def _resource(encoded: msgspec.Raw, max_values: int) -> Attributes:
    try:
        _check_values(encoded, max_values)
        whole = _resources.decode(encoded) or _Attributed()
        return _attributes(whole.attributes or ())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableSpanError(f"has a resource that cannot be decoded: {error}") from None


def _scope(encoded: msgspec.Raw, max_values: int) -> dict[str, Any]:
    try:
        _check_values(encoded, max_values)
        scope = _scopes.decode(encoded) or _NamedScope()
        return scope_of(scope.name or "", scope.version or "", _attributes(scope.attributes or ()))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableSpanError(f"has a scope that cannot be decoded: {error}") from None


def _span(encoded: msgspec.Raw, max_values: int) -> Span:
    try:
        _check_values(encoded, max_values)
        return _plain(_spans.decode(encoded))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableSpanError(f"cannot be decoded: {error}") from None


def _check_values(encoded: msgspec.Raw, limit: int) -> None:
    if len(memoryview(encoded)) > UNCOUNTED_BYTES and holds_more_values(bytes(encoded), limit):
        raise UndecodableSpanError("has too many values (max_body_values)")


def _plain(span: _Span) -> Span:
    status = span.status or _Status()
    return Span(
        (span.trace_id or NO_ID).lower(),
        (span.span_id or NO_ID).lower(),
        (span.parent_span_id or NO_ID).lower(),
        span.name or "",
        span.kind or 0,
        _integer(span.start_time_unix_nano or 0, _UINT64),
        _integer(span.end_time_unix_nano or 0, _UINT64),
        _attributes(span.attributes or ()),
        [_event(event) for event in span.events] if span.events else [],
        [_link(link) for link in span.links] if span.links else [],
        status.code or 0,
        status.message or "",
    )


def _event(event: _Event) -> Event:
    return Event(event.name or "", _integer(event.time_unix_nano or 0, _UINT64), _attributes(event.attributes or ()))


def _link(link: _Link) -> Link:
    attributes = _attributes(link.attributes or ())
    return Link((link.trace_id or NO_ID).lower(), (link.span_id or NO_ID).lower(), attributes)


def _attributes(pairs: Iterable[_Pair]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: _Value | None) -> object:  # noqa: PLR0911 - one line per kind of value
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _integer(value.int_value, _INT64)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return _double(value.double_value)
    if value.array_value is not None:
        return [_value(item) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values or ())
    return None if value.bytes_value is None else _base64(value.bytes_value)


def _integer(given: int | str, allowed: range) -> int:
    """Return a 64-bit integer; raise ``UndecodableSpanError``."""
    if isinstance(given, str):
        digits = given.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_INTEGER):
            raise UndecodableSpanError(f"has a 64-bit integer that is none: {given[:40]!a}")
        given = int(given)
    if given not in allowed:
        raise UndecodableSpanError(f"has an integer beyond 64 bits: {str(given)[:40]}")
    return given


def _double(given: float | str) -> float | str:
    """Return a number as ``plain_number`` does; it may be text, as in the JSON of Protocol Buffers."""
    try:
        return plain_number(float(given))
    except ValueError:
        raise UndecodableSpanError(f"has a doubleValue that is no number: {str(given)[:40]!a}") from None


def _base64(text: str) -> str:
    """Return bytes as padded base64 of the standard alphabet; both alphabets are accepted, with padding or without."""
    standard = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return b64encode(b64decode(standard + "=" * (-len(standard) % 4), validate=True)).decode()
    except (Base64Error, ValueError):
        raise UndecodableSpanError("has a bytesValue that is not base64") from None
