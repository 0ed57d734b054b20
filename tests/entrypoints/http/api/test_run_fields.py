"""The rule of every field of a run over HTTP: which values are accepted, how they are returned, what is rejected."""

import json
import re
from typing import Any

import pytest

from tests.servers import Api, MakeRun

REQUIRED = ["event_id", "run_id", "agent_name", "job_type", "start_time"]
OPTIONAL_TEXTS = [
    *("parent_run_id", "product", "product_family", "platform", "subdomain", "website", "website_section"),
    *("item_name", "git_repo", "git_branch", "input_summary", "output_summary", "error_summary", "error_details"),
    "commit_author",
]
NAMES = ["run_id", "agent_name", "job_type"]
TEXTS = [*NAMES, *OPTIONAL_TEXTS]
COUNTS = ["duration_ms", "items_discovered", "items_succeeded", "items_failed", "items_skipped"]
TIMES = ["start_time", "end_time", "commit_timestamp"]
OBJECTS = ["metrics_json", "context_json", "extra"]
OPTIONAL = [*OPTIONAL_TEXTS, *COUNTS, "end_time", "commit_timestamp", *OBJECTS, "commit_hash", "commit_source"]
NOT_TEXT: list[Any] = [1, 1.5, True, ["a"], {"a": 1}]


def assert_refused(server: Api, good: "dict[str, Any]", bad: "dict[str, Any]", field: str) -> "dict[str, Any]":
    """Check that only the invalid run of a lenient batch fails, by this field and with its IDs; return the error."""
    answer = server.lenient([good, bad])
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    assert answer.event_ids == [good["event_id"]]
    error: dict[str, Any] = answer.body["errors"][0]
    assert error["error"].startswith(f"{field} ")
    assert error["run_id"] == (bad.get("run_id") if field != "run_id" else None)
    return error


def test_finished_run_comes_back_whole(shared_server: Api, make_run: MakeRun) -> None:
    """Every field may be given at creation and is returned as sent."""
    run = make_run(
        **{field: f"the {field}" for field in OPTIONAL_TEXTS},
        **{field: number for number, field in enumerate(COUNTS)},
        status="partial",
        end_time="2026-01-31T12:30:00Z",
        metrics_json={"tokens": 12, "cost": 0.25},
        context_json={"host": "h", "tags": ["a", None, True]},
        commit_hash="abcdef0123",
        commit_source="llm",
        commit_timestamp="2026-01-31T12:40:00Z",
        extra={"x": {"y": []}},
    )
    created = shared_server.create(run).body
    assert run.items() <= created.items()
    assert created.keys() - run.keys() == {"created_at", "updated_at"}
    assert shared_server.stored(run["event_id"]) == created


def test_absent_optional_fields_are_null(shared_server: Api, make_run: MakeRun) -> None:
    """A run of only the required fields is returned with all others null, and running."""
    created = shared_server.create(make_run()).body
    assert {field for field, value in created.items() if value is None} == set(OPTIONAL)
    assert created["status"] == "running"


@pytest.mark.parametrize("field", [*OPTIONAL, "status"])
def test_null_is_absent(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """An optional field sent as null counts as absent."""
    run = make_run()
    created = shared_server.create(run | {field: None}).body
    assert created[field] == ("running" if field == "status" else None)
    assert shared_server.lenient([run]).body["conflicts"] == []


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("missing", ["left out", "null"])
def test_required_field_is_required(shared_server: Api, make_run: MakeRun, field: str, missing: str) -> None:
    """A required field that is absent or null fails the run, and the error says required."""
    bad = make_run()
    del bad[field]
    if missing == "null":
        bad[field] = None
    assert assert_refused(shared_server, make_run(), bad, field)["error"] == f"{field} is required"


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    "value",
    [
        " ",
        pytest.param("x" * 100_000, id="long"),
        "Grüße 運行 🏃",
        "a\nb\t\x01\x7f",
        "\ufeff",
        "e\u0301",
        "\\u0000",
    ],
)
def test_any_text_is_kept_exactly(shared_server: Api, make_run: MakeRun, field: str, value: str) -> None:
    """A text field stores every text without NUL and lone surrogates unchanged, however long."""
    run = make_run() | {field: value}
    assert shared_server.create(run).body[field] == value
    assert shared_server.stored(run["event_id"])[field] == value


@pytest.mark.parametrize("field", OPTIONAL_TEXTS)
def test_optional_text_may_be_empty(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """An empty text in an optional field is stored as such, not as null."""
    run = make_run() | {field: ""}
    assert shared_server.create(run).body[field] == ""
    assert shared_server.stored(run["event_id"])[field] == ""


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize("unusual", [{}, {"newer": 1}])
def test_required_name_is_not_empty(
    shared_server: Api, make_run: MakeRun, field: str, unusual: "dict[str, Any]"
) -> None:
    """An empty name fails its run, alone and in a batch, with or without unusual fields."""
    bad = make_run(**unusual) | {field: ""}
    batch = shared_server.lenient([make_run(), bad])
    assert (batch.status, batch.counts, batch.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    assert batch.body["errors"][0]["error"] == f"{field} must not be empty"
    alone = shared_server.create(bad)
    assert (alone.status, alone.locations) == (422, [["body", field]])


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", NOT_TEXT)
def test_text_is_never_made_of_another_type(shared_server: Api, make_run: MakeRun, field: str, value: object) -> None:
    """A number, a boolean, a list or an object in a text field is rejected, never converted to text."""
    assert_refused(shared_server, make_run(), make_run() | {field: value}, field)


@pytest.mark.parametrize("field", [*TEXTS, "event_id"])
@pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "a\udfff", "\udc00\ud800"])
def test_text_that_cannot_be_kept_is_refused(shared_server: Api, make_run: MakeRun, field: str, text: str) -> None:
    """NUL and lone surrogates in a text field fail only their run; the error names the field."""
    reason = "NUL" if "\0" in text else "lone surrogate"
    assert reason in assert_refused(shared_server, make_run(), make_run() | {field: text}, field)["error"]


def test_surrogate_pair_is_one_character(shared_server: Api, make_run: MakeRun) -> None:
    r"""``\ud83c\udfc3`` escapes one character outside the basic plane, which is not a lone surrogate."""
    body = json.dumps(make_run(product="X")).replace('"X"', '"\\ud83c\\udfc3"').encode()
    assert shared_server.create(body).body["product"] == "🏃"


@pytest.mark.parametrize("event_id", ["x", "not a UUID", "x" * 255, pytest.param("🏃" * 255, id="255 runners")])
def test_event_id_of_1_to_255_characters_is_taken(server: Api, make_run: MakeRun, event_id: str) -> None:
    """Any text of 1 to 255 characters, not bytes, is a key; sending it again is existing."""
    run = make_run(event_id=event_id)
    assert server.lenient([run]).counts == (1, 1, 0, 0)
    assert server.lenient([run]).counts == (1, 0, 1, 0)


@pytest.mark.parametrize("event_id", ["", "x" * 256, pytest.param("🏃" * 256, id="256 runners"), *NOT_TEXT])
def test_other_event_id_is_refused(shared_server: Api, make_run: MakeRun, event_id: object) -> None:
    """A key that is empty, longer than 255 characters or not a text fails its run."""
    assert_refused(shared_server, make_run(), make_run(event_id=event_id), "event_id")


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("1", "01"), ("é", "e\u0301"), ("x", "x "), ("1", "1.0")])
def test_alike_keys_are_different_runs(server: Api, make_run: MakeRun, one: str, other: str) -> None:
    """Keys are equal only if all characters are: no folding, trimming or numeric comparison."""
    assert server.lenient([make_run(event_id=one), make_run(event_id=other)]).counts == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *((status, status) for status in ("running", "success", "failure", "partial", "timeout", "cancelled")),
        ("failed", "failure"),
        ("completed", "success"),
        ("succeeded", "success"),
    ],
)
def test_status_and_aliases(shared_server: Api, make_run: MakeRun, sent: str, kept: str) -> None:
    """Each status is stored, and each alias as its status, at creation and in a patch."""
    run = make_run(status=sent)
    assert shared_server.create(run).body["status"] == kept
    event_id = shared_server.create(make_run(status="running")).body["event_id"]
    assert shared_server.patch(event_id, {"status": sent}).body["status"] == kept


@pytest.mark.parametrize("status", ["", "Success", "done", "canceled", " success", *NOT_TEXT])
def test_other_status_is_refused(shared_server: Api, make_run: MakeRun, status: object) -> None:
    """A word that is neither a status nor an alias fails the run; the error lists the valid ones."""
    error = assert_refused(shared_server, make_run(), make_run(status=status), "status")
    assert "cancelled" in error["error"]


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, 1, 2**53 + 1, 2**63 - 1])
def test_count_is_kept_exactly(shared_server: Api, make_run: MakeRun, field: str, value: int) -> None:
    """A count from 0 to 2^63 - 1 is returned as the same integer, also beyond a double's precision."""
    run = make_run() | {field: value}
    shared_server.create(run)
    assert shared_server.stored(run["event_id"])[field] == value


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize(
    "literal",
    [
        *("-1", "9223372036854775808", "18446744073709551616", pytest.param("1" * 5000, id="long")),
        *("true", "false", '"12"', "1.0", "1e3", "0.5", "NaN", "Infinity", "-Infinity", "1e400", "[1]", "{}"),
    ],
)
def test_other_count_is_refused(shared_server: Api, make_run: MakeRun, field: str, literal: str) -> None:
    """Anything but an integer from 0 to 2^63 - 1 fails the run: texts, booleans and decimals are not counts."""
    batch = json.dumps({"runs": [make_run(), make_run() | {field: "X"}]}).replace('"X"', literal)
    answer = shared_server.send("POST", "/api/v1/runs/batch", batch.encode())
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})


@pytest.mark.parametrize("commit_hash", ["abcdef0", "ABCDEF0", "0" * 40])
@pytest.mark.parametrize("commit_source", ["manual", "llm", "ci"])
def test_commit_may_come_with_the_run(
    shared_server: Api, make_run: MakeRun, commit_hash: str, commit_source: str
) -> None:
    """A commit of 7 to 40 hex digits and each source are stored at creation."""
    created = shared_server.create(make_run(commit_hash=commit_hash, commit_source=commit_source)).body
    assert (created["commit_hash"], created["commit_source"]) == (commit_hash, commit_source)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("commit_hash", value) for value in ("", "abcdef", "a" * 41, "abcdefg", "abcdef0 ", *NOT_TEXT)),
        *(("commit_source", value) for value in ("", "robot", "CI", *NOT_TEXT)),
    ],
)
def test_other_commit_is_refused(shared_server: Api, make_run: MakeRun, field: str, value: object) -> None:
    """A hash that is not 7 to 40 hex digits or an unknown source fails the run."""
    assert_refused(shared_server, make_run(), make_run() | {field: value}, field)


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.123456Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.0000009Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.000001Z", "2026-01-31T12:00:00.000001Z"),
        ("2026-01-31T12:00:00+23:59", "2026-01-30T12:01:00Z"),
        ("2026-01-31T12:00:00-0130", "2026-01-31T13:30:00Z"),
        ("2026-01-31T12:00:00+02", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00.123456+00:00", "2026-01-31T12:00:00.123456Z"),
        ("2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T14:00:00+02:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31T06:30:00.000001-05:30", "2026-01-31T12:00:00.000001Z"),
        ("2026-01-31 12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00Z", "2026-01-31T12:00:00Z"),
        ("20260131T120000Z", "2026-01-31T12:00:00Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
        ("2024-02-29T23:59:59.999999-00:01", "2024-03-01T00:00:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamp_is_kept_in_utc(shared_server: Api, make_run: MakeRun, field: str, sent: str, kept: str) -> None:
    """A time with any offset is returned as the same instant, in UTC with Z; six digits, or none for whole seconds."""
    run = make_run() | {field: sent}
    assert shared_server.create(run).body[field] == kept
    assert shared_server.stored(run["event_id"])[field] == kept


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.123456",
        "2026-01-31",
        "",
        "now",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "2026-01-31T12:00:00-0099",
        "2026-01-31T12:00:00+01:00:00",
        "2026-01-31T12:00:00+00:00:00.000001",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
        "10000-01-01T00:00:00Z",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\0",
        "2026-01-31\ud80012:00:00Z",
        1769860800,
        1769860800.5,
        True,
        [],
        {},
    ],
)
def test_other_timestamp_is_refused(shared_server: Api, make_run: MakeRun, field: str, value: object) -> None:
    """A time without an offset, or one that does not exist or is outside the years 1 to 9999 in UTC, fails the run."""
    assert_refused(shared_server, make_run(), make_run() | {field: value}, field)


@pytest.mark.parametrize("field", TIMES)
def test_midnight_as_24_hours_is_never_kept_as_such(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """24:00 is rejected or stored as the next day: as sent, it would not sort as an instant."""
    answer = shared_server.create(make_run() | {field: "2026-01-31T24:00:00.000000Z"})
    assert (answer.status, answer.body.get(field)) in ((422, None), (201, "2026-02-01T00:00:00Z"))


@pytest.mark.parametrize("value", ["2000-01-01T00:00:00.000000Z", "nonsense", 1, None, {"a": "\0"}])
@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_sent_server_times_are_ignored(shared_server: Api, make_run: MakeRun, field: str, value: object) -> None:
    """Values sent as created_at or updated_at are replaced by the server's times, and do not appear in extra."""
    answer = shared_server.lenient([make_run() | {field: value}])
    assert answer.status == 201
    (created,) = answer.body["runs"]
    assert created["created_at"] == created["updated_at"] > "2026"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", created[field])
    assert created["extra"] is None
