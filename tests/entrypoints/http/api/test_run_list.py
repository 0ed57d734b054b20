"""Reading over HTTP: the list with its filters and pages, the metadata, the limits, health and readiness."""

from datetime import datetime
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import pytest

from tests.servers import Api, MakeRun

ODD_RUN = {
    "event_id": "odd",
    "run_id": "odd name",
    "agent_name": "odd agent",
    "job_type": "odd job",
    "start_time": "2026-06-01T00:00:00Z",
    "status": "failure",
    "parent_run_id": "odd parent",
    "product": "odd product",
}


@pytest.fixture
def starts(server: Api, make_run: MakeRun) -> list[str]:
    """Store seven runs, several with equal starts, out of order; return their keys in the order of the list."""
    days = [3, 1, 2, 2, 1, 3, 2]
    runs = [make_run(start_time=f"2026-01-0{day}T00:00:00Z") for day in days]
    for run in runs:
        assert server.create(run).status == 201
    places = sorted(range(len(runs)), key=lambda place: (days[place], place), reverse=True)
    return [runs[place]["event_id"] for place in places]


def walk(server: Api, **query: Any) -> list["dict[str, Any]"]:
    """Return every page from the first to the last, of a list of about ten runs."""
    pages = [server.find(**query).body]
    while pages[-1]["next_cursor"] is not None and len(pages) < 20:
        pages.append(server.find(**query, cursor=pages[-1]["next_cursor"]).body)
    return pages


def keys(pages: list["dict[str, Any]"]) -> list[str]:
    """Return the keys of the runs of all pages."""
    return [run["event_id"] for page in pages for run in page["runs"]]


def test_empty_list(server: Api) -> None:
    """An empty store lists no runs, with the default page and no next one."""
    answer = server.find()
    assert answer.status == 200
    assert answer.body == {"runs": [], "total": 0, "limit": 100, "offset": 0, "next_cursor": None}


def test_newest_start_comes_first(server: Api, starts: list[str]) -> None:
    """The list is in descending order of start; of equal starts, the last arrived comes first."""
    answer = server.find()
    assert (answer.event_ids, answer.body["total"]) == (starts, 7)


@pytest.mark.parametrize(
    ("limit", "offset"), [(2, 0), (2, 1), (3, 6), (1, 7), (7, 0), (1000, 0), (1, 9223372036854775807)]
)
def test_limit_and_offset_cut_the_list(server: Api, starts: list[str], limit: int, offset: int) -> None:
    """A page is the slice given by limit and offset, and repeats both and the overall total."""
    answer = server.find(limit=limit, offset=offset)
    assert answer.event_ids == starts[offset : offset + limit]
    assert (answer.body["total"], answer.body["limit"], answer.body["offset"]) == (7, limit, offset)
    assert (answer.body["next_cursor"] is None) == (offset + limit >= 7)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_cursor_walk_sees_each_run_once(server: Api, starts: list[str], limit: int) -> None:
    """Following next_cursor to the end returns every run exactly once, in order, also among equal starts."""
    pages = walk(server, limit=limit)
    assert keys(pages) == starts
    assert [page["total"] for page in pages] == [7] + [None] * (len(pages) - 1)


def test_empty_cursor_begins_without_counting(server: Api, starts: list[str]) -> None:
    """``cursor=`` starts at the top like no cursor, but total is null."""
    pages = [server.find(limit=4, cursor="").body]
    assert (pages[0]["total"], keys(pages)) == (None, starts[:4])
    assert keys([server.find(limit=4, cursor=pages[0]["next_cursor"]).body]) == starts[4:]


def test_cursor_walk_keeps_its_filter(server: Api, starts: list[str]) -> None:
    """Filtered pages return exactly the matching runs, each once."""
    middle = {"start_time_from": "2026-01-02T00:00:00Z", "start_time_to": "2026-01-02T00:00:00Z"}
    assert keys(walk(server, limit=2, **middle)) == starts[2:5]


def test_cursor_walk_is_not_disturbed_by_new_runs(server: Api, starts: list[str], make_run: MakeRun) -> None:
    """Runs that arrive during paging neither repeat nor hide other runs."""
    first = server.find(limit=3).body
    server.create(make_run(start_time="2026-02-01T00:00:00Z"))
    assert keys([first, server.find(limit=100, cursor=first["next_cursor"]).body]) == starts


@pytest.mark.parametrize(
    "field", ["event_id", "run_id", "agent_name", "job_type", "status", "parent_run_id", "product"]
)
def test_filter_finds_what_is_equal(server: Api, make_run: MakeRun, field: str) -> None:
    """Each filter returns and counts exactly the runs with that value."""
    server.lenient([make_run(), ODD_RUN, make_run()])
    answer = server.find(**{field: ODD_RUN[field]})
    assert (answer.event_ids, answer.body["total"]) == (["odd"], 1)
    assert server.find(**{field: "failed"} if field == "status" else {field: "absent"}).body["total"] == (
        1 if field == "status" else 0
    )


def test_filters_combine(server: Api, make_run: MakeRun) -> None:
    """Several filters return the runs that match all of them."""
    other = make_run(agent_name=ODD_RUN["agent_name"])
    server.lenient([ODD_RUN, other])
    assert server.find(agent_name="odd agent").body["total"] == 2
    assert server.find(agent_name="odd agent", status="failure").event_ids == ["odd"]
    assert server.find(agent_name="odd agent", job_type=other["job_type"]).event_ids == [other["event_id"]]
    assert server.find(agent_name="odd agent", product="other").body["total"] == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"start_time_from": "2026-01-02T00:00:00Z"}, slice(0, 5)),
        ({"start_time_from": "2026-01-02T00:00:00.000001Z"}, slice(0, 2)),
        ({"start_time_to": "2026-01-02T00:00:00Z"}, slice(2, 7)),
        ({"start_time_to": "2026-01-01T23:59:59.999999Z"}, slice(5, 7)),
        ({"start_time_from": "2026-01-02T02:00:00+02:00", "start_time_to": "2026-01-01T23:00:00-01:00"}, slice(2, 5)),
        ({"start_time_from": "2026-01-04T00:00:00Z"}, slice(0, 0)),
    ],
)
def test_time_range_includes_both_ends(server: Api, starts: list[str], query: dict[str, str], found: slice) -> None:
    """The time filters compare instants in any offset; both ends are inclusive."""
    answer = server.find(**query)
    assert (answer.event_ids, answer.body["total"]) == (starts[found], len(starts[found]))


@pytest.mark.parametrize("alias", ["success", "completed", "succeeded"])
def test_status_filter_takes_aliases(server: Api, make_run: MakeRun, alias: str) -> None:
    """The status filter accepts all names of a status."""
    server.lenient([make_run(), make_run(status="completed")])
    assert server.find(status=alias).body["total"] == 1


def test_filter_follows_changes(server: Api, make_run: MakeRun) -> None:
    """A patched status moves the run from one filter to the other."""
    run = make_run()
    server.create(run)
    server.patch(run["event_id"], {"status": "failed"})
    assert server.find(status="running").body["total"] == 0
    assert server.find(status="failure").event_ids == [run["event_id"]]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", ""),
        ("limit", "1.0"),
        ("limit", "٣"),
        ("offset", "-1"),
        ("offset", "x"),
        ("offset", "9223372036854775808"),
        ("status", "lost"),
        ("start_time_from", "2026-01-01"),
        ("start_time_to", "2026-01-01T00:00:00"),
        ("event_id", ""),
        ("event_id", "x" * 256),
        ("agent_name", "a\0b"),
        ("cursor", "abc"),
        ("cursor", "!!!!"),
        ("cursor", "ü"),
        ("cursor", "MjAyNg"),
        ("colour", "red"),
        ("Status", "success"),
        ("created_at", "2026-01-01T00:00:00Z"),
    ],
)
def test_bad_query_is_422(shared_server: Api, parameter: str, value: str) -> None:
    """An unknown parameter or an invalid value gets 422 that names the parameter."""
    answer = shared_server.find(**{parameter: value})
    assert (answer.status, answer.locations) == (422, [["query", parameter]])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=2&limit=1", "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=&cursor=", "cursor"),
        ("status=success&offset=0&status=failure", "status"),
        ("%73tatus=success&status=success", "status"),
        ("colour=red&colour=red", "colour"),
    ],
)
def test_repeated_parameter_is_422(shared_server: Api, query: str, named: str) -> None:
    """A repeated parameter gets 422 that names it; neither value is used."""
    answer = shared_server.request("GET", f"/api/v1/runs?{query}")
    assert (answer.status, answer.locations) == (422, [["query", named]])
    assert answer.body["detail"][0]["msg"] == f"{named} is given more than once; give it once"


def test_offset_and_cursor_exclude_each_other(server: Api, starts: list[str]) -> None:
    """An offset with a cursor gets 422 instead of being ignored silently."""
    cursor = server.find(limit=len(starts) - 1).body["next_cursor"]
    assert server.find(cursor=cursor, offset=1).status == 422
    assert server.find(cursor="", offset=1).status == 422


@pytest.mark.usefixtures("starts")
def test_offset_and_search_exclude_each_other(server: Api) -> None:
    """An offset in a search gets 422 that names it, and 0 is none."""
    answer = server.find(q="run", offset=1)
    assert (answer.status, answer.locations) == (422, [["query", "offset"]])
    assert answer.body["detail"][0]["msg"] == "offset cannot be combined with q; page with cursor instead"
    assert server.find(q="run", offset=0).status == 200


def test_metadata_of_an_empty_store(server: Api) -> None:
    """A store without runs has no names."""
    answer = server.request("GET", "/api/v1/metadata")
    assert answer.status == 200
    counts = {"agent_names": 0, "job_types": 0}
    assert answer.body == {"agent_names": [], "job_types": [], "counts": counts, "next_cursor": None}


def test_metadata_is_distinct_sorted_and_counted(server: Api, make_run: MakeRun) -> None:
    """Each agent name and job type is listed once, sorted by code point, with the number of each kind."""
    names = ["b", "a", "Z", "ä", "🏃", "\uffee", "b"]
    server.lenient([make_run(agent_name=name, job_type=f"{name[0]}-job") for name in names])
    body = server.request("GET", "/api/v1/metadata").body
    assert body["agent_names"] == ["Z", "a", "b", "ä", "\uffee", "🏃"]
    assert body["job_types"] == [f"{name}-job" for name in body["agent_names"]]
    assert body["counts"] == {"agent_names": 6, "job_types": 6}


def test_refused_and_repeated_runs_leave_no_trace(server: Api, make_run: MakeRun) -> None:
    """Neither a rolled back batch nor a conflicting duplicate changes the names or counts."""
    run = make_run()
    server.create(run)
    server.lenient([run, {**run, "agent_name": "conflict"}])
    server.atomic([make_run(agent_name="rolled back"), make_run(status="lost")])
    assert server.request("GET", "/api/v1/metadata").body["agent_names"] == [run["agent_name"]]
    assert (server.find().body["total"], server.find(agent_name=run["agent_name"]).body["total"]) == (1, 1)


def test_limits_name_what_is_in_force(shared_server: Api) -> None:
    """The limits that the other tests reach are listed by name."""
    answer = shared_server.request("GET", "/api/v1/limits")
    assert answer.status == 200
    told = {"max_batch_runs": 1000, "max_body_bytes": 16777216, "max_page_runs": 1000, "max_event_id_length": 255}
    assert told.items() <= answer.body.items()


def test_health_answers_with_the_version(shared_server: Api) -> None:
    """Health says that the process is up, and the installed version."""
    answer = shared_server.request("GET", "/health")
    assert (answer.status, answer.body) == (200, {"status": "ok", "version": version("runsink")})


def test_ready_when_a_write_would_be_taken(shared_server: Api) -> None:
    """An ordinary server is ready."""
    assert shared_server.request("GET", "/ready").status == 200


def test_pages_of_a_large_list_are_in_order(server: Api, make_run: MakeRun) -> None:
    """Starts with and without fractions, and with any offset, sort as instants."""
    written = [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.5Z",
        "2026-01-31T12:00:00.000001Z",
        "2026-01-31T14:00:00.25+02:00",
        "2026-01-31T11:59:59.999999Z",
        "2026-01-31T00:00:00-12:00",
        "0999-01-31T12:00:00Z",
        "9999-01-31T12:00:00Z",
    ]
    server.lenient([make_run(start_time=start) for start in written])
    listed = [run["start_time"] for page in walk(server, limit=3) for run in page["runs"]]
    assert len(listed) == len(written)
    instants = [datetime.fromisoformat(start) for start in listed]
    assert all(newer >= older for newer, older in pairwise(instants))
    assert (listed[0][:4], listed[1], listed[-1][:4]) == ("9999", "2026-01-31T12:00:00.500000Z", "0999")
