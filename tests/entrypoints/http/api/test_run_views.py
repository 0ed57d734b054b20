"""The list as a page of launches shows it: roots, several statuses, a search, summaries and rollups."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest

from adapters.wire.summary import SHOWN_FIELDS
from core.model.run import FIELDS
from entrypoints import application
from tests.servers import Answer, Api, MakeRun, Start


@pytest.fixture
def listed(any_server: Api, make_run: MakeRun) -> Api:
    """Return a server of each kind with two roots and their children."""
    assert (
        any_server.lenient(
            [
                make_run(event_id="root-1", run_id="r1", start_time="2026-01-01T00:00:00Z", status="success")
                | {"input_summary": "Weekly Translation", "metrics_json": {"cost_usd": 2.5, "steps": 7}, "shard": 1},
                make_run(event_id="root-2", run_id="r2", start_time="2026-01-02T00:00:00Z", status="failure")
                | {"error_summary": "x" * 1500, "error_details": "Traceback (most recent call last)"},
                make_run(event_id="child-1", run_id="r1/a", parent_run_id="r1", status="timeout")
                | {"metrics_json": {"cost_usd": 2}, "item_name": "index.md", "error_summary": "too slow"},
                make_run(event_id="child-2", run_id="r2/a", parent_run_id="r2", status="running"),
            ]
        ).status
        == 201
    )
    return any_server


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"roots": "true"}, ["root-2", "root-1"]),
        ({"roots": "false"}, ["child-2", "child-1", "root-2", "root-1"]),
        ({"roots": "true", "status": "failure"}, ["root-2"]),
        ({"roots": "true", "parent_run_id": "r1"}, []),
        ({"status": "failure,timeout"}, ["child-1", "root-2"]),
        ({"status": "failed,failure,completed"}, ["root-2", "root-1"]),
        ({"q": "tRANSLATION"}, ["root-1"]),
        ({"q": "traceback (MOST"}, ["root-2"]),
        ({"q": "INDEX", "status": "timeout,success"}, ["child-1"]),
        ({"q": "r1"}, ["child-1", "root-1"]),
        ({"q": "steps"}, []),
        ({"q": "%"}, []),
    ],
)
def test_filters(listed: Api, query: dict[str, str], found: Sequence[str]) -> None:
    """Each finds the runs that match it and every other, in the list, the export and the figures."""
    answer = listed.find(**query)
    assert (answer.status, answer.event_ids) == (200, found)
    assert answer.body["total"] == (None if "q" in query else len(found))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"roots": "yes"}, "roots"),
        ({"roots": ""}, "roots"),
        ({"status": "failure,lost"}, "status"),
        ({"status": ""}, "status"),
        ({"status": "failure,"}, "status"),
        ({"q": "a\0b"}, "q"),
        ({"fields": "all"}, "fields"),
        ({"fields": ""}, "fields"),
        ({"fields": "input_summary"}, "fields"),
        ({"fields": "summary,colour"}, "fields"),
        ({"fields": "summary,"}, "fields"),
        ({"rollup": "true"}, "rollup"),
        ({"rollup": "true", "roots": "false"}, "rollup"),
        ({"rollup": "1", "roots": "true"}, "rollup"),
    ],
)
def test_bad_query_is_422(shared_server: Api, query: dict[str, str], named: str) -> None:
    """An invalid value gets 422 that names the parameter; a rollup without roots says what is missing."""
    answer = shared_server.find(**query)
    assert (answer.status, answer.locations) == (422, [["query", named]])
    if named == "rollup" and query["rollup"] == "true":
        assert "roots=true" in answer.body["detail"][0]["msg"]


def runs_of(answer: Answer) -> dict[str, Any]:
    """Return the runs of a page by their keys."""
    assert answer.status == 200
    return {run["event_id"]: run for run in answer.body["runs"]}


def test_summaries_leave_out_what_is_long(listed: Api) -> None:
    """A summary is the run without its long texts and objects, a cut error, and the metrics of tokens and cost."""
    whole, summaries = runs_of(listed.find()), runs_of(listed.find(fields="summary"))
    assert list(summaries) == list(whole)
    for key, summary in summaries.items():
        assert list(summary) == list(SHOWN_FIELDS)
        same = set(SHOWN_FIELDS) - {"error_summary", "metrics_json"}
        assert {name: summary[name] for name in same} == {name: whole[key][name] for name in same}
    assert summaries["root-2"]["error_summary"] == "x" * 1000
    assert summaries["child-1"]["error_summary"] == "too slow"
    assert (summaries["root-1"]["metrics_json"], summaries["root-2"]["metrics_json"]) == ({"cost_usd": 2.5}, None)


@pytest.mark.parametrize("more", [["input_summary"], ["extra", "context_json", "start_time"], ["metrics_json"], FIELDS])
def test_summaries_with_more(listed: Api, more: Sequence[str]) -> None:
    """Further fields come as they are in the run, in the run's order."""
    whole = runs_of(listed.find())
    for key, run in runs_of(listed.find(fields=",".join(["summary", *more]))).items():
        assert list(run) == [name for name in FIELDS if name in {*SHOWN_FIELDS, *more}]
        assert {name: run[name] for name in more} == {name: whole[key][name] for name in more}


@pytest.mark.parametrize("fields", [None, "summary", "summary,input_summary"])
def test_rollups(listed: Api, fields: str | None) -> None:
    """Each root has the rollup that it has by itself; the rest of it is as without."""
    query = {"roots": "true"} | ({} if fields is None else {"fields": fields})
    plain, rolled = runs_of(listed.find(**query)), runs_of(listed.find(**query, rollup="true"))
    for run in rolled.values():
        assert run.pop("rollup") == listed.request("GET", f"/api/v1/runs/{run['run_id']}/rollup").body
    assert rolled == plain
    assert runs_of(listed.find(**query, rollup="false")) == plain


def test_pages_of_roots_lead_on(any_server: Api, make_run: MakeRun) -> None:
    """Following next_cursor returns every root once, in any view."""
    runs = [make_run(event_id=f"e{n}", run_id=f"r{n}", parent_run_id=None if n % 3 else "r1") for n in range(20)]
    any_server.lenient(runs)
    roots = [f"e{n}" for n in reversed(range(20)) if n % 3]
    for view in ({}, {"fields": "summary"}, {"fields": "summary,extra", "rollup": "true"}):
        found, cursor = [], ""
        while cursor is not None:
            answer = any_server.find(roots="true", limit=3, cursor=cursor, **view)
            found += answer.event_ids
            cursor = answer.body["next_cursor"]
        assert found == roots


@pytest.mark.parametrize("fields", [{}, {"fields": "summary"}])
def test_views_in_parts(any_server: Api, make_run: MakeRun, fields: dict[str, str]) -> None:
    """A page that is sent in parts has each root once, with its rollup."""
    text = "é" * 100_000
    runs = [make_run(event_id=f"e{n:02}", run_id=f"r{n:02}", item_name=text) for n in range(20)]
    assert any_server.lenient(runs, Prefer="return=minimal").status == 201
    answer = any_server.find(roots="true", rollup="true", **fields)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.event_ids == [f"e{n:02}" for n in reversed(range(20))]
    assert all(run["rollup"]["runs"] == 1 and run["item_name"] == text for run in answer.body["runs"])


def test_rollups_of_a_page_have_one_bound(start: Start, monkeypatch: pytest.MonkeyPatch, make_run: MakeRun) -> None:
    """Runs whose descendants would exceed it have none, however many parts the page has; those without any still do."""
    made = application.Limits
    small = attrs.evolve(made(), max_rollup_runs=4, max_stats_runs=8)
    monkeypatch.setattr("entrypoints.application.Limits", lambda: small)
    text = "x" * 500_000
    runs = [make_run(event_id=f"e{n}", run_id=f"r{n}", item_name=text) for n in range(8)]
    children = [make_run(run_id=f"r{n}/{child}", parent_run_id=f"r{n}") for n in (7, 5, 3) for child in range(3)]
    with start() as server:
        assert server.lenient([*runs, *children], Prefer="return=minimal").status == 201
        listed = server.find(roots="true", rollup="true")
        assert listed.headers["Transfer-Encoding"] == "chunked"
        found = [run["rollup"] and run["rollup"]["runs"] for run in listed.body["runs"]]
    assert found == [4, 1, 4, 1, None, 1, 1, 1]


@pytest.fixture
def narrow(start: Start, monkeypatch: pytest.MonkeyPatch, make_run: MakeRun) -> Iterator[Api]:
    """Start a server that examines few runs, with ten of which the oldest matches."""
    made = application.Limits
    monkeypatch.setattr("entrypoints.application.Limits", lambda: attrs.evolve(made(), max_search_runs=4))
    with start() as server:
        names = ["needle", *(f"hay-{number}" for number in range(9))]
        server.lenient([make_run(event_id=name, item_name=name) for name in names])
        yield server


def test_a_search_ends_its_page_early(narrow: Api) -> None:
    """A page may have no run and still lead on, until all runs are examined."""
    pages, cursor = [], None
    while not pages or cursor is not None:
        answer = narrow.find(q="NEEDLE", **({} if cursor is None else {"cursor": cursor}))
        pages.append(answer.event_ids)
        cursor = answer.body["next_cursor"]
        assert answer.body["total"] is None
    assert pages == [[], [], ["needle"]]
