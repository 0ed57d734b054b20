"""The OpenAPI document describes the server: its routes, its fields, and the form of every response."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import apsw
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema_rs import ValidationError
from openapi_core.exceptions import OpenAPIError
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.sqlite import connection as sqlite_connection
from adapters.wire.query import DEFAULT_BUCKET_SECONDS
from adapters.wire.summary import SHOWN_FIELDS
from core.model.job import JobState
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import FIELDS, FIXED_FIELDS, Commit, RunChanges, Status
from core.model.statistics import MAX_BUCKET_SECONDS, MAX_STATISTICS_METRICS, FacetField
from core.model.tree import MAX_CAUSES, MAX_COMMITS
from core.validation.fields import STATUSES
from entrypoints.http.api.metrics import MetricsResource
from entrypoints.http.api.operations import Operations
from entrypoints.http.api.stream import Stream
from entrypoints.http.server import api_routes
from tests.documented import API, Description, Received, resolved
from tests.properties.machine import COMMITS, changes
from tests.properties.strategies import sent_runs, texts
from tests.servers import Api, MakeRun, Start

SCHEMAS: Mapping[str, Any] = API["components"]["schemas"]

BATCH = "/api/v1/runs/batch"
ATOMIC = "/api/v1/runs/batch-transactional"
STREAM = "/api/v1/runs/stream"
RUNS = "/api/v1/runs"
EXPORT = "/api/v1/export"
STATS = "/api/v1/stats"
FACETS = "/api/v1/facets"
TREE = "/api/v1/runs/{id}/tree"

MINIMAL = {"Prefer": "return=minimal"}
SOME = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(schema: Mapping[str, Any], value: object) -> None:
    """Fail unless the schema, which may refer to others of the document, allows the value."""
    Draft202012Validator({**schema, "components": API["components"]}).validate(value)


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Return every documented path and method."""
    for path, item in API["paths"].items():
        yield from ((path, method, item[method]) for method in ("get", "post", "patch", "delete") if method in item)


def test_document_is_valid() -> None:
    """The document is OpenAPI 3.1."""
    assert list(OpenAPIV31SpecValidator(API).iter_errors()) == []


def anonymous(path: str) -> str:
    """Return a path whose parameters have no names."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def concrete(path: str) -> str:
    """Return a path of this form."""
    return path.format(id="x", file="initializer.js")


def test_documented_routes_are_the_servers() -> None:
    """Exactly the server's routes are documented, with their methods; every GET is also a HEAD."""
    served = defaultdict(set)
    # The handlers are only inspected, so they need no dependencies.
    nothing: Any = None
    stream, metrics = Stream(nothing, nothing, nothing, 60), MetricsResource(nothing, nothing, nothing)
    for route in api_routes(nothing, 500, stream, Operations(nothing, nothing, {}), metrics):
        served[anonymous(route.path)].add(route.method.lower())
    documented = defaultdict(set)
    for path, method, _ in operations():
        documented[anonymous(path)].add(method)
    assert documented == served


def test_documented_methods_are_those_that_the_server_allows(shared_server: Api) -> None:
    """Any other method gets 405 with the documented ones, and HEAD beside GET."""
    for path, item in API["paths"].items():
        answer = shared_server.request("PUT", concrete(path))
        methods = {name.upper() for name in item if name != "parameters"}
        assert answer.status == 405
        # An upload's path is also that of a run with this name.
        allowed = set(answer.headers["Allow"].split(",")) - (
            {"GET", "HEAD", "PATCH"} if path in {BATCH, ATOMIC, STREAM} else set()
        )
        assert allowed == methods | ({"HEAD"} if "GET" in methods else set())
        check(SCHEMAS["Error"], {**answer.body, "request_id": answer.headers["X-Request-ID"]})


def test_documented_limits_are_those_that_are_told(shared_server: Api) -> None:
    """Exactly the limits of the response are described."""
    told = shared_server.request("GET", "/api/v1/limits").body
    assert SCHEMAS["Limits"]["properties"].keys() == set(SCHEMAS["Limits"]["required"]) == told.keys()


def test_documented_fields_are_those_of_the_core() -> None:
    """Runs, changes, commits, filters, statuses and conflicts have the fields and words of the code."""
    filters = {resolved(one)["name"] for one in API["paths"][RUNS]["get"]["parameters"]}
    assert SCHEMAS["Run"]["properties"].keys() == set(SCHEMAS["Run"]["required"]) == set(FIELDS)
    assert SCHEMAS["NewRun"]["properties"].keys() == set(FIELDS)
    assert SCHEMAS["Changes"]["properties"].keys() == get_type_hints(RunChanges).keys()
    assert SCHEMAS["Commit"]["properties"].keys() == attrs.fields_dict(Commit).keys()
    assert filters == attrs.fields_dict(RunFilter).keys() | {"limit", "offset", "cursor", "fields", "rollup"}
    for path, own in ((EXPORT, {"format"}), (STATS, {"bucket", "metrics"}), (FACETS, {"fields"})):
        names = {resolved(one)["name"] for one in API["paths"][path]["get"]["parameters"]}
        assert names == attrs.fields_dict(RunFilter).keys() | own
    assert SCHEMAS["RunSummary"]["properties"].keys() == set(SCHEMAS["RunSummary"]["required"]) == set(SHOWN_FIELDS)
    (fields,) = (one for one in API["paths"]["/api/v1/runs"]["get"]["parameters"] if one.get("name") == "fields")
    assert fields["schema"]["pattern"] == f"^summary(,({'|'.join(FIELDS)}))*$"
    assert SCHEMAS["RunWithRollup"]["properties"].keys() == {*FIELDS, "rollup"}
    assert SCHEMAS["FacetField"]["enum"] == list(FacetField)
    assert SCHEMAS["JobState"]["enum"] == list(JobState)
    assert SCHEMAS["Status"]["enum"] == list(Status)
    assert SCHEMAS["SentStatus"]["enum"] == list(STATUSES)
    assert SCHEMAS["Conflict"]["properties"]["fields"]["items"]["enum"] == [
        name for name in FIXED_FIELDS if name != "event_id"
    ]


def test_documented_bounds_are_those_of_the_limits() -> None:
    """The numbers in the schemas are the limits in force."""
    (page_limit,) = (one for one in API["paths"][RUNS]["get"]["parameters"] if one.get("name") == "limit")
    assert page_limit["schema"]["maximum"] == Limits().max_page_runs
    (tree_limit,) = (one for one in API["paths"][TREE]["get"]["parameters"] if one["name"] == "limit")
    assert tree_limit["schema"]["maximum"] == tree_limit["schema"]["default"] == Limits().max_tree_runs
    assert SCHEMAS["Rollup"]["properties"]["causes"]["maxItems"] == MAX_CAUSES
    assert SCHEMAS["Rollup"]["properties"]["commits"]["maxItems"] == MAX_COMMITS
    stats = {one["name"]: one["schema"] for one in API["paths"][STATS]["get"]["parameters"] if "name" in one}
    assert stats["bucket"]["maximum"] == MAX_BUCKET_SECONDS
    assert stats["bucket"]["default"] == DEFAULT_BUCKET_SECONDS
    assert stats["metrics"]["maxItems"] == MAX_STATISTICS_METRICS
    values = SCHEMAS["Facets"]["properties"]["facets"]["additionalProperties"]["maxItems"]
    assert values == Limits().max_facet_values
    assert SCHEMAS["Batch"]["properties"]["runs"]["maxItems"] == Limits().max_batch_runs
    assert SCHEMAS["EventId"]["maxLength"] == Limits().max_event_id_length


def examples(part: object) -> Iterator[tuple[Mapping[str, Any], object]]:
    """Return every example of a part of the document, with its schema."""
    if isinstance(part, dict):
        schema = part.get("schema", part)
        if isinstance(part.get("example"), str) and "schema" in part:
            yield schema, part["example"]
        given_here = part.get("examples", [])
        named = given_here.values() if isinstance(given_here, dict) else [{"value": one} for one in given_here]
        yield from ((schema, one["value"]) for one in named)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from examples(inner)


def test_every_example_is_valid_by_its_schema() -> None:
    """Those of bodies, parameters and schemas."""
    found = list(examples(API))
    assert len(found) >= 10
    for schema, example in found:
        check(schema, example)


@pytest.mark.parametrize(
    ("status", "headers", "body", "wrong"),
    [
        (418, {}, b'{"detail":"x"}', "418"),
        (201, {}, b'{"runs":[]}', "."),
        (503, {}, b'{"detail":"x","request_id":"y"}', "Retry-After"),
        (429, {"Retry-After": "1"}, b'{"detail":"x"}', "request_id"),
        (201, {"Content-Type": "text/html"}, b"x", "."),
        (201, {}, b"", "body"),
        (404, {}, b'{"detail":"x"}', "404"),
    ],
)
def test_an_undocumented_response_is_noticed(status: int, headers: dict[str, str], body: bytes, wrong: str) -> None:
    """What judges the responses in all tests of HTTP finds a wrong status, header, type and body."""
    received = Received(status, {"Content-Type": "application/json", "X-Request-ID": "y", **headers}, body)
    with pytest.raises((AssertionError, OpenAPIError, ValidationError), match=wrong):
        Description().check("POST", BATCH, received)


def test_examples_are_valid_and_taken(server: Api) -> None:
    """Every example request is valid by its schema and succeeds."""
    for path, method, operation in operations():
        media = resolved(operation.get("requestBody", {"content": {}}))["content"].get("application/json", {})
        for example in media.get("examples", {}).values():
            check(media["schema"], example["value"])
            answer = server.send(method.upper(), path.format(id="e-1"), example["value"])
            assert answer.status in {200, 201}, answer


@SOME
@given(run=sent_runs(), what=changes(), commit=COMMITS)
def test_good_runs_keep_to_the_schemas(
    shared_server: Api, make_run: MakeRun, run: dict[str, Any], what: dict[str, Any], commit: dict[str, Any]
) -> None:
    """The schemas allow whatever the server accepts, and describe whatever it returns."""
    sent = run | {"event_id": make_run()["event_id"]}
    check(SCHEMAS["NewRun"], sent)
    check(SCHEMAS["Changes"], what)
    check(SCHEMAS["Commit"], commit)
    for answer in (
        shared_server.lenient([sent]),
        shared_server.patch(sent["event_id"], what),
        shared_server.commit(sent["event_id"], commit),
    ):
        assert answer.status in {200, 201}


@SOME
@given(field=st.sampled_from(FIELDS), value=st.none() | st.booleans() | st.integers() | texts() | st.just([]))
def test_what_the_schema_refuses_the_server_refuses(
    shared_server: Api, make_run: MakeRun, field: str, value: object
) -> None:
    """A value that the schema of a run does not allow is rejected, and the response names the field."""
    run = make_run(**{field: value})
    if not Draft202012Validator({**SCHEMAS["NewRun"], "components": API["components"]}).is_valid(run):
        answer = shared_server.create(run)
        assert answer.status == 422
        assert answer.locations == [["body", field]]


def test_answers_of_the_uploads_are_as_documented(shared_server: Api, make_run: MakeRun) -> None:
    """Accepted, with conflicts, minimal, partly rejected, wholly rejected, rolled back, too many, no batch."""
    good, bad = make_run(), make_run(status="lost", event_id=1)
    for endpoint, expected in (
        ("batch", [201, 201, 201, 500, 422, 422, 400]),
        ("batch-transactional", [201, 201, 201, 400, 400, 422, 400]),
    ):
        answers = [
            shared_server.upload(endpoint, [good, make_run()]),
            shared_server.upload(endpoint, [good | {"agent_name": "other", "shard": 1}]),
            shared_server.upload(endpoint, [good], **MINIMAL),
            shared_server.upload(endpoint, [good, bad, 1]),
            shared_server.upload(endpoint, [bad]),
            shared_server.upload(endpoint, []),
            shared_server.upload(endpoint, [good] * 1001),
        ]
        assert [answer.status for answer in answers] == expected
        assert answers[1].body["conflicts"]


def test_answers_to_streams_are_as_documented(shared_server: Api, make_run: MakeRun) -> None:
    """Read to the end with errors and conflicts, ended early, and no array of runs."""
    good = make_run()
    for status, answer in (
        (200, shared_server.send("POST", STREAM, [good, make_run(status="lost"), good | {"agent_name": "other"}])),
        (200, shared_server.send("POST", STREAM, b"", Content_Type="application/x-ndjson")),
        (400, shared_server.send("POST", STREAM, b"\xff", Content_Type="application/jsonl")),
        (400, shared_server.send("POST", STREAM, b"x", Content_Encoding="gzip")),
        (422, shared_server.send("POST", STREAM, {"run": []})),
    ):
        assert answer.status == status


def test_failures_of_the_store_are_as_documented(
    monkeypatch: pytest.MonkeyPatch, start: Start, make_run: MakeRun, tmp_path: Path
) -> None:
    """A locked database is 503 with ``Retry-After``, a damaged one 500, on every write."""
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 50)
    run = make_run()
    with start() as server, closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
        for status, spoil in ((503, "BEGIN IMMEDIATE"), (500, "DROP TABLE tallies; COMMIT")):
            other.execute(spoil)
            for answer in (server.lenient([run]), server.atomic([run]), server.create(run)):
                assert answer.status == status
