"""The limits on fields, runs and values: up to the limit is stored, beyond it is rejected with the limit's name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunRefusedError
from entrypoints.embedded import RunStore, open_store
from tests.servers import Api, MakeRun

MAX_TEXT = 2**19
MAX_JSON = 2**20
MAX_RUN = 2**21
MAX_VALUES = 250_000
BATCH = "/api/v1/runs/batch"


def object_of(characters: int) -> dict[str, str]:
    """Return a JSON object whose stored form has this many characters."""
    return {"a": "x" * (characters - len('{"a":""}'))}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[RunStore]:
    """A store without HTTP."""
    with open_store(tmp_path / "embedded.db") as store:
        yield store


def test_limits_are_shown(shared_server: Api) -> None:
    """Every limit that an error names is in ``GET /api/v1/limits``."""
    limits = shared_server.request("GET", "/api/v1/limits").body
    assert limits == limits | {
        "max_batch_runs": 1000,
        "max_body_bytes": 16 * 1024 * 1024,
        "max_body_members": 10_000,
        "max_stream_expansion": 200,
        "max_traces_bytes": 20 * 1024 * 1024,
        "max_traces_values": 2_500_000,
        "max_body_values": MAX_VALUES,
        "max_run_bytes": MAX_RUN,
        "max_page_runs": 1000,
        "max_event_id_length": 255,
        "max_text_characters": MAX_TEXT,
        "max_json_characters": MAX_JSON,
        "max_json_depth": 100,
        "max_json_integer_digits": 4300,
    }


@pytest.mark.parametrize("character", ["x", "\u00e9", "\u904b"])
def test_longest_text_is_kept(shared_server: Api, make_run: MakeRun, character: str) -> None:
    """A text of exactly the limit, counted in characters, is stored and returned."""
    run = make_run(error_details=character * MAX_TEXT)
    assert shared_server.send("POST", BATCH, json.dumps({"runs": [run]}, ensure_ascii=False).encode()).status == 201
    assert shared_server.stored(run["event_id"])["error_details"] == run["error_details"]


@pytest.mark.parametrize("field", ["error_details", "product", "run_id"])
def test_longer_text_is_refused(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """One character more fails only that run; the error names field, size, limit and the limit's name."""
    answer = shared_server.lenient([make_run(), make_run(**{field: "x" * (MAX_TEXT + 1)})])
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    reason = f"{field} has {MAX_TEXT + 1} characters; the maximum is {MAX_TEXT} (max_text_characters)"
    assert answer.body["errors"][0]["error"] == reason


@pytest.mark.parametrize("field", ["metrics_json", "context_json", "extra"])
def test_longest_object_is_kept(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """An object whose stored form has exactly the limit is stored and returned."""
    run = make_run(**{field: object_of(MAX_JSON)})
    assert shared_server.lenient([run]).status == 201
    assert shared_server.stored(run["event_id"])[field] == run[field]


@pytest.mark.parametrize("field", ["metrics_json", "context_json", "extra"])
def test_longer_object_is_refused(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """One character more fails only that run; the error names field, size, limit and the limit's name."""
    answer = shared_server.lenient([make_run(), make_run(**{field: object_of(MAX_JSON + 1)})])
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    reason = f"{field} has {MAX_JSON + 1} characters; the maximum is {MAX_JSON} (max_json_characters)"
    assert answer.body["errors"][0]["error"] == reason


def test_unknown_fields_are_capped_as_one_object(shared_server: Api, make_run: MakeRun) -> None:
    """Unknown fields that together exceed the limit fail as ``extra``."""
    answer = shared_server.lenient([make_run(), make_run(one="x" * 600_000, two="x" * 600_000)])
    assert answer.bad_fields == {(1, "extra")}
    assert "(max_json_characters)" in answer.body["errors"][0]["error"]


def test_update_and_commit_have_the_same_caps(shared_server: Api, make_run: MakeRun) -> None:
    """PATCH and associate-commit reject what creation rejects, and leave the run unchanged."""
    run = make_run()
    shared_server.create(run)
    too_long = "x" * (MAX_TEXT + 1)
    answer = shared_server.patch(run["event_id"], {"error_details": too_long})
    assert (answer.status, "(max_text_characters)" in answer.body["detail"][0]["msg"]) == (422, True)
    answer = shared_server.patch(run["event_id"], {"metrics_json": object_of(MAX_JSON + 1)})
    assert (answer.status, "(max_json_characters)" in answer.body["detail"][0]["msg"]) == (422, True)
    commit = {"commit_hash": "abcdef1", "commit_source": "ci", "commit_author": too_long}
    answer = shared_server.commit(run["event_id"], commit)
    assert (answer.status, "(max_text_characters)" in answer.body["detail"]) == (400, True)
    assert shared_server.stored(run["event_id"])["updated_at"] == shared_server.stored(run["event_id"])["created_at"]


def test_embedded_has_the_same_caps(embedded: RunStore, make_run: MakeRun) -> None:
    """In process, the fields have the same limits, under the same names."""
    assert embedded.create(make_run(product="x" * MAX_TEXT, metrics_json=object_of(MAX_JSON))).product
    for field, value in (("product", "x" * (MAX_TEXT + 1)), ("metrics_json", object_of(MAX_JSON + 1))):
        with pytest.raises(RunRefusedError, match=f"{field} has .* the maximum is"):
            embedded.create(make_run(**{field: value}))


def test_run_over_its_limit_is_refused(shared_server: Api, make_run: MakeRun) -> None:
    """A run of exactly the limit is decoded; one byte more fails only that run, with the limit's name."""
    runs = [json.dumps(make_run()).encode() for _ in range(3)]
    padded = [
        run[:-1] + b" " * (size - len(run)) + b"}" for run, size in zip(runs, (0, MAX_RUN, MAX_RUN + 1), strict=True)
    ]
    answer = shared_server.send("POST", BATCH, b'{"runs":[' + b",".join(padded) + b"]}")
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (3, 2, 0, 1), {(2, None)})
    reason = f"it has {MAX_RUN + 1} bytes; the maximum is {MAX_RUN} (max_run_bytes)"
    assert answer.body["errors"][0]["error"] == reason


def test_body_of_one_run_is_capped(shared_server: Api, make_run: MakeRun) -> None:
    """Bodies of a single run, or of changes to one, get 413 beyond that limit."""
    run = make_run()
    assert shared_server.send("POST", "/api/v1/runs", json.dumps(run).encode().ljust(MAX_RUN)).status == 201
    for method, path in [
        ("POST", "/api/v1/runs"),
        ("PATCH", f"/api/v1/runs/{run['event_id']}"),
        ("POST", f"/api/v1/runs/{run['event_id']}/associate-commit"),
    ]:
        answer = shared_server.send(method, path, b" " * (MAX_RUN + 1))
        assert (answer.status, f"{MAX_RUN} bytes (max_run_bytes)" in answer.body["detail"]) == (413, True)


def test_values_of_a_body_are_counted(shared_server: Api, make_run: MakeRun) -> None:
    """The maximum number of values is accepted, one more gets 413, and commas in texts do not count."""

    def upload(count: int, **fields: Any) -> int:
        # The document and the list of runs hold one value each, the run and its object one a field.
        run = make_run(**fields) | {"metrics_json": {"a": []}}
        # Long enough to be counted.
        values = [123] * (count - 2 - len(run) - 1)
        return shared_server.lenient([run | {"metrics_json": {"a": values}}]).status

    assert upload(MAX_VALUES) == 201
    assert upload(MAX_VALUES, product="a,[{" * 1000) == 201
    assert upload(MAX_VALUES + 1) == 413


def test_what_the_client_made_up_is_not_repeated_at_length(shared_server: Api, make_run: MakeRun) -> None:
    """Thousands of unknown fields, or a name or run_id of a mebibyte, cause no large response."""
    many = shared_server.patch("any", {f"field {n}": 1 for n in range(10_000)})
    assert (many.status, len(many.body["detail"])) == (422, 21)
    assert many.body["detail"][-1]["msg"] == "it has 9980 more fields that are not allowed here"
    assert len(str(shared_server.patch("any", {"x" * MAX_TEXT: 1}).body)) < 1000
    bad = make_run(run_id="x" * MAX_TEXT, status="lost", end_time="lost")
    errors = shared_server.lenient([make_run(), bad]).body["errors"]
    assert [(error["index"], error["run_id"]) for error in errors] == [(1, None)] * 2


def test_an_empty_name_is_named(shared_server: Api) -> None:
    """A field with an empty name is distinguished from no field."""
    (fault,) = shared_server.patch("any", {"": 1}).body["detail"]
    assert (fault["loc"], fault["msg"].startswith("'' is not allowed here")) == (["body", ""], True)


def test_runs_stored_before_make_no_endless_response(shared_server: Api, make_run: MakeRun) -> None:
    """A small batch that asks for a large stored run many times is rejected, and accepted with ``return=minimal``."""
    large = make_run(**dict.fromkeys(("input_summary", "output_summary", "error_details"), "x" * MAX_TEXT))
    assert shared_server.create(large).status == 201
    again, new = [make_run(event_id=large["event_id"])] * 50, make_run()
    for upload in (shared_server.lenient, shared_server.atomic):
        refused = upload([new, *again])
        assert (refused.status, "max_response_bytes" in refused.body["detail"]) == (413, True)
    assert shared_server.find(event_id=new["event_id"]).body["runs"] == []
    assert shared_server.lenient([new, *again], Prefer="return=minimal").counts == (51, 1, 50, 0)
    assert shared_server.lenient([new, *again[:20]]).counts == (21, 0, 21, 0)
