"""Rejected runs that are kept, over real HTTP and from every way in."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from adapters.content_coding import encode
from core.model.batch import MAX_SENT_BYTES
from core.model.limits import Limits
from core.model.run import FIELDS, SERVER_FIELDS, Timestamp
from entrypoints.databases import open_database
from tests.documented import API
from tests.http_streams import NDJSON, stream
from tests.jobs import lines, sent_run, wait_until
from tests.postgres import WITH_POSTGRES
from tests.servers import Api, Start

REFUSALS = "/api/v1/refusals"
KEEP = 50
GOOD = sent_run("good")
BAD = sent_run("bad", run_id="launch-7", status="lost", start_time="2026-01-31T12:00:00")
SENT = json.dumps(BAD)


@pytest.fixture(params=("sqlite", "postgres") if WITH_POSTGRES else ("sqlite",))
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the path or the URL of a new database of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return str(tmp_path / "runs.db")


@pytest.fixture
def keeping(start: Start, db: str, tmp_path: Path) -> Iterator[Api]:
    """Yield a server that keeps rejected runs."""
    with start(db=db, spool=tmp_path / "spool", keep_refusals=KEEP) as api:
        yield api


def refusals(api: Api, **query: object) -> list[dict[str, Any]]:
    """Return the rejected runs of the first page."""
    answer = api.request("GET", f"{REFUSALS}?{urlencode(query)}")
    assert (answer.status, answer.body.keys()) == (200, {"refusals", "next_cursor"})
    return list(answer.body["refusals"])


def kept(api: Api, number: int) -> list[dict[str, Any]]:
    """Return the rejected runs as soon as there are so many, which is after the responses to their uploads."""
    wait_until(lambda: len(refusals(api)) >= number)
    found = refusals(api)
    assert len(found) == number
    return found


def bodies(api: Api, number: int) -> list[str]:
    """Return what was sent, in the order of arrival."""
    return [found["body"] for found in reversed(kept(api, number))]


def test_a_rejected_run_is_kept_with_its_errors(keeping: Api) -> None:
    """Each member of the contract, and every error with its field."""
    assert keeping.lenient([GOOD, BAD]).status == 500
    (found,) = kept(keeping, 1)
    assert found.keys() == {"received_at", "event_id", "run_id", "errors", "body"}
    assert (found["event_id"], found["run_id"], found["body"]) == ("bad", "launch-7", SENT)
    assert {error["field"] for error in found["errors"]} == {"status", "start_time"}
    (one,) = [error for error in found["errors"] if error["field"] == "start_time"]
    assert one.keys() == {"field", "error"}
    assert one["error"].startswith("start_time has no UTC offset; add one")
    assert found["received_at"] >= keeping.stored("good")["created_at"]


def test_a_page_has_a_tag_until_another_run_is_rejected(keeping: Api) -> None:
    """Who has it already gets 304 without a body, and the page again once it has changed."""
    keeping.lenient([GOOD, BAD])
    kept(keeping, 1)
    tag = keeping.request("GET", REFUSALS).headers["ETag"]
    known = keeping.request("GET", REFUSALS, headers={"If-None-Match": tag})
    assert (known.status, known.body, known.headers["ETag"]) == (304, None, tag)
    keeping.lenient([GOOD, {**BAD, "event_id": "worse"}])
    kept(keeping, 2)
    again = keeping.request("GET", REFUSALS, headers={"If-None-Match": tag})
    assert (again.status, len(again.body["refusals"])) == (200, 2)
    assert again.headers["ETag"] != tag


def test_every_way_in_keeps_what_it_rejects(keeping: Api) -> None:
    """Lenient with and without a good run, atomic, single, stream, array and job; what was good is not kept."""
    more = [sent_run(f"bad-{number}", status="lost") for number in range(7)]
    assert keeping.lenient([GOOD, more[0]]).status == 500
    assert keeping.lenient([more[1]]).status == 422
    assert keeping.atomic([GOOD, more[2], GOOD]).status == 400
    assert keeping.create(more[3]).status == 422
    assert stream(keeping, lines([GOOD, more[4]]) + b'{"half\n').status == 200
    assert stream(keeping, json.dumps([GOOD, more[5]]).encode(), "application/json").status == 200
    as_job = {"Prefer": "respond-async", "Content_Encoding": "gzip"}
    assert stream(keeping, encode("gzip", lines([more[6]])), **as_job).status == 202
    expected = [json.dumps(run) for run in more]
    assert bodies(keeping, 8) == [*expected[:5], '{"half', *expected[5:]]


def test_runs_before_the_retention_horizon_are_kept(keeping: Api, db: str) -> None:
    """They were valid, so they are written anew; from every way in."""
    with closing(open_database(db)) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp("2026-01-01T00:00:00.000000Z"))
        work.commit()
    old = sent_run("old", start_time="2025-12-31T23:59:59Z", later={"a": 1})
    assert keeping.lenient([GOOD, old]).status == 500
    assert keeping.atomic([GOOD, old]).status == 400
    assert keeping.create(old).status == 422
    assert stream(keeping, lines([old])).body["failed"] == 1
    found = kept(keeping, 4)
    assert {error["error"] for one in found for error in one["errors"]} == {
        "start_time is before the retention horizon 2026-01-01T00:00:00Z"
    }
    sent = {name: value for name, value in old.items() if name != "later"}
    for one in found:
        assert json.loads(one["body"]) == {**sent, "status": "running", "extra": {"later": {"a": 1}}}


def test_what_is_rejected_as_a_whole_is_not_kept(keeping: Api) -> None:
    """Neither a body that is no batch nor one with too many runs, and not what was stored."""
    assert keeping.lenient([GOOD]).status == 201
    assert keeping.lenient([]).status == 422
    assert keeping.lenient([BAD] * 1001).status == 400
    assert keeping.send("POST", "/api/v1/runs", b"{").status == 400
    assert keeping.create(BAD).status == 422
    assert bodies(keeping, 1) == [SENT]


def test_a_large_run_is_cut(keeping: Api) -> None:
    """The beginning, and how much is left out; the same whether a line is too long or only invalid."""
    padding = "ü" * MAX_SENT_BYTES
    invalid = json.dumps(sent_run("x", status="lost", item_name=padding), ensure_ascii=False)
    too_long = "y" * (Limits().max_run_bytes + 1)
    assert stream(keeping, f"{invalid}\n{too_long}\n".encode()).body["failed"] == 2
    first, second = bodies(keeping, 2)
    assert invalid.encode().startswith(first.partition("…")[0].encode())
    assert second == f"{too_long[:MAX_SENT_BYTES]}… ({len(too_long) - MAX_SENT_BYTES} more bytes)"
    assert all(MAX_SENT_BYTES < len(body.encode()) < MAX_SENT_BYTES + 50 for body in (first, second))


def test_the_last_ones_are_kept_and_paged(keeping: Api) -> None:
    """As many as the setting says, last first; a cursor leads through all of them."""
    for number in range(3):
        assert keeping.lenient([sent_run(f"{number}-{place}", status="") for place in range(30)]).status == 422
    wait_until(lambda: (refusals(keeping) or [{}])[0].get("event_id") == "2-29")
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = keeping.request("GET", f"{REFUSALS}?limit=20&cursor={cursor}")
        found += [one["event_id"] for one in answer.body["refusals"]]
        cursor = answer.body["next_cursor"]
    everything = [f"{number}-{place}" for number in (2, 1, 0) for place in reversed(range(30))]
    assert found == everything[:KEEP]


def test_some_can_be_selected(keeping: Api) -> None:
    """By run and by field, and by both."""
    other = sent_run("other", run_id="launch-8", status=1)
    keeping.lenient([BAD, other, sent_run("third", run_id="launch-7", end_time=1)])
    kept(keeping, 3)

    def selected(**query: object) -> list[str]:
        return [one["event_id"] for one in refusals(keeping, **query)]

    assert selected(run_id="launch-7") == ["third", "bad"]
    assert selected(field="status") == ["other", "bad"]
    assert selected(run_id="launch-7", field="status") == ["bad"]
    assert selected(run_id="launch") == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit must be an integer from 1 to 1000"),
        ("cursor=x", "cursor is not a next_cursor"),
        ("field=run", "field must be a field of a run, such as start_time; not 'run'"),
        ("field=created_at", "field must be a field of a run"),
        ("run_id=%00", "run_id contains a NUL character"),
        ("status=failure", "status is not allowed here; allowed parameters: run_id, field, limit, cursor"),
        ("limit=1&limit=2", "limit is given more than once; give it once"),
    ],
)
def test_an_invalid_query_is_named(shared_server: Api, query: str, told: str) -> None:
    """Parameter, what is wrong, and what would be right; also where none are kept."""
    answer = shared_server.request("GET", f"{REFUSALS}?{query}")
    assert (answer.status, len(answer.body["detail"])) == (422, 1)
    assert told in answer.body["detail"][0]["msg"] or told.partition(" ")[2] in answer.body["detail"][0]["msg"]
    assert answer.locations == [["query", told.partition(" ")[0]]]


def test_every_field_can_be_asked_for(shared_server: Api) -> None:
    """The documented ones are all that a client may send."""
    (parameter,) = [one for one in API["paths"][REFUSALS]["get"]["parameters"] if one["name"] == "field"]
    assert parameter["schema"]["enum"] == [name for name in FIELDS if name not in SERVER_FIELDS]
    for name in parameter["schema"]["enum"]:
        assert refusals(shared_server, field=name) == []


def test_none_are_kept_by_default(server: Api, tmp_path: Path) -> None:
    """The list is empty, the limits tell why, and there is no file."""
    assert server.create(BAD).status == 422
    assert refusals(server) == []
    assert server.request("GET", "/api/v1/limits").body["keep_refusals"] == 0
    assert not list(tmp_path.glob("*refusals*"))


def test_the_limits_tell_how_many_are_kept(keeping: Api) -> None:
    """So a page can tell none from none kept."""
    assert keeping.request("GET", "/api/v1/limits").body["keep_refusals"] == KEEP


def test_they_outlive_the_server(start: Start, db: str) -> None:
    """What was rejected before is listed after a restart, as much of it as is to be kept then."""
    with start(db=db, keep_refusals=KEEP) as api:
        api.lenient([sent_run(f"{number}", status="") for number in range(5)])
    with start(db=db, keep_refusals=3) as api:
        wait_until(lambda: len(refusals(api)) <= 3)
        assert [one["event_id"] for one in kept(api, 3)] == ["4", "3", "2"]
    with start(db=db) as api:
        assert refusals(api) == []


def test_a_file_that_cannot_be_used_fails_no_upload(start: Start, tmp_path: Path) -> None:
    """Uploads are as ever, what is lost is counted, and the list says what to do."""
    (tmp_path / "runs.db-refusals").write_bytes(b"not SQLite" * 1000)
    with start(keep_refusals=KEEP) as api:
        assert api.lenient([GOOD, BAD]).status == 500
        answer = api.request("GET", REFUSALS)
        assert answer.status == 500
        assert "remove it while no server runs" in answer.body["detail"]
        assert api.request("GET", "/ready").status == 200


def test_a_token_that_may_read_is_enough(start: Start, tmp_path: Path) -> None:
    """And without one there is nothing to see."""
    tokens = tmp_path / "tokens"
    tokens.write_text("who read reader-0123456789abcdef\n")
    tokens.chmod(0o600)
    with start(keep_refusals=KEEP, token_file=tokens) as api:
        assert api.request("GET", REFUSALS).status == 401
        assert api.request("GET", REFUSALS, headers={"Authorization": "Bearer reader-0123456789abcdef"}).status == 200


def test_a_stream_is_unchanged_by_keeping(keeping: Api) -> None:
    """The response is that of a server that keeps nothing."""
    answer = stream(keeping, lines([GOOD, BAD]), NDJSON)
    assert (answer.status, answer.counts) == (200, (2, 1, 0, 1))
