"""``docs/openapi.yaml`` describes the server: its routes, its fields, and the form of every response."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote

import apsw
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.readers import read_from_filename

from adapters.sqlite import connection as sqlite_connection
from core.model.job import JobState
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import FIELDS, FIXED_FIELDS, Commit, RunChanges, Status
from core.validation.fields import STATUSES
from entrypoints.http.api.operations import Operations
from entrypoints.http.api.stream import Stream
from entrypoints.http.server import api_routes
from tests.jobs import wait_until
from tests.properties.machine import COMMITS, changes
from tests.properties.strategies import sent_runs, texts
from tests.servers import Answer, Api, MakeRun, Start

API: Mapping[str, Any] = read_from_filename(str(Path(__file__).parent.parent / "docs" / "openapi.yaml"))[0]
SCHEMAS: Mapping[str, Any] = API["components"]["schemas"]

BATCH = "/api/v1/runs/batch"
ATOMIC = "/api/v1/runs/batch-transactional"
STREAM = "/api/v1/runs/stream"
RUNS = "/api/v1/runs"
RUN = "/api/v1/runs/{id}"
COMMIT = "/api/v1/runs/{id}/associate-commit"
JOBS = "/api/v1/jobs"
JOB = "/api/v1/jobs/{id}"
EXPORT = "/api/v1/export"

WITH_A_BODY = [("POST", BATCH), ("POST", ATOMIC), ("POST", STREAM), ("POST", RUNS), ("PATCH", RUN), ("POST", COMMIT)]
MINIMAL = {"Prefer": "return=minimal"}
SOME = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve a reference within the document."""
    while "$ref" in part:
        found: Any = API
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(schema: Mapping[str, Any], value: object) -> None:
    """Fail unless the schema, which may refer to others of the document, allows the value."""
    Draft202012Validator({**schema, "components": API["components"]}).validate(value)


def check_header(name: str, header: Mapping[str, Any], value: str | None) -> None:
    """Fail unless the header has a value that its schema allows, or is absent and may be."""
    if value is None:
        assert not header.get("required", False), name
    else:
        check(header["schema"], int(value) if header["schema"].get("type") == "integer" else value)


def check_answer(method: str, path: str, answer: Answer) -> None:
    """Fail unless the response is as documented for its status: headers, type and body."""
    documented = resolved(API["paths"][path][method.lower()]["responses"][str(answer.status)])
    for name, header in documented.get("headers", {}).items():
        check_header(name, resolved(header), answer.headers.get(name))
    assert answer.headers.get_content_type() == "application/json"
    check(documented["content"]["application/json"]["schema"], answer.body)


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Return every documented path and method."""
    for path, item in API["paths"].items():
        yield from ((path, method, item[method]) for method in ("get", "post", "patch", "delete") if method in item)


def test_document_is_valid() -> None:
    """The document is OpenAPI 3.1 and has the product's version."""
    assert list(OpenAPIV31SpecValidator(API).iter_errors()) == []
    assert API["info"]["version"] == version("runsink")


def test_documented_routes_are_the_servers() -> None:
    """Exactly the server's routes are documented, with their methods; every GET is also a HEAD."""
    served = defaultdict(set)
    # The handlers are only inspected, so they need no dependencies.
    nothing: Any = None
    for route in api_routes(nothing, 500, Stream(nothing, nothing, nothing, 60), Operations(nothing, nothing, {}, "")):
        served[re.sub(r"\{[^}]*\}", "{id}", route.path)].add(route.method.lower())
    documented = defaultdict(set)
    for path, method, _ in operations():
        documented[path].add(method)
    assert documented == served


def test_documented_methods_are_those_that_the_server_allows(shared_server: Api) -> None:
    """Any other method gets 405 with the documented ones, and HEAD beside GET."""
    for path, item in API["paths"].items():
        answer = shared_server.request("PUT", path.format(id="x"))
        methods = {name.upper() for name in item if name != "parameters"}
        assert answer.status == 405
        # An upload's path is also that of a run with this name.
        allowed = set(answer.headers["Allow"].split(",")) - (
            {"GET", "HEAD", "PATCH"} if path in {BATCH, ATOMIC, STREAM} else set()
        )
        assert allowed == methods | ({"HEAD"} if "GET" in methods else set())
        check(SCHEMAS["Error"], answer.body)


def test_documented_limits_are_those_that_are_told(shared_server: Api) -> None:
    """Exactly the limits of the response are described."""
    told = shared_server.request("GET", "/api/v1/limits").body
    assert SCHEMAS["Limits"]["properties"].keys() == set(SCHEMAS["Limits"]["required"]) == told.keys()


def test_documented_fields_are_those_of_the_core() -> None:
    """Runs, changes, commits, filters, statuses and conflicts have the fields and words of the code."""
    filters = {one["name"] for one in API["paths"][RUNS]["get"]["parameters"]}
    assert SCHEMAS["Run"]["properties"].keys() == set(SCHEMAS["Run"]["required"]) == set(FIELDS)
    assert SCHEMAS["NewRun"]["properties"].keys() == set(FIELDS)
    assert SCHEMAS["Changes"]["properties"].keys() == get_type_hints(RunChanges).keys()
    assert SCHEMAS["Commit"]["properties"].keys() == attrs.fields_dict(Commit).keys()
    assert filters == attrs.fields_dict(RunFilter).keys() | {"limit", "offset", "cursor"}
    exported = {one["name"] for one in API["paths"][EXPORT]["get"]["parameters"]}
    assert exported == attrs.fields_dict(RunFilter).keys() | {"format"}
    assert SCHEMAS["JobState"]["enum"] == list(JobState)
    assert SCHEMAS["Status"]["enum"] == list(Status)
    assert SCHEMAS["SentStatus"]["enum"] == list(STATUSES)
    assert SCHEMAS["Conflict"]["properties"]["fields"]["items"]["enum"] == [
        name for name in FIXED_FIELDS if name != "event_id"
    ]


def test_documented_bounds_are_those_of_the_limits() -> None:
    """The numbers in the schemas are the limits in force."""
    (page_limit,) = (one for one in API["paths"][RUNS]["get"]["parameters"] if one["name"] == "limit")
    assert page_limit["schema"]["maximum"] == Limits().max_page_runs
    assert SCHEMAS["Batch"]["properties"]["runs"]["maxItems"] == Limits().max_batch_runs
    assert SCHEMAS["EventId"]["maxLength"] == Limits().max_event_id_length


def test_examples_are_valid_and_taken(server: Api) -> None:
    """Every example request is valid by its schema and succeeds."""
    for path, method, operation in operations():
        media = resolved(operation.get("requestBody", {"content": {}}))["content"].get("application/json", {})
        for example in media.get("examples", {}).values():
            check(media["schema"], example["value"])
            answer = server.send(method.upper(), path.format(id="e-1"), example["value"])
            assert answer.status in {200, 201}, answer
            check_answer(method, path, answer)


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
    for method, path, answer in (
        ("POST", BATCH, shared_server.lenient([sent])),
        ("PATCH", RUN, shared_server.patch(sent["event_id"], what)),
        ("POST", COMMIT, shared_server.commit(sent["event_id"], commit)),
    ):
        assert answer.status in {200, 201}
        check_answer(method, path, answer)


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


def lists(**query: str) -> str:
    """Return the path of a list."""
    return RUNS + "?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())


def test_answers_of_the_uploads_are_as_documented(shared_server: Api, make_run: MakeRun) -> None:
    """Accepted, with conflicts, minimal, partly rejected, wholly rejected, rolled back, too many, no batch."""
    good, bad = make_run(), make_run(status="lost", event_id=1)
    for path, endpoint, expected in (
        (BATCH, "batch", [201, 201, 201, 500, 422, 422, 400]),
        (ATOMIC, "batch-transactional", [201, 201, 201, 400, 400, 422, 400]),
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
        for answer in answers:
            check_answer("POST", path, answer)


def test_partly_refused_upload_with_207_is_as_documented(start: Start, make_run: MakeRun) -> None:
    """With the option, 207 has the form of the 500 without it."""
    with start(partial_status=207) as server:
        answer = server.lenient([make_run(), {}])
    assert answer.status == 207
    check_answer("POST", BATCH, answer)


@pytest.mark.parametrize(("method", "path"), WITH_A_BODY)
def test_refused_bodies_are_as_documented(shared_server: Api, method: str, path: str) -> None:
    """Not JSON, another type or none, too large: on every request with a body."""
    address = path.format(id="x")
    too_large = b" " * (Limits().max_body_bytes + 1)
    for status, answer in (
        (400, shared_server.send(method, address, b"{")),
        (415, shared_server.send(method, address, {}, Content_Type="text/plain")),
        (415, shared_server.request(method, address, b"{}")),
        (413, shared_server.send(method, address, too_large)),
    ):
        assert answer.status == status
        check_answer(method, path, answer)


def test_answers_to_pages_of_other_origins_are_as_documented(shared_server: Api) -> None:
    """Every cross-origin write gets 403, and every request with another host 421."""
    for path, method, _ in operations():
        for headers, status in (({"Origin": "null"}, 403), ({"Host": "evil.example"}, 421)):
            if status == 421 or method != "get":
                answer = shared_server.request(method.upper(), path.format(id="x"), headers=headers)
                assert answer.status == status
                check_answer(method, path, answer)


def test_answers_about_single_runs_are_as_documented(shared_server: Api, make_run: MakeRun) -> None:
    """Created, rejected, read, changed, given a commit, and not found."""
    run = make_run(run_id="openapi single", metrics_json={"n": 2**70}, shard=[None])
    key = run["event_id"]
    commit = {"commit_hash": "0a1b2c3", "commit_source": "ci"}
    for method, path, status, answer in (
        ("POST", RUNS, 201, shared_server.create(run)),
        ("POST", RUNS, 422, shared_server.create([])),
        ("GET", RUN, 200, shared_server.get(run["run_id"])),
        ("GET", RUN, 404, shared_server.get("openapi none")),
        ("PATCH", RUN, 200, shared_server.patch(key, {"items_failed": 0})),
        ("PATCH", RUN, 422, shared_server.patch(key, {"run_id": "x"})),
        ("PATCH", RUN, 404, shared_server.patch("openapi none", {})),
        ("POST", COMMIT, 200, shared_server.commit(key, commit)),
        ("POST", COMMIT, 400, shared_server.commit(key, {})),
        ("POST", COMMIT, 404, shared_server.commit("openapi none", commit)),
    ):
        assert answer.status == status, (method, path, answer)
        check_answer(method, path, answer)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 200),
        ({"limit": "1", "cursor": ""}, 200),
        ({"status": "completed", "start_time_from": "2026-01-31T12:00:00+01:00"}, 200),
        ({"limit": "0"}, 422),
        ({"unknown": "x"}, 422),
    ],
)
def test_answers_of_the_list_are_as_documented(shared_server: Api, query: dict[str, str], status: int) -> None:
    """Pages with and without counting, and invalid queries."""
    answer = shared_server.request("GET", lists(**query))
    assert answer.status == status
    check_answer("GET", RUNS, answer)


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
        check_answer("POST", STREAM, answer)


def test_answers_about_jobs_are_as_documented(shared_server: Api, make_run: MakeRun) -> None:
    """Made, looked at, listed, removed, and not found."""
    made = shared_server.send("POST", STREAM, [make_run(), {}], Prefer="respond-async")
    assert made.status == 202
    check_answer("POST", STREAM, made)
    path = made.headers["Location"]
    wait_until(lambda: shared_server.request("GET", path).body["state"] == "succeeded")
    for method, template, status, answer in (
        ("GET", JOB, 200, shared_server.request("GET", path)),
        ("GET", JOBS, 200, shared_server.request("GET", f"{JOBS}?state=succeeded")),
        ("GET", JOBS, 422, shared_server.request("GET", f"{JOBS}?state=lost")),
        ("GET", JOB, 404, shared_server.request("GET", f"{JOBS}/none")),
        ("DELETE", JOB, 404, shared_server.request("DELETE", f"{JOBS}/none")),
    ):
        assert answer.status == status
        check_answer(method, template, answer)
    assert shared_server.request("DELETE", path).status == 204


def test_refused_exports_are_as_documented(shared_server: Api) -> None:
    """An unknown format, and an unknown filter."""
    for query in ("format=xml", "limit=1"):
        answer = shared_server.request("GET", f"{EXPORT}?{query}")
        assert answer.status == 422
        check_answer("GET", EXPORT, answer)


@pytest.mark.parametrize("path", ["/api/v1/metadata", "/api/v1/limits", "/health", "/ready"])
def test_answers_about_the_server_are_as_documented(shared_server: Api, path: str) -> None:
    """Health, readiness, limits and metadata."""
    answer = shared_server.request("GET", path)
    assert answer.status == 200
    check_answer("GET", path, answer)


def test_failures_of_the_store_are_as_documented(
    monkeypatch: pytest.MonkeyPatch, start: Start, make_run: MakeRun, tmp_path: Path
) -> None:
    """A locked database is 503 with ``Retry-After``, a damaged one 500, on every write."""
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 50)
    run = make_run()
    with start() as server, closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
        for status, spoil in ((503, "BEGIN IMMEDIATE"), (500, "DROP TABLE tallies; COMMIT")):
            other.execute(spoil)
            for path, answer in (
                (BATCH, server.lenient([run])),
                (ATOMIC, server.atomic([run])),
                (RUNS, server.create(run)),
            ):
                assert answer.status == status
                check_answer("POST", path, answer)
