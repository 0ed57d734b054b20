"""Statistics and facets over HTTP: their shapes, filters and bounds."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from entrypoints import application
from tests.servers import Answer, Api, MakeRun, Start

DAY = 86_400


def stats(api: Api, **query: object) -> Answer:
    """Ask for statistics."""
    return api.request("GET", f"/api/v1/stats?{urlencode(query)}")


def facets(api: Api, **query: object) -> Answer:
    """Ask for facets."""
    return api.request("GET", f"/api/v1/facets?{urlencode(query)}")


def runs_of(make_run: MakeRun) -> list[dict[str, Any]]:
    """Return runs of two days."""
    return [
        make_run(event_id="a", start_time="2026-01-31T23:59:59.999999Z", status="success", duration_ms=100)
        | {"product": "docs", "metrics_json": {"cost_usd": 0.5, "total_tokens": 10, "steps": 1}},
        make_run(event_id="b", start_time="2026-01-31T00:00:00Z", status="success", duration_ms=300)
        | {"product": "docs", "metrics_json": {"cost_usd": 0.25, "total_tokens": "many"}},
        make_run(event_id="c", start_time="2026-01-31T12:00:00Z", status="failure", duration_ms=200)
        | {"product": "shop", "parent_run_id": "launch-1", "error_summary": "It broke"},
        make_run(event_id="d", start_time="2026-01-30T12:00:00Z", agent_name="planner"),
    ]


@pytest.fixture
def counted(any_server: Api, make_run: MakeRun) -> Api:
    """Return a server of each kind with these runs."""
    assert any_server.lenient(runs_of(make_run)).status == 201
    return any_server


def test_statistics(counted: Api) -> None:
    """Buckets are days in UTC, newest first, with statuses, durations and sums."""
    answer = stats(counted, bucket=DAY, metrics="cost_usd,total_tokens,none")
    assert answer.status == 200
    assert answer.body == {
        "bucket_seconds": DAY,
        "buckets": [
            {
                "start": "2026-01-31T00:00:00Z",
                "runs": {"success": 2, "failure": 1},
                "duration_ms": {"p50": 200, "p95": 300},
                "metrics": {"cost_usd": 0.75, "total_tokens": 10},
            },
            {"start": "2026-01-30T00:00:00Z", "runs": {"running": 1}, "duration_ms": None, "metrics": {}},
        ],
        "examined": 4,
        "complete": True,
        "from": None,
    }


def test_percentiles_of_many_runs(any_server: Api, make_run: MakeRun) -> None:
    """By nearest rank, which is rounded up, on every store."""
    assert any_server.lenient([make_run(event_id=f"e{ms}", duration_ms=ms) for ms in range(14, 0, -1)]).status == 201
    (bucket,) = stats(any_server).body["buckets"]
    assert bucket["duration_ms"] == {"p50": 7, "p95": 14}


def test_statistics_by_default(counted: Api) -> None:
    """Without parameters the buckets are days, and no metric is summed."""
    body = stats(counted).body
    assert body == stats(counted, bucket=DAY).body == stats(counted, metrics="").body
    assert [bucket["metrics"] for bucket in body["buckets"]] == [{}, {}]


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ({"roots": "true"}, {"success": 2, "running": 1}),
        ({"status": "success,failed"}, {"success": 2, "failure": 1}),
        ({"product": "shop"}, {"failure": 1}),
        ({"q": "it BROKE"}, {"failure": 1}),
        ({"parent_run_id": "launch-1"}, {"failure": 1}),
        ({"start_time_to": "2026-01-31T00:00:00Z"}, {"success": 1, "running": 1}),
        ({"agent_name": "none"}, {}),
    ],
)
def test_filters(counted: Api, query: dict[str, str], runs: dict[str, int]) -> None:
    """Statistics and facets are of the runs that the list has with the same filters."""
    buckets = stats(counted, bucket=366 * DAY, **query).body["buckets"]
    assert [bucket["runs"] for bucket in buckets] == ([runs] if runs else [])
    found = facets(counted, fields="status", **query).body["facets"]["status"]
    assert {one["value"]: one["runs"] for one in found} == runs
    assert len(counted.find(**query).body["runs"]) == sum(runs.values())


def test_facets(counted: Api) -> None:
    """Each field has its values, the most frequent first, equally frequent ones by code point."""
    answer = facets(counted)
    assert answer.status == 200
    assert answer.body == {
        "facets": {
            "status": [
                {"value": "success", "runs": 2},
                {"value": "failure", "runs": 1},
                {"value": "running", "runs": 1},
            ],
            "agent_name": [{"value": "translator", "runs": 3}, {"value": "planner", "runs": 1}],
            "job_type": [{"value": "translate_page", "runs": 4}],
            "product": [{"value": "docs", "runs": 2}, {"value": "shop", "runs": 1}],
            "git_repo": [],
        },
        "examined": 4,
        "complete": True,
    }
    some = facets(counted, fields="product,git_repo").body["facets"]
    assert some == {name: answer.body["facets"][name] for name in ("product", "git_repo")}


@pytest.mark.parametrize(
    ("kind", "parameter", "value"),
    [
        (stats, "bucket", "0"),
        (stats, "bucket", "-1"),
        (stats, "bucket", "day"),
        (stats, "bucket", str(366 * DAY + 1)),
        (stats, "metrics", "a,b b"),
        (stats, "metrics", ",".join("abcdefghi")),
        (stats, "limit", "1"),
        (stats, "status", "lost"),
        (facets, "fields", ""),
        (facets, "fields", "status,event_id"),
        (facets, "bucket", "1"),
        (facets, "roots", "maybe"),
    ],
)
def test_bad_query_is_422(shared_server: Api, kind: Any, parameter: str, value: str) -> None:
    """An unknown parameter or an invalid value gets 422 that names the parameter."""
    answer = kind(shared_server, **{parameter: value})
    assert (answer.status, answer.locations) == (422, [["query", parameter]])


def test_an_empty_store_has_no_figures(any_server: Api) -> None:
    """Nothing was examined, and that is complete."""
    body = stats(any_server).body
    assert (body["buckets"], body["examined"], body["complete"]) == ([], 0, True)
    assert facets(any_server, fields="status").body == {"facets": {"status": []}, "examined": 0, "complete": True}


@pytest.fixture
def narrow(start: Start, monkeypatch: pytest.MonkeyPatch, make_run: MakeRun) -> Iterator[Api]:
    """Start a server that examines three runs and returns two buckets and two values."""
    made = application.Limits
    small = attrs.evolve(made(), max_stats_runs=3, max_stats_buckets=2, max_facet_values=2)
    monkeypatch.setattr("entrypoints.application.Limits", lambda: small)
    with start() as server:
        assert server.lenient(runs_of(make_run)).status == 201
        yield server


def test_beyond_their_limit_figures_say_so(narrow: Api) -> None:
    """The newest runs are examined, and the newest buckets returned; the response says how far it got."""
    body = stats(narrow).body
    assert (len(body["buckets"]), body["examined"], body["complete"]) == (1, 3, False)
    assert body["from"] == "2026-01-31T00:00:00Z"
    found = facets(narrow, fields="status,product").body
    assert (found["examined"], found["complete"]) == (3, False)
    hourly = stats(narrow, bucket=3600).body
    assert [bucket["start"] for bucket in hourly["buckets"]] == ["2026-01-31T23:00:00Z", "2026-01-31T12:00:00Z"]
    assert (hourly["complete"], hourly["from"]) == (False, "2026-01-31T12:00:00Z")
