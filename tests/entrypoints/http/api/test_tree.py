"""Trees and rollups over HTTP: their shapes, which run they begin with, and their bounds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import attrs
import pytest

from adapters.wire.summary import SHOWN_FIELDS
from entrypoints import application
from tests.servers import Answer, Api, MakeRun, Start

LIMITS = "entrypoints.application.Limits"


def tree(api: Api, run_id: str, **query: object) -> Answer:
    """Ask for the tree of a run."""
    return api.request("GET", f"/api/v1/runs/{quote(run_id, safe='')}/tree?{urlencode(query)}")


def rollup(api: Api, run_id: str, **query: object) -> Answer:
    """Ask for the rollup of a run."""
    return api.request("GET", f"/api/v1/runs/{quote(run_id, safe='')}/rollup?{urlencode(query)}")


def places(answer: Answer) -> Sequence[tuple[str, Any, int]]:
    """Return the key, the parent and the depth of each run of a tree."""
    assert answer.status == 200
    return [(run["event_id"], run["parent"], run["depth"]) for run in answer.body["runs"]]


@pytest.fixture
def launch(make_run: MakeRun) -> Sequence[Mapping[str, Any]]:
    """Return a launch of two workers, one with two calls of which one failed, not in order."""
    return [
        make_run(event_id="call-2", run_id="l/w2/c2", parent_run_id="l/w2", start_time="2026-01-31T12:00:04Z")
        | {"status": "failure", "error_summary": "refused", "metrics_json": {"cost_usd": 0.25, "other": 1}},
        make_run(event_id="worker-2", run_id="l/w2", parent_run_id="l", start_time="2026-01-31T12:00:02Z")
        | {"status": "failure", "error_summary": "gave up", "metrics_json": {"cost_usd": 9}},
        make_run(event_id="launch", run_id="l", start_time="2026-01-31T12:00:00Z")
        | {"status": "partial", "context_json": {"a": 1}, "input_summary": "all pages", "shard": 3},
        make_run(event_id="call-1", run_id="l/w2/c1", parent_run_id="l/w2", start_time="2026-01-31T12:00:03.5Z")
        | {"status": "success", "metrics_json": {"cost_usd": 0.5, "total_tokens": 12, "input_tokens": "many"}},
        make_run(event_id="worker-1", run_id="l/w1", parent_run_id="l", start_time="2026-01-31T12:00:01Z")
        | {"status": "success", "commit_hash": "0a1b2c3", "commit_source": "ci", "metrics_json": {"cost_usd": 1}},
    ]


@pytest.fixture
def launched(any_server: Api, launch: Sequence[Mapping[str, Any]]) -> Api:
    """Return a server of each kind with the launch, and another run."""
    assert any_server.lenient([*launch, {**launch[2], "event_id": "other", "run_id": "other"}]).status == 201
    return any_server


def test_a_tree_has_the_run_and_its_descendants(launched: Api) -> None:
    """Parents come before children, and siblings by start, each with its place."""
    answer = tree(launched, "l")
    assert places(answer) == [
        ("launch", None, 0),
        ("worker-1", 0, 1),
        ("worker-2", 0, 1),
        ("call-1", 2, 2),
        ("call-2", 2, 2),
    ]
    assert (answer.body["total"], answer.body["truncated"]) == (5, False)
    assert places(tree(launched, "l/w2")) == [("worker-2", None, 0), ("call-1", 0, 1), ("call-2", 0, 1)]
    assert places(tree(launched, "other")) == [("other", None, 0)]


def test_a_tree_has_summaries(launched: Api) -> None:
    """A node is the stored run without the long texts and objects, except the metrics of tokens and cost."""
    for node in tree(launched, "l").body["runs"]:
        stored = launched.stored(node["event_id"])
        assert list(node) == [*SHOWN_FIELDS, "parent", "depth"]
        kept = set(SHOWN_FIELDS) - {"metrics_json"}
        assert {name: node[name] for name in kept} == {name: stored[name] for name in kept}
        metrics = stored["metrics_json"] or {}
        assert node["metrics_json"] == ({n: v for n, v in metrics.items() if n != "other" and v != "many"} or None)


def test_a_rollup_adds_up(launched: Api) -> None:
    """It counts runs and statuses, sums the innermost metrics, and names the causes and the commits."""
    answer = rollup(launched, "l")
    assert answer.status == 200
    assert answer.body == {
        "runs": 5,
        "status": {"partial": 1, "success": 2, "failure": 2},
        "metrics": {"cost_usd": 1.75, "total_tokens": 12},
        "causes": [{"error_summary": "refused", "status": "failure", "run_id": "l/w2/c2", "runs": 1}],
        "commits": [{"commit_hash": "0a1b2c3", "run_id": "l/w1"}],
    }
    assert rollup(launched, "other").body["runs"] == 1


def test_a_rollup_of_a_run_without_anything(any_server: Api, make_run: MakeRun) -> None:
    """What does not occur is empty."""
    any_server.create(make_run(run_id="alone"))
    assert rollup(any_server, "alone").body == {
        "runs": 1,
        "status": {"running": 1},
        "metrics": {},
        "causes": [],
        "commits": [],
    }


def test_an_event_id_selects_one_of_several_runs(any_server: Api, make_run: MakeRun) -> None:
    """By default it is the newest run of the name; a key that no run of that name has is not found."""
    any_server.create(make_run(event_id="old", run_id="twice", start_time="2026-01-30T12:00:00Z", status="failure"))
    any_server.create(make_run(event_id="new", run_id="twice"))
    any_server.create(make_run(event_id="other"))
    for query, key, status in (({}, "new", "running"), ({"event_id": "old"}, "old", "failure")):
        assert places(tree(any_server, "twice", **query)) == [(key, None, 0)]
        assert rollup(any_server, "twice", **query).body["status"] == {status: 1}
    for key in ("other", "none", "x" * 300):
        for answer in (tree(any_server, "twice", event_id=key), rollup(any_server, "twice", event_id=key)):
            assert answer.status == 404
            assert answer.body["detail"].startswith("Run not found: twice")


def test_a_cycle_ends(any_server: Api, make_run: MakeRun) -> None:
    """Runs that are each other's parents, or their own, appear once."""
    any_server.create(make_run(event_id="a", run_id="a", parent_run_id="b"))
    any_server.create(make_run(event_id="b", run_id="b", parent_run_id="a"))
    any_server.create(make_run(event_id="c", run_id="c", parent_run_id="c"))
    assert places(tree(any_server, "a")) == [("a", None, 0), ("b", 0, 1)]
    assert places(tree(any_server, "c")) == [("c", None, 0)]
    assert rollup(any_server, "b").body["runs"] == 2


@pytest.mark.parametrize("run_id", ["a/b", "a/tree", "50%", "ü?#", " ", "a/b/rollup"])
def test_names_are_percent_encoded(any_server: Api, make_run: MakeRun, run_id: str) -> None:
    """A name may have slashes, and be like the path of another resource."""
    any_server.create(make_run(event_id="odd", run_id=run_id))
    assert places(tree(any_server, run_id)) == [("odd", None, 0)]
    assert rollup(any_server, run_id).body["runs"] == 1
    assert any_server.get(run_id).body["event_id"] == "odd"


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_limit_truncates_a_tree(launched: Api, limit: int) -> None:
    """The first runs level by level are returned, and the total still counts all."""
    answer = tree(launched, "l", limit=limit)
    kept = ["launch", "worker-1", "worker-2", "call-1"][:limit]
    assert sorted(key for key, _, _ in places(answer)) == sorted(kept)
    assert (answer.body["total"], answer.body["truncated"]) == (5, True)
    whole = tree(launched, "l", limit=5).body
    assert (len(whole["runs"]), whole["truncated"]) == (5, False)


@pytest.mark.parametrize(
    ("kind", "parameter", "value"),
    [
        (tree, "limit", "0"),
        (tree, "limit", "20001"),
        (tree, "limit", "all"),
        (tree, "limit", "-1"),
        (tree, "depth", "1"),
        (rollup, "limit", "1"),
        (rollup, "status", "failure"),
    ],
)
def test_bad_query_is_422(shared_server: Api, make_run: MakeRun, kind: Any, parameter: str, value: str) -> None:
    """An unknown parameter or an invalid value gets 422 that names the parameter."""
    shared_server.create(make_run())
    answer = kind(shared_server, "launch-1", **{parameter: value})
    assert (answer.status, answer.locations) == (422, [["query", parameter]])


def test_what_does_not_exist_is_404(shared_server: Api) -> None:
    """A name that no run has, and one that no run can have."""
    for name in ("none", "a\0b"):
        for answer in (tree(shared_server, name), rollup(shared_server, name)):
            assert (answer.status, answer.body["detail"]) == (404, f"Run not found: {name}")


@pytest.fixture
def narrow(start: Start, monkeypatch: pytest.MonkeyPatch, launch: Sequence[Mapping[str, Any]]) -> Iterator[Api]:
    """Start a server with a launch beyond its limits."""
    made = application.Limits
    monkeypatch.setattr(LIMITS, lambda: attrs.evolve(made(), max_tree_runs=3, max_rollup_runs=4))
    with start() as server:
        assert server.lenient(launch).status == 201
        yield server


def test_beyond_its_limit_a_tree_says_so(narrow: Api) -> None:
    """It has the first runs, and no total."""
    answer = tree(narrow, "l")
    assert sorted(key for key, _, _ in places(answer)) == ["launch", "worker-1", "worker-2"]
    assert (answer.body["total"], answer.body["truncated"]) == (None, True)


def test_beyond_its_limit_a_rollup_is_null(narrow: Api) -> None:
    """No part of it passes for the whole."""
    answer = rollup(narrow, "l")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "4", None)
    assert rollup(narrow, "l/w2").body["runs"] == 3


def test_a_large_tree_is_one_response(any_server: Api, make_run: MakeRun) -> None:
    """Several thousand runs are one document."""
    runs = [make_run(event_id="root", run_id="big")]
    runs += [make_run(run_id=f"big/{n}", parent_run_id="big", item_name="é" * 20) for n in range(3000)]
    body = "".join(json.dumps(run) + "\n" for run in runs).encode()
    sent = any_server.send("POST", "/api/v1/runs/stream", body, Content_Type="application/x-ndjson")
    assert sent.body["created"] == 3001
    answer = tree(any_server, "big")
    assert (len(answer.body["runs"]), answer.body["total"], answer.body["truncated"]) == (3001, 3001, False)
    assert [run["parent"] for run in answer.body["runs"]] == [None] + [0] * 3000
