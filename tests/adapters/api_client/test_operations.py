"""What responses mean: each is a result or an error of the core, and nonsense is told apart."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.api_client.connection import ApiResponse
from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.lines import LineSplitter
from adapters.api_client.operations import Operation, Requests, batch_of, filters_of, may_pass
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    NotABatchError,
    ResponseTooLargeError,
    RunNotFoundError,
    RunRefusedError,
    RunsinkError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreTimeoutError,
)
from core.model.listing import RunFilter
from core.model.run import Text

RUN = {"event_id": "e", "run_id": "r", "agent_name": "a", "job_type": "b", "start_time": "2026-01-31T12:00:00Z"}
TIMES = {"created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00.5Z"}
COUNTS = {"runs": [], "total": 1, "created": 0, "existing": 0, "failed": 1, "conflicts": []}
REQUESTS = Requests()
OPERATIONS: dict[str, Operation[Any]] = {
    "create": REQUESTS.create(RUN),
    "batch": REQUESTS.batch([RUN], atomic=False),
    "partly refused": REQUESTS.batch([{}, RUN], atomic=False),
    "atomic": batch_of([b"{}"], atomic=True),
    "update": REQUESTS.update("e", {}),
    "commit": REQUESTS.associate_commit("e", {"commit_hash": "abcdef0", "commit_source": "ci"}),
    "get": REQUESTS.get("r"),
    "list": REQUESTS.list({}, {}),
    "export": REQUESTS.export({}),
}


def response(status: int, document: object = None, body: bytes | None = None) -> ApiResponse:
    """A response in JSON, or of these bytes."""
    return ApiResponse(status, {}, msgspec.json.encode(document) if body is None else body)


def located(*place: str, message: str = "agent_name is required", kind: str = "missing") -> dict[str, Any]:
    """The body of a 422."""
    return {"detail": [{"loc": place, "msg": message, "type": kind}]}


def error(**values: object) -> dict[str, Any]:
    """The body of an answer to a batch with one error."""
    one = {"index": 0, "event_id": "e", "run_id": "r", "field": "a", "error": "a is bad", "retryable": False}
    return {**COUNTS, "errors": [one | values]}


@pytest.mark.parametrize(
    ("name", "answer", "raised"),
    [
        ("create", response(422, located("body", "agent_name")), RunRefusedError),
        ("create", response(422, {"detail": "no"}), RunRefusedError),
        ("batch", response(422, error()), EveryRunRefusedError),
        ("partly refused", response(422, error()), EveryRunRefusedError),
        ("atomic", response(400, error()), BatchRolledBackError),
        ("batch", response(422, located("body", "runs", message="runs is bad")), NotABatchError),
        ("batch", response(400, {"detail": "Batch size 3 exceeds maximum limit of 2 runs"}), BatchTooLargeError),
        ("batch", response(413, {"detail": "have more than 9 bytes (max_response_bytes)"}), ResponseTooLargeError),
        ("batch", response(413, {"detail": "more than 9 bytes"}), ApiError),
        ("update", response(422, located("body", "a")), InvalidChangesError),
        ("update", response(404, {"detail": "Run not found: e"}), RunNotFoundError),
        ("commit", response(400, {"detail": "commit_hash is required"}), InvalidCommitError),
        ("get", response(404, {"detail": "Not Found"}), ApiError),
        ("list", response(422, located("query", "a")), InvalidQueryError),
        ("export", response(422, located("query", "a")), InvalidQueryError),
        ("export", response(503, {"detail": "busy"}), StoreBusyError),
        ("list", response(503, {"detail": "longer than max_read_seconds allows"}), StoreTimeoutError),
        ("get", response(503, body=b"<html>"), StoreBusyError),
        ("create", response(507, {"detail": "full"}), StoreFullError),
        ("create", response(500, {"detail": "broken"}), StoreError),
        ("create", response(401, {"detail": ["token"]}), ApiError),
        ("create", response(204), InvalidResponseError),
        ("create", response(201, []), InvalidResponseError),
        ("create", response(201, RUN), InvalidResponseError),
        ("create", response(201, {**TIMES, "run_id": "r"}), InvalidResponseError),
        ("create", response(201, {**RUN, **TIMES, "created_at": "now"}), InvalidResponseError),
        ("list", response(200, {"runs": [], "next_cursor": "%"}), InvalidResponseError),
        ("batch", response(201, {"runs": []}), InvalidResponseError),
    ],
)
def test_errors(name: str, answer: ApiResponse, raised: type[RunsinkError]) -> None:
    """Each refusal is the error that it would be in process; failures keep the words of the server."""
    with pytest.raises(RunsinkError) as caught:
        OPERATIONS[name].interpret(answer)
    assert type(caught.value) is raised


def test_a_run() -> None:
    """The server's own times are those of the response."""
    run = OPERATIONS["create"].interpret(response(201, RUN | TIMES))
    assert (run.created_at, run.updated_at) == ("2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.500000Z")


def test_results_are_merged() -> None:
    """What was refused here stands among what the server refused, under the indices of the caller."""
    with pytest.raises(EveryRunRefusedError) as caught:
        OPERATIONS["partly refused"].interpret(response(422, error()))
    assert [refused.index for refused in caught.value.result.refused] == [0, 1]
    assert (caught.value.result.total, caught.value.result.failed) == (2, 2)
    created = {**COUNTS, "created": 1, "failed": 0, "errors": []}
    result = OPERATIONS["partly refused"].interpret(response(201, created))
    assert (result.total, result.created, result.failed) == (2, 1, 1)


def test_statuses_that_may_pass() -> None:
    """A 500 with counts is an answer; without them it is a failure."""
    assert may_pass(response(500, {"detail": "broken"}))
    assert may_pass(response(503))
    assert not may_pass(response(500, error()))
    assert not may_pass(response(422, error()))


def test_paths_are_escaped() -> None:
    """Keys go into paths and queries whatever they hold."""
    assert REQUESTS.update("a/b ?#%", {}).path == "/api/v1/runs/a%2Fb%20%3F%23%25"
    assert REQUESTS.list(filters_of(RunFilter(product=Text("a&b")), {"status": "failed"}), {"counted": False}).path == (
        "/api/v1/runs?status=failure&product=a%26b&limit=100&cursor="
    )


@given(st.binary(), st.sampled_from(sorted(OPERATIONS)), st.integers(100, 599))
def test_any_response_is_survived(body: bytes, name: str, status: int) -> None:
    """Bytes that are no response of this API are an error of the family, never another one."""
    with pytest.raises(RunsinkError):
        OPERATIONS[name].interpret(ApiResponse(status, {}, body))


@given(st.lists(st.binary()))
def test_lines(pieces: list[bytes]) -> None:
    """However a text is cut, its lines are the same."""
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    lines += splitter.end()
    assert lines == [line for line in (part.rstrip(b"\r") for part in b"".join(pieces).split(b"\n")) if line]


def test_long_lines() -> None:
    """A line without an end is not collected for ever."""
    with pytest.raises(InvalidResponseError):
        list(LineSplitter(10).feed(b"x" * 11))
