"""``otlp``: spans in both encodings of OTLP, beside the batches of S2.

Each request has 512 spans of model calls, of about 570 bytes in Protocol Buffers and 1100 in JSON. Requests are made of
one, with another trace id each, so that the load generator needs no time for encoding.
"""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from time import perf_counter, sleep, time_ns
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.client import Answer, Connection, LoadError, Request, drive, fetch, get
from bench.figures import Measured
from bench.processes import cpu_seconds, peak_mib, resident_mib, run_worker, runsink_server
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_fresh, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_batches", "of S2"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("idle_mib", "idle MiB"),
    ("peak_mib", "peak MiB"),
)

ENCODINGS: Final = {"protobuf": "application/x-protobuf", "JSON": "application/json"}
REQUEST_SPANS: Final = 512

_PATH: Final = "/v1/traces"
_CASE: Final = Case(SCENARIOS["S2"], "lenient", "full")
_SETTLE_SECONDS: Final = 0.3
_TRACE: Final = b"0123456789abcdef"
_RESOURCE: Final = {
    "service.name": "agent-fleet",
    "service.namespace": "agents",
    "service.version": "1.4.2",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.30.0",
    "host.name": "worker-7",
    "process.pid": 4711,
}
_CALL: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.agent.name": "planner",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-9XyTQ1mZ0aKq",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 800,
    "gen_ai.conversation.id": "5f0c1e7a9b3d4c2f",
    "server.address": "api.openai.com",
    "server.port": 443,
}


@attrs.frozen
class SpansTask:
    """Work for one client: requests of spans in one encoding, for some seconds after a warm-up."""

    url: str
    encoding: str
    seconds: float
    warmup: float
    pid: int


def measure_otlp(plan: Plan) -> Measured:
    """Batches of S2, then spans in each encoding, once a repetition."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        say(repetition, plan.repetitions, "batches")
        batches = measure_fresh(_CASE, plan.timing, plan.directory, plan.options)
        measured.add(_CASE.name, batches | {"over_batches": 1.0})
        for encoding in ENCODINGS:
            say(repetition, plan.repetitions, f"spans, {encoding}")
            sample = _sample(plan, encoding)
            ratio = sample["runs_per_second"] / batches["runs_per_second"]
            measured.add(f"spans, {encoding}", sample | {"over_batches": ratio})
    return measured


def _sample(plan: Plan, encoding: str) -> dict[str, float]:
    with scratch(plan.directory) as directory, runsink_server(directory / "runs.db", plan.options) as server:
        sleep(_SETTLE_SECONDS)
        idle = resident_mib(server.pid)
        task = SpansTask(server.url, encoding, plan.timing.seconds, plan.timing.warmup, server.pid)
        figures: dict[str, float] = run_worker("spans", task, plan.timing.limit)["figures"]
        return figures | {"idle_mib": idle, "peak_mib": peak_mib(server.pid)}


def run_spans(task: SpansTask) -> dict[str, Any]:
    """Send requests of new spans, check that each is accepted and that all are stored, and measure."""
    requests = _requests(task)
    with closing(Connection(task.url)) as client:
        warm = drive([client], requests, task.warmup, _check)
        cpu, began = cpu_seconds(task.pid), perf_counter()
        latencies = sorted(drive([client], requests, task.seconds, _check))
        elapsed, used = perf_counter() - began, cpu_seconds(task.pid) - cpu
        _check_stored(client, task.url, (len(warm) + len(latencies)) * REQUEST_SPANS)
    spans = len(latencies) * REQUEST_SPANS
    return {
        "figures": {
            "runs_per_second": spans / elapsed,
            "cpu_s_per_1000": used * 1000 / spans,
            "p50_ms": latencies[len(latencies) // 2] * 1000,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        }
    }


def make_request() -> ExportTraceServiceRequest:
    """Return a request of model calls, all of the same trace."""
    request, now = ExportTraceServiceRequest(), time_ns()
    resource_spans = request.resource_spans.add()
    _put(resource_spans.resource.attributes, _RESOURCE)
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "opentelemetry.instrumentation.openai", "0.40"
    for number in range(REQUEST_SPANS):
        span = scope_spans.spans.add(trace_id=_TRACE, span_id=os.urandom(8), parent_span_id=os.urandom(8))
        span.name, span.kind = "chat gpt-4o", 3
        span.start_time_unix_nano, span.end_time_unix_nano = now + number * 10**6, now + number * 10**6 + 10**9
        _put(span.attributes, _CALL)
    return request


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """Return a request in JSON, as exporters write it."""
    (resource_spans,) = request.resource_spans
    (scope_spans,) = resource_spans.scope_spans
    scope = {"name": scope_spans.scope.name, "version": scope_spans.scope.version}
    inner = {"scope": scope, "spans": [_span(span) for span in scope_spans.spans]}
    outer = {"resource": {"attributes": _pairs(_RESOURCE)}, "scopeSpans": [inner]}
    return json.dumps({"resourceSpans": [outer]}, separators=(",", ":")).encode()


def _span(span: Any) -> dict[str, Any]:
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_time_unix_nano),
        "endTimeUnixNano": str(span.end_time_unix_nano),
        "attributes": _pairs(_CALL),
    }


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [{"key": name, "value": {kinds[type(value)]: value}} for name, value in attributes.items()]


def _put(pairs: Any, attributes: dict[str, Any]) -> None:
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    for name, value in attributes.items():
        setattr(pairs.add(key=name).value, kinds[type(value)], value)


def _requests(task: SpansTask) -> Iterator[Request]:
    request, in_json = make_request(), task.encoding == "JSON"
    template = as_json(request) if in_json else request.SerializeToString()
    shown = _TRACE.hex().encode() if in_json else _TRACE
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: {urlsplit(task.url).netloc}\r\nContent-Type: {ENCODINGS[task.encoding]}\r\n"
        f"Content-Length: {len(template)}\r\n\r\n"
    ).encode()
    while True:
        trace = os.urandom(16)
        yield Request(head + template.replace(shown, trace.hex().encode() if in_json else trace), REQUEST_SPANS)


def _check(_request: Request, answer: Answer) -> None:
    if answer.status != 200 or bytes(answer.body) not in (b"", b"{}"):
        raise LoadError(f"status {answer.status}: {bytes(answer.body[:500])!r}")


def _check_stored(client: Connection, url: str, expected: int) -> None:
    _, body = fetch(client, get(url, "/api/v1/runs?limit=1"))
    if json.loads(body)["total"] != expected:
        raise LoadError(f"{json.loads(body)['total']} runs are stored, not {expected}")
