"""The JSON objects of a run over HTTP: metrics, context and extra, unknown fields included."""

import json
from typing import Any

import pytest

from tests.servers import Answer, Api, MakeRun

OBJECTS = ["metrics_json", "context_json", "extra"]

LONG_INTEGERS = [pytest.param("9" * 4300, id="4300 digits"), pytest.param("-" + "9" * 4299, id="minus 4299 digits")]
TOO_LONG_INTEGERS = [
    pytest.param("9" * 4301, id="4301 digits"),
    pytest.param("-" + "9" * 4301, id="minus 4301 digits"),
    pytest.param("9" * 10_000, id="10000 digits"),
]

every_object = pytest.mark.parametrize("field", OBJECTS)


def upload_literal(server: Api, good: "dict[str, Any]", bad: "dict[str, Any]", literal: str) -> Answer:
    """Upload two runs as a lenient batch, with this JSON in place of the text ``X`` of the second."""
    body = json.dumps({"runs": [good, bad]}).replace('"X"', literal)
    return server.send("POST", "/api/v1/runs/batch", body.encode())


@every_object
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": ""},
        {"a": None, "b": [], "c": {}, "d": [None, [True, False]]},
        {"text": "a\0b", "\0": "\0"},
        {"text": "Grüße 🏃\n\u2028", "key 運行": 1},
        {"numbers": [0, -1, 1.5, 0.1, 1e-300, 1.7976931348623157e308, -0.5]},
        {"event_id": 1, "status": "nonsense", "created_at": None},
        {"deep": json.loads("[" * 98 + "]" * 98)},
        {"{[" * 200: "}]" * 200},
    ],
)
def test_object_is_kept_exactly(shared_server: Api, make_run: MakeRun, field: str, value: Any) -> None:
    """Any JSON object is returned equal to what was sent, NUL included, at once and when read again."""
    run = make_run() | {field: value}
    assert shared_server.create(run).body[field] == value
    assert shared_server.stored(run["event_id"])[field] == value


@every_object
@pytest.mark.parametrize(
    "literal",
    [str(2**53 + 1), str(2**63), str(-(2**63) - 1), str(2**64), str(10**30 + 1), *LONG_INTEGERS],
)
def test_long_integer_is_kept_exactly(shared_server: Api, make_run: MakeRun, field: str, literal: str) -> None:
    """An integer beyond 64 bits inside an object keeps every digit."""
    run = make_run() | {field: "X"}
    answer = upload_literal(shared_server, make_run(), run, f'{{"n": {literal}}}')
    assert answer.status == 201
    assert shared_server.stored(run["event_id"])[field] == {"n": int(literal)}


@every_object
def test_integer_of_any_sign_may_have_the_longest_length(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """The limit on an integer's length counts digits, not the minus sign."""
    longest = "-" + "9" * shared_server.request("GET", "/api/v1/limits").body["max_json_integer_digits"]
    answer = upload_literal(shared_server, make_run(), make_run() | {field: "X"}, f'{{"n": {longest}}}')
    assert (answer.status, answer.body["errors"]) == (201, [])


@every_object
@pytest.mark.parametrize("literal", TOO_LONG_INTEGERS)
def test_too_long_integer_is_refused(shared_server: Api, make_run: MakeRun, field: str, literal: str) -> None:
    """An integer too long to convert in reasonable time fails its run, and the error mentions digits."""
    answer = upload_literal(shared_server, make_run(), make_run() | {field: "X"}, f'{{"n": {literal}}}')
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    assert "digits" in answer.body["errors"][0]["error"]


@every_object
@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", pytest.param("1" * 400 + ".0", id="long")]
)
@pytest.mark.parametrize("place", ['{{"n": {}}}', '{{"a": [0, {{"b": {}}}]}}'])
def test_number_that_no_double_holds_is_refused(
    shared_server: Api, make_run: MakeRun, field: str, literal: str, place: str
) -> None:
    """NaN, Infinity and numbers beyond a double fail only their run, at any depth; the error names the field."""
    answer = upload_literal(shared_server, make_run(), make_run() | {field: "X"}, place.format(literal))
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})


@every_object
def test_decimal_is_its_nearest_double(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """A decimal with more digits than a double is returned as the nearest double."""
    run = make_run() | {field: "X"}
    upload_literal(shared_server, make_run(), run, '{"n": [0.1000000000000000055, 1e5, 5e-324, -0.0]}')
    kept = shared_server.stored(run["event_id"])[field]["n"]
    assert list(map(repr, kept)) == ["0.1", "100000.0", "5e-324", "-0.0"]


@every_object
@pytest.mark.parametrize("value", [[], "x", "{}", 1, 1.5, True])
def test_what_is_no_object_is_refused(shared_server: Api, make_run: MakeRun, field: str, value: Any) -> None:
    """A list, a text (even one that holds JSON), a number or a boolean is not a JSON object and fails the run."""
    answer = shared_server.lenient([make_run(), make_run() | {field: value}])
    assert (answer.status, answer.bad_fields) == (500, {(1, field)})


@every_object
@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\udfff": 1}, {"a": [{"b": ["\udc00x"]}]}])
def test_lone_surrogate_inside_an_object_is_refused(
    shared_server: Api, make_run: MakeRun, field: str, value: Any
) -> None:
    """A lone surrogate in a text or a key at any depth fails only its run; the error names run and field."""
    bad = make_run(run_id="bad") | {field: value}
    answer = shared_server.lenient([make_run(), bad])
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})
    (error,) = answer.body["errors"]
    assert (error["event_id"], error["run_id"]) == (bad["event_id"], "bad")
    assert "lone surrogate" in error["error"]


@every_object
@pytest.mark.parametrize("depth", [101, 500])
def test_too_deep_object_is_refused(shared_server: Api, make_run: MakeRun, field: str, depth: int) -> None:
    """An object nested deeper than the limit of 100 fails only its run."""
    nested = '{"a": ' * depth + "1" + "}" * depth
    answer = upload_literal(shared_server, make_run(), make_run() | {field: "X"}, nested)
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, field)})


@every_object
def test_object_at_the_depth_limit_is_kept(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """An object of exactly 100 levels is stored."""
    nested = '{"a": ' * 100 + "1" + "}" * 100
    run = make_run() | {field: "X"}
    assert upload_literal(shared_server, make_run(), run, nested).status == 201
    assert shared_server.stored(run["event_id"])[field] == json.loads(nested)


@every_object
@pytest.mark.parametrize("unusual", [False, True])
def test_keys_are_sorted_at_every_level(shared_server: Api, make_run: MakeRun, field: str, *, unusual: bool) -> None:
    """Keys are returned sorted at every level, also in lists, on the fast and the slow decoding path."""
    value = {"b": [{"z": 1, "y": {"d": 1, "c": 2}}], "a": 0, "B": "\0" if unusual else ""}
    kept = shared_server.create(make_run() | {field: value}).body[field]
    assert json.dumps(kept) == json.dumps(value, sort_keys=True)


@every_object
def test_repeated_key_keeps_the_last(shared_server: Api, make_run: MakeRun, field: str) -> None:
    """The last of several values of one key is stored, as JSON readers commonly do."""
    run = make_run() | {field: "X"}
    upload_literal(shared_server, make_run(), run, '{"a": 1, "a": 2}')
    assert shared_server.stored(run["event_id"])[field] == {"a": 2}


@pytest.mark.parametrize(
    "value", [None, 0, True, "", "a\0b", [], {}, {"b": {"z": None, "a": [1, {"y": None}]}}, 2**70, 0.1]
)
def test_unknown_field_lands_in_extra(shared_server: Api, make_run: MakeRun, value: Any) -> None:
    """A field that the contract does not name is returned in extra as sent, also null and nested ones."""
    run = make_run(newer_field=value)
    answer = shared_server.create(run)
    assert (answer.status, answer.body["extra"]) == (201, {"newer_field": value})
    assert "newer_field" not in answer.body
    assert shared_server.stored(run["event_id"])["extra"] == {"newer_field": value}


@pytest.mark.parametrize("name", ["", "id", "arrival", "Event_id", "a b", "ü", "\0", "__proto__", "x" * 1000])
def test_unknown_field_may_have_any_name(shared_server: Api, make_run: MakeRun, name: str) -> None:
    """No unknown field name is special."""
    assert shared_server.create(make_run() | {name: 1}).body["extra"] == {name: 1}


def test_unknown_fields_join_what_was_sent_as_extra(shared_server: Api, make_run: MakeRun) -> None:
    """Unknown fields are merged with the members of a sent extra, all sorted."""
    kept = shared_server.create(make_run(extra={"b": 1, "d": {}}, c=None, a=[2])).body["extra"]
    assert (kept, list(kept)) == ({"a": [2], "b": 1, "c": None, "d": {}}, ["a", "b", "c", "d"])


def test_extra_sent_back_with_its_fields_unfolded_is_the_same_run(shared_server: Api, make_run: MakeRun) -> None:
    """A run as read from the API and uploaded again is existing without a conflict, unknown fields included."""
    stored = shared_server.create(make_run(newer=[1], other=None)).body
    answer = shared_server.lenient([stored])
    assert (answer.counts, answer.body["conflicts"], answer.body["runs"]) == ((1, 0, 1, 0), [], [stored])


def test_field_given_twice_is_refused(shared_server: Api, make_run: MakeRun) -> None:
    """An unknown field and a member of extra with the same name fail the run; neither is dropped."""
    answer = shared_server.lenient([make_run(), make_run(extra={"a": 1}, a=2)])
    assert (answer.status, answer.bad_fields) == (500, {(1, "extra")})


@pytest.mark.parametrize("literal", ["NaN", "1e400", '"\\ud800"', '{"a": [-Infinity]}'])
def test_unknown_field_that_cannot_be_kept_is_refused(shared_server: Api, make_run: MakeRun, literal: str) -> None:
    """A value invalid in an object is invalid in an unknown field; the error names extra and the place in it."""
    answer = upload_literal(shared_server, make_run(), make_run(newer="X"), literal)
    assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(1, "extra")})
    assert "newer" in answer.body["errors"][0]["error"]
