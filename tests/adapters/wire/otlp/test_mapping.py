"""Which field of a run comes from where in a span: the table row by row, what takes precedence, and what is wrong."""

import json
from itertools import combinations
from typing import Any

import attrs
import pytest

from adapters.wire.otlp.content import CONTENT_INDEXED, CONTENT_NAMES, CONTENT_PREFIXES
from adapters.wire.otlp.mapping import SpanMapper
from adapters.wire.otlp.slices import read_slices
from adapters.wire.otlp.spans import Span, SpanGroup, UndecodableSpanError, scope_of
from adapters.wire.otlp.table import CONTEXT, KINDS, METRICS, OVERRIDES, TABLE
from adapters.wire.structure import Structurer
from core.model.batch import RefusedRun
from core.model.limits import MAX_JSON_CHARACTERS, MAX_TEXT_CHARACTERS
from core.model.run import FIELDS, SERVER_FIELDS, Run
from tests.otlp import JSON, NOW, PROTOBUF, SPAN, START, TRACE, TYPES, candidates, encoded, export, read, span

IDENTITY = f"{TRACE}-{SPAN}"
PARENT = "00f067aa0ba902b7"
LONG_ATTRIBUTE = "x" * (MAX_JSON_CHARACTERS + 1)


def exception(message: str, stacktrace: str) -> dict[str, Any]:
    """Return the event of an exception."""
    attributes = {"exception.type": "E", "exception.message": message, "exception.stacktrace": stacktrace}
    return {
        "name": "exception",
        "timeUnixNano": str(START),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def run_of(attributes: Any = None, resource: Any = None, **given: Any) -> Run:
    """Return the run that a span becomes."""
    (run,) = candidates(export([span(attributes=attributes, **given)], resource))
    assert isinstance(run, Run), run
    return run


def refused(**given: Any) -> list[str]:
    """Return what is wrong with a span."""
    (candidate,) = candidates(export([span(**given)]))
    assert isinstance(candidate, RefusedRun)
    return [str(error) for error in candidate.errors]


ROWS: list[tuple[str, Any, dict[str, Any]]] = [
    ("event_id", IDENTITY, {}),
    ("event_id", IDENTITY, {"traceId": TRACE.upper(), "spanId": SPAN.upper()}),
    ("run_id", IDENTITY, {}),
    ("parent_run_id", f"{TRACE}-{PARENT}", {"parentSpanId": PARENT.upper()}),
    ("parent_run_id", None, {"parentSpanId": ""}),
    ("parent_run_id", None, {"parentSpanId": "0" * 16}),
    ("parent_run_id", "launch-7", {"attributes": {"runsink.parent_run_id": "launch-7"}}),
    ("parent_run_id", "launch-7", {"resource": {"runsink.parent_run_id": "launch-7"}}),
    ("parent_run_id", f"{TRACE}-{PARENT}", {"parentSpanId": PARENT, "resource": {"runsink.parent_run_id": "l"}}),
    ("start_time", "2026-01-31T12:00:00.123456Z", {}),
    ("start_time", "2026-01-31T12:00:00.000007Z", {"startTimeUnixNano": str(START // 10**9 * 10**9 + 7_999)}),
    ("start_time", "2554-07-21T23:34:33.709551Z", {"startTimeUnixNano": str(2**64 - 1), "endTimeUnixNano": "0"}),
    ("end_time", "2026-01-31T12:00:01.623456Z", {}),
    ("end_time", None, {"endTimeUnixNano": "0"}),
    ("end_time", None, {"endTimeUnixNano": None}),
    ("duration_ms", 1500, {}),
    ("duration_ms", 0, {"endTimeUnixNano": str(START)}),
    ("duration_ms", None, {"endTimeUnixNano": None}),
    ("status", "running", {"endTimeUnixNano": None, "status": {"code": 2}}),
    ("status", "success", {}),
    ("status", "success", {"status": {"code": 1}}),
    ("status", "failure", {"status": {"code": 2}}),
    ("status", "failure", {"status": {"code": 2}, "attributes": {"error.type": "ValueError"}}),
    ("status", "timeout", {"status": {"code": 2}, "attributes": {"error.type": "timeout"}}),
    ("status", "timeout", {"status": {"code": 2}, "attributes": {"error.type": "openai.APITimeoutError"}}),
    ("status", "success", {"attributes": {"error.type": "timeout"}}),
    ("error_summary", "no quota", {"status": {"code": 2, "message": "no quota"}, "events": [exception("m", "s")]}),
    ("error_summary", "second", {"status": {"code": 2}, "events": [exception("first", "1"), exception("second", "2")]}),
    ("error_summary", None, {}),
    ("error_details", "2", {"events": [exception("first", "1"), exception("second", "2"), {"name": "other"}]}),
    ("error_details", None, {}),
    ("agent_name", "planner", {"attributes": {"gen_ai.agent.name": "planner"}, "resource": {"service.name": "fleet"}}),
    ("agent_name", "fleet", {"resource": {"service.name": "fleet"}}),
    ("agent_name", "fleet", {"attributes": {"gen_ai.agent.name": ""}, "resource": {"service.name": "fleet"}}),
    ("agent_name", "fleet", {"attributes": {"gen_ai.agent.name": 5}, "resource": {"service.name": "fleet"}}),
    ("agent_name", "unknown", {}),
    (
        "job_type",
        "chat",
        {"attributes": {"openinference.span.kind": "LLM", "gen_ai.operation.name": "chat", "traceloop.span.kind": "t"}},
    ),
    ("job_type", "LLM", {"attributes": {"traceloop.span.kind": "task", "openinference.span.kind": "LLM"}}),
    ("job_type", "task", {"attributes": {"traceloop.span.kind": "task"}}),
    ("job_type", "span", {}),
    ("item_name", "chat gpt-4o", {}),
    ("item_name", None, {"name": ""}),
    ("product", "fleet", {"resource": {"service.name": "fleet"}}),
    ("product", None, {}),
    ("product", None, {"attributes": {"service.name": 7}, "resource": {"service.name": "fleet"}}),
    ("product_family", "agents", {"resource": {"service.namespace": "agents"}}),
    ("platform", "openai", {"attributes": {"gen_ai.provider.name": "openai", "gen_ai.system": "az.ai.openai"}}),
    ("platform", "openai", {"attributes": {"gen_ai.system": "openai"}}),
    ("git_repo", "https://git.example/r", {"resource": {"vcs.repository.url.full": "https://git.example/r"}}),
    ("git_branch", "main", {"resource": {"vcs.ref.head.name": "main"}}),
    ("commit_hash", "0a1b2c3", {"resource": {"vcs.ref.head.revision": "0a1b2c3"}}),
    ("commit_hash", None, {"resource": {"vcs.ref.head.revision": "r110"}}),
]


@pytest.mark.parametrize(("field", "expected", "given"), ROWS)
def test_each_row_of_the_table(field: str, expected: object, given: dict[str, Any]) -> None:
    """The first source that has a value which the field may have; times are truncated to microseconds."""
    assert getattr(run_of(**given), field) == expected


def test_every_row_of_the_table_is_tested() -> None:
    """The fields of the table, with the JSON objects, are all that spans fill by themselves."""
    assert {field for field, _, _ in ROWS} == TABLE.keys()


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize(("metric", "names"), METRICS.items())
def test_each_source_of_a_metric(metric: str, names: tuple[str, ...], media_type: str) -> None:
    """Each name alone, then the first of all of them; what is no number is passed over."""
    for place, name in enumerate(names):
        rest = {other: 100 + number for number, other in enumerate(names[place:])}
        for attributes in ({name: 100}, rest, {**dict.fromkeys(names[:place], True), name: 100}):
            (run,) = candidates(export([span(attributes=attributes)]), media_type)
            assert json.loads(run.metrics_json) == {metric: 100}


def test_metrics_are_not_added_up() -> None:
    """No total appears, and a span without any has none."""
    found = run_of({"gen_ai.usage.input_tokens": 7, "llm.token_count.completion": 2.5, "other": 1}).metrics_json
    assert found is not None
    assert json.loads(found) == {"input_tokens": 7, "output_tokens": 2.5}
    assert run_of({"gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": True}).metrics_json is None
    assert run_of({}).metrics_json is None


NAMES = ("gen_ai.agent.name", "service.name", "gen_ai.usage.input_tokens", "llm.usage.prompt_tokens", "runsink.status")


@pytest.mark.parametrize("filler", [0, 200])
def test_a_span_becomes_the_same_run_alone_and_among_others(filler: int) -> None:
    """Whichever attributes the others have, and whatever values; also with more of them than are remembered."""
    others = [{f"other.{number}.{place}": 1 for place in range(number)} for number in range(filler)]
    subsets = [names for size in range(len(NAMES) + 1) for names in combinations(NAMES, size)]
    given = [dict.fromkeys(names, value) for value in ("failure", 7) for names in subsets]
    spans = [span(number, attributes) for number, attributes in enumerate([*others, *given, *others])]
    resource = {"service.name": "fleet", "gen_ai.provider.name": "openai"}
    together = candidates(export(spans, resource))
    found = [attrs.evolve(one, index=0) if isinstance(one, RefusedRun) else one for one in together]
    assert found == [one for each in spans for one in candidates(export([each], resource))]


def test_the_context_holds_everything_as_sent() -> None:
    """Names of attributes keep their dots, and values of every kind their types."""
    values = {"a.b": {"c": [1, -(2**63), 2.0, True, None, b"\0\1", "ä\0"]}, "nan": float("nan"), "inf": float("-inf")}
    link = {"traceId": TRACE.upper(), "spanId": PARENT, "attributes": []}
    scope = {"name": "lib", "version": "2", "attributes": [{"key": "s", "value": {"intValue": 1}}]}
    given = span(attributes=values, events=[exception("m", "s")], links=[link])
    (run,) = candidates(export([given], {"service.name": "fleet"}, scope))
    context = json.loads(run.context_json)
    assert context == {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "chat gpt-4o",
        "kind": "client",
        "scope": {"name": "lib", "version": "2", "attributes": {"s": 1}},
        "resource": {"service.name": "fleet"},
        "attributes": {
            "a.b": {"c": [1, -(2**63), 2.0, True, None, "AAE=", "ä\0"]},
            "nan": "NaN",
            "inf": "-Infinity",
        },
        "events": [
            {
                "name": "exception",
                "time": "2026-01-31T12:00:00.123456Z",
                "attributes": {"exception.type": "E", "exception.message": "m", "exception.stacktrace": "s"},
            }
        ],
        "links": [{"trace_id": TRACE, "span_id": PARENT, "attributes": {}}],
    }
    assert context.keys() == CONTEXT.keys()


@pytest.mark.parametrize(("number", "name"), [*enumerate(KINDS), (9, 9)])
def test_kinds_have_names(number: int, name: object) -> None:
    """A number that OTLP does not know is kept."""
    assert json.loads(run_of(kind=number).context_json or "")["kind"] == name


OVERRIDING: dict[str, object] = {
    "event_id": "e-1",
    "run_id": "launch-1",
    "agent_name": "me",
    "job_type": "plan",
    "start_time": "2026-01-31T11:00:00.000000Z",
    "status": "partial",
    "end_time": "2026-01-31T13:00:00.000000Z",
    "duration_ms": 5,
    "commit_hash": "0a1b2c3d",
    "commit_source": "ci",
    "commit_timestamp": "2026-01-31T13:00:00.000000Z",
}


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in SERVER_FIELDS and name != "parent_run_id"])
def test_an_attribute_of_the_field_takes_precedence(name: str) -> None:
    """That of the span before that of the resource, whatever else the span says."""
    value = OVERRIDING.get(name, {"a": 1} if name in ("metrics_json", "context_json", "extra") else 7)
    if name not in OVERRIDING and isinstance(value, int) and not name.startswith("items_"):
        value = "text"
    key = f"runsink.{name}"
    assert key in OVERRIDES
    expected = json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
    source = {"gen_ai.agent.name": "not me", "gen_ai.usage.input_tokens": 1}
    assert getattr(run_of({**source, key: value}, {key: "lost"}), name) == expected
    assert getattr(run_of(source, {key: value}), name) == expected


def test_a_json_object_may_be_given_as_text() -> None:
    """Few SDKs have attributes that are objects."""
    assert run_of({"runsink.extra": '{"b": 1, "a": [2]}'}).extra == '{"a":[2],"b":1}'


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"runsink.status": "lost"}, "status must be one of running, "),
        ({"runsink.duration_ms": "12"}, "duration_ms must be an integer, not '12'"),
        ({"runsink.start_time": "2026-01-31T12:00:00"}, "start_time has no UTC offset"),
        ({"runsink.agent_name": ""}, "agent_name must not be empty"),
        ({"runsink.extra": "no JSON"}, "extra must be a JSON object, not 'no JSON'"),
        ({"runsink.git_branch": "a\0b"}, "git_branch contains a NUL character"),
    ],
)
def test_a_bad_attribute_of_a_field_rejects_the_span(attributes: dict[str, Any], said: str) -> None:
    """By the rule of the field, which the error quotes; the run is named."""
    (candidate,) = candidates(export([span(attributes=attributes)]))
    assert isinstance(candidate, RefusedRun)
    (error,) = candidate.errors
    assert str(error).startswith(said)
    assert (candidate.event_id, candidate.run_id) == (IDENTITY, IDENTITY)


def test_a_source_that_a_field_may_not_have_is_passed_over() -> None:
    """It stays in the context, and the span is kept."""
    run = run_of({"gen_ai.agent.name": "a\0b"}, {"service.name": "fleet"}, name="n\0", status={"message": "m\0"})
    assert (run.agent_name, run.item_name, run.error_summary) == ("fleet", None, None)
    context = json.loads(run.context_json or "")
    assert (context["name"], context["attributes"]["gen_ai.agent.name"]) == ("n\0", "a\0b")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"traceId": "0" * 32}, "trace_id must be 16 bytes that are not all zero, not '000"),
        ({"traceId": None}, "trace_id must be 16 bytes that are not all zero, not empty"),
        ({"traceId": TRACE[:-2]}, f"trace_id must be 16 bytes that are not all zero, not '{TRACE[:-2]}'"),
        ({"traceId": "g" * 32}, "trace_id must be 16 bytes"),
        ({"spanId": "0" * 16}, "span_id must be 8 bytes that are not all zero, not '0000000000000000'"),
        ({"spanId": ""}, "span_id must be 8 bytes that are not all zero, not empty"),
        ({"parentSpanId": "12"}, "parent_span_id must be 8 bytes that are not all zero, not '12'"),
        ({"startTimeUnixNano": "0"}, "start_time must be in nanoseconds since 1970, not 0"),
        ({"startTimeUnixNano": None}, "start_time must be in nanoseconds since 1970, not 0"),
        ({"endTimeUnixNano": str(START - 1000)}, "end_time must not be before the start: 2026-01-31T12:00:00.123455Z"),
    ],
)
def test_a_span_that_is_wrong_in_itself_is_rejected(given: dict[str, Any], said: str) -> None:
    """The message says what was wrong and what would be right."""
    (error,) = refused(**given)
    assert error.startswith(said)


def test_everything_wrong_is_named() -> None:
    """Not only the first fault."""
    assert len(refused(traceId="", spanId="", startTimeUnixNano="0")) == 3


@pytest.mark.parametrize(
    "name", [*sorted(CONTENT_NAMES), *(f"{one}0.text" for one in CONTENT_PREFIXES + CONTENT_INDEXED)]
)
def test_message_content_is_dropped_unless_it_is_kept(name: str) -> None:
    """From spans and from their events; what is named similarly stays."""
    event = {"name": "e", "attributes": [{"key": name, "value": {"stringValue": "secret"}}]}
    document = export([span(attributes={name: "secret", "x" + name: "x"}, events=[event])])
    (run,), (kept,) = candidates(document), candidates(document, keeps_content=True)
    assert "secret" not in run.context_json
    assert "x" + name in json.loads(run.context_json)["attributes"]
    assert kept.context_json.count('"secret"') == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_request_parameters", '{"output_mode": "text", "instruction_parts": [{"content": "secret"}]}'),
        ("llm.invocation_parameters", '{"model": "m", "instructions": "secret"}'),
        ("input.images.0.image.url", "data:image/png;base64,secret"),
    ],
)
def test_what_clients_send_beside_messages_is_content_as_well(name: str, value: str) -> None:
    """Parameters of a request may repeat the instructions; pictures are part of what was said."""
    assert "secret" not in (run_of({name: value}).context_json or "")


def test_content_is_dropped_from_every_span() -> None:
    """Also from one whose names were all seen before, but for that."""
    secret = {"input.value": "secret"}
    plain = span(attributes={"a": 1})
    document = export([plain, span(1, {"a": 1, **secret}), span(2, {"a": 1, **secret}), plain])
    assert all("secret" not in run.context_json for run in candidates(document))


@pytest.mark.parametrize("name", ["gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt"])
def test_events_that_are_messages_keep_no_content(name: str) -> None:
    """Only who said something and where it belongs."""
    attributes = [{"key": key, "value": {"stringValue": f"<{key}>"}} for key in ("role", "content", "message", "index")]
    (run,) = candidates(export([span(events=[{"name": name, "attributes": attributes}])]))
    assert json.loads(run.context_json)["events"][0]["attributes"] == {"role": "<role>", "index": "<index>"}


@pytest.mark.parametrize("media_type", TYPES)
def test_an_attribute_that_is_too_long_is_left_out_and_named(media_type: str) -> None:
    """The longest go first, as few as possible; the rest of the span is kept."""
    attributes = {"long": LONG_ATTRIBUTE, "short": "x", "half": "x" * (MAX_TEXT_CHARACTERS - 1000)}
    (part,) = read(encoded(export([span(attributes=attributes)]), media_type), media_type)
    (run,) = part.candidates
    assert isinstance(run, Run)
    kept = json.loads(run.context_json or "")["attributes"]
    assert kept == {**attributes, "long": f"[left out: {len(LONG_ATTRIBUTE) + 2} characters]"}
    assert part.warnings == [f"span {IDENTITY}: too long to keep: long"]


def test_attributes_that_are_too_long_together_are_left_out_one_by_one() -> None:
    """Those of events as well."""
    third = {name: name * (MAX_TEXT_CHARACTERS - 1000) for name in "ab"}
    event = {"name": "e", "attributes": [{"key": "c", "value": {"stringValue": "c" * MAX_TEXT_CHARACTERS}}]}
    (part,) = read(encoded(export([span(attributes=third, events=[event])]), JSON), JSON)
    (run,) = part.candidates
    assert isinstance(run, Run)
    assert part.warnings == [f"span {IDENTITY}: too long to keep: c"]


def test_a_span_that_cannot_be_shortened_is_rejected() -> None:
    """Its name alone is too long."""
    (error,) = refused(name=LONG_ATTRIBUTE)
    assert error.startswith("context_json has more than 1048576 characters (max_json_characters)")


def test_a_large_resource_is_shortened_for_many_spans() -> None:
    """What every run repeats is bounded, or a small request would fill the disk."""
    spans = [span(number) for number in range(1000)]
    (part,) = read(encoded(export(spans, {"service.name": "s", "blob": "x" * 100_000}), PROTOBUF), PROTOBUF)
    assert part.warnings == ["resource or scope: too long to keep with every span: blob"]
    assert all(run.product == "s" and len(run.context_json) < 1000 for run in part.candidates if isinstance(run, Run))


@pytest.mark.parametrize("media_type", TYPES)
def test_a_resource_of_too_many_short_attributes_is_rejected_with_its_spans(media_type: str) -> None:
    """No marker is shorter than they are; every span says so, and those of another resource are kept."""
    document = export([span(number) for number in range(200)], {f"name-{number}": "x" * 90 for number in range(5000)})
    document["resourceSpans"] += export([span(1000)])["resourceSpans"]
    (part,) = read(encoded(document, media_type), media_type)
    *bad, good = part.candidates
    assert {str(one.errors[0]) for one in bad if isinstance(one, RefusedRun)} == {
        "it has a resource and a scope of over 250405 characters, too many for every span"
    }
    assert len(bad) == 200
    assert isinstance(good, Run)


@pytest.mark.parametrize("fails", [False, True])
def test_a_resource_is_decoded_once_for_all_scopes_that_share_it(*, fails: bool) -> None:
    """A request may have one large resource and a scope for each of many spans."""
    calls = []

    def resource() -> dict[str, Any]:
        calls.append(1)
        if fails:
            raise UndecodableSpanError("is bad")
        return {"service.name": "s"}

    plain = Span(TRACE, SPAN, "", "n", 0, 1, 2, {}, [], [], 0, "")
    groups = [SpanGroup(resource, lambda: scope_of("", "", {}), [b"", b""], lambda _: plain) for _ in range(3)]
    (part,) = read_slices(groups, SpanMapper(Structurer()), NOW)
    assert [isinstance(candidate, RefusedRun) for candidate in part.candidates] == [fails] * 6
    assert len(calls) == 1


def test_a_pending_span_is_passed_over() -> None:
    """Logfire announces each span by another one."""
    pending = span(1, {"logfire.span_type": "pending_span"})
    kept = candidates(export([pending, span(2, {"logfire.span_type": "span"})]))
    assert [run.created_at for run in kept] == [NOW]


def test_deep_values_are_rejected() -> None:
    """By the rule of the field, or by the decoder."""
    value: Any = 1
    for _ in range(99):
        value = [value]
    (error,) = refused(attributes={"deep": value})
    assert "is nested deeper than 100 levels" in error
