"""Both encodings of the same spans give the same runs; what cannot be decoded is told from what is merely wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.otlp import json as json_spans
from adapters.wire.otlp import protobuf as protobuf_spans
from adapters.wire.otlp.responses import ExportFormat, encode_export_response, encode_status
from adapters.wire.otlp.spans import TooManySpansError, UndecodableExportError
from core.model.batch import RefusedRun
from core.model.run import Run
from tests.otlp import JSON, PROTOBUF, candidates, encoded, export, pairs, read, span

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=5), TEXTS
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
NAMES = TEXTS | st.sampled_from(
    (
        "service.name",
        "gen_ai.agent.name",
        "gen_ai.usage.input_tokens",
        "llm.token_count.prompt",
        "error.type",
        "input.value",
        "runsink.status",
        "runsink.run_id",
        "runsink.metrics_json",
        "runsink.parent_run_id",
    )
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=5)
NANOSECONDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 1_769_860_800_000_000_000])


def hex_ids(size: int) -> st.SearchStrategy[str]:
    """Ids of any length up to two bytes too many, most of them right."""
    right = st.binary(min_size=size, max_size=size)
    return st.builds(
        lambda raw, upper: raw.hex().upper() if upper else raw.hex(),
        st.one_of(right, right, st.binary(max_size=size + 2), st.just(bytes(size))),
        st.booleans(),
    )


@st.composite
def spans(draw: st.DrawFn) -> dict[str, Any]:
    """A span in JSON with any values, many of which a run may not have."""
    times = sorted([draw(NANOSECONDS), draw(NANOSECONDS)], reverse=draw(st.integers(0, 9)) == 0)
    event = st.fixed_dictionaries(
        {
            "name": TEXTS | st.just("exception"),
            "timeUnixNano": NANOSECONDS.map(str),
            "attributes": ATTRIBUTES.map(pairs),
        }
    )
    link = st.fixed_dictionaries({"traceId": hex_ids(16), "spanId": hex_ids(8), "attributes": ATTRIBUTES.map(pairs)})
    return {
        "traceId": draw(hex_ids(16)),
        "spanId": draw(hex_ids(8)),
        "parentSpanId": draw(st.just("") | hex_ids(8)),
        "name": draw(TEXTS),
        "kind": draw(st.integers(0, 6)),
        "startTimeUnixNano": str(times[0]),
        "endTimeUnixNano": str(times[1]),
        "attributes": pairs(draw(ATTRIBUTES)),
        "events": draw(st.lists(event, max_size=2)),
        "links": draw(st.lists(link, max_size=2)),
        "status": {"code": draw(st.integers(0, 2)), "message": draw(TEXTS)},
    }


def with_numbers(part: Any) -> Any:
    """Return the same JSON with numbers instead of texts for 64-bit integers, and members that nobody knows."""
    if isinstance(part, list):
        return [with_numbers(item) for item in part]
    if not isinstance(part, dict):
        return part
    numbers = {"intValue", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"}
    return {
        **{name: int(item) if name in numbers else with_numbers(item) for name, item in part.items()},
        "unknown": [{"a": None}],
    }


@given(st.lists(spans(), max_size=4), ATTRIBUTES, ATTRIBUTES)
def test_both_encodings_give_the_same_runs(
    sent: list[dict[str, Any]], resource: dict[str, Any], scope: dict[str, Any]
) -> None:
    """The same runs, and the same errors of the same spans; whether integers are numbers or texts."""
    document = export(sent, resource, {"name": "n", "version": "v", "attributes": pairs(scope)})
    expected = candidates(document, PROTOBUF)
    assert candidates(document) == expected
    numbered = json.dumps(with_numbers(document)).encode()
    assert [one for part in read(numbered, JSON) for one in part.candidates] == expected


SURROGATE = json.dumps(export([span(name="\ud800")])).encode()


def only_candidate(body: str) -> Any:
    """Return the candidate of a request in JSON with one span, written by hand."""
    whole = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + body + "]}]}]}"
    ((candidate,),) = [part.candidates for part in read(whole.encode(), JSON)]
    return candidate


def test_absent_members_and_null_are_defaults() -> None:
    """As in the JSON of Protocol Buffers."""
    members = dict.fromkeys(("parentSpanId", "kind", "attributes", "events", "links", "status", "flags"))
    run = only_candidate(json.dumps(span(status=None) | members))
    assert run == only_candidate(json.dumps(span(kind=0, attributes=[])))
    nothing = {"key": "a", "value": {"stringValue": None, "arrayValue": {"values": None}}}
    (with_null,) = candidates(export([span(attributes=None) | {"attributes": [nothing, {}]}]))
    assert json.loads(with_null.context_json)["attributes"] == {"a": [], "": None}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"intValue":"9223372036854775808"}', "has an integer beyond 64 bits: 9223372036854775808"),
        ('{"intValue":" 1"}', "has a 64-bit integer that is none: ' 1'"),
        ('{"intValue":"1_0"}', "has a 64-bit integer that is none: '1_0'"),
        ('{"intValue":"' + "9" * 5000 + '"}', "has a 64-bit integer that is none: '99"),
        ('{"intValue":1.5}', "cannot be decoded: "),
        ('{"doubleValue":"one"}', "has a doubleValue that is no number: 'one'"),
        ('{"doubleValue":1e999}', "cannot be decoded: "),
        ('{"bytesValue":"a?"}', "has a bytesValue that is not base64"),
        ("5", "cannot be decoded: Expected `object"),
    ],
)
def test_a_span_that_cannot_be_decoded_is_rejected_alone(value: str, said: str) -> None:
    """Others of the same request are kept."""
    whole = json.dumps(span(attributes=None) | {"attributes": [{"key": "a", "value": "VALUE"}]})
    candidate = only_candidate(whole.replace('"VALUE"', value))
    assert isinstance(candidate, RefusedRun)
    assert str(candidate.errors[0]).removeprefix("it ").startswith(said)
    good, bad, also_good = candidates(export([span(0), {**span(1), "kind": "CLIENT"}, span(2)]))
    assert (type(good), type(bad), type(also_good)) == (Run, RefusedRun, Run)


def test_deep_json_is_rejected() -> None:
    """As a whole or the span alone; that depends on the version of Python."""
    deep = '{"arrayValue":' + '{"values":[{"arrayValue":' * 5000 + "{}" + "}]}" * 5000 + "}"
    whole = json.dumps(export([span(attributes=None) | {"attributes": [{"key": "a", "value": "VALUE"}]}]))
    try:
        found = [one for part in read(whole.replace('"VALUE"', deep).encode(), JSON) for one in part.candidates]
    except UndecodableExportError:
        return
    assert [type(one) for one in found] == [RefusedRun]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b'{"resourceSpans": 5}', b'{"resourceSpans": [5]}', b"\xff", SURROGATE]
)
def test_json_that_is_no_request_is_undecodable(body: bytes) -> None:
    """Nothing in it can be relied on."""
    with pytest.raises(UndecodableExportError):
        json_spans.read_export(body, 1000)


GOOD = encoded(export([span()], {"service.name": "s"}), PROTOBUF)


@pytest.mark.parametrize(
    "body", [GOOD[:-1], b"not protobuf", b"\xff" * 20, b"\x0a", b"\x0b", b"\x09" + b"1" * 7, b"\x0a\x02\x12\x7f"]
)
def test_bytes_that_are_no_request_are_undecodable(body: bytes) -> None:
    """Truncated at any level, or not Protocol Buffers at all."""
    with pytest.raises(UndecodableExportError, match="the body is not Protocol Buffers: "):
        protobuf_spans.read_export(body, 1000)


def test_an_undecodable_span_among_bytes_is_rejected_alone() -> None:
    """Its length is known, so what follows it is, too."""
    resource_spans = b"\x12\x06\x12\x04\x0a\x7fxx"
    body = GOOD + b"\x0a" + bytes([len(resource_spans)]) + resource_spans + encoded(export([span(1)]), PROTOBUF)
    found = [one for part in read(body, PROTOBUF) for one in part.candidates]
    assert [type(one) for one in found] == [Run, RefusedRun, Run]
    assert str(found[1].errors[0]).startswith("it cannot be decoded: ")


def test_unknown_fields_of_bytes_are_passed_over() -> None:
    """Of every wire type that is in use."""
    unknown = b"\x78\x96\x01" + b"\x79" + b"x" * 8 + b"\x7a\x01x" + b"\x7d" + b"x" * 4
    assert [one for part in read(unknown + GOOD + unknown, PROTOBUF) for one in part.candidates] == candidates(
        export([span()], {"service.name": "s"})
    )


def test_a_span_with_too_many_values_is_rejected() -> None:
    """A request of 20 MiB must not take a gigabyte of memory."""
    many = export([span(attributes={"a": [1] * 300_000}), span(1)])
    for media_type in (JSON, PROTOBUF):
        bad, good = candidates(many, media_type)
        assert str(bad.errors[0]) == "it has too many values (max_body_values)"
        assert isinstance(good, Run)


def test_more_spans_than_valid_ones_would_fit_are_too_many() -> None:
    """A request of empty spans is no export."""
    with pytest.raises(TooManySpansError):
        protobuf_spans.read_export(_nested(b"\x12\x00" * 100_000), 1000)
    with pytest.raises(TooManySpansError):
        protobuf_spans.read_export(b"\x0a\x00" * 100_000, 1000)


def _nested(scope_spans: bytes) -> bytes:
    """Return a request with one resource and this scope."""
    content = scope_spans
    for field in (2, 1):
        content = bytes([field << 3 | 2]) + protobuf_spans_length(len(content)) + content
    return content


def protobuf_spans_length(size: int) -> bytes:
    """Return a length in the encoding of Protocol Buffers."""
    out = b""
    while size > 0x7F:
        out, size = out + bytes([size & 0x7F | 0x80]), size >> 7
    return out + bytes([size])


def test_responses_are_what_other_programs_decode() -> None:
    """Both messages, written by hand, as the generated classes read them."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - of this test alone
        ExportTraceServiceResponse,
    )

    message = "ä" * 400
    told = ExportTraceServiceResponse.FromString(encode_export_response(ExportFormat.PROTOBUF, 300, message))
    assert (told.partial_success.rejected_spans, told.partial_success.error_message) == (300, message)
    assert encode_export_response(ExportFormat.PROTOBUF, 0, "") == b""
    assert json.loads(encode_export_response(ExportFormat.JSON, 0, "")) == {}
    assert json.loads(encode_export_response(ExportFormat.JSON, 3, "x")) == {
        "partialSuccess": {"rejectedSpans": "3", "errorMessage": "x"}
    }
    assert encode_status(ExportFormat.PROTOBUF, 3, "no") == b"\x08\x03\x12\x02no"
