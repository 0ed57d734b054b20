"""``root-path``: a server that a reverse proxy publishes under a prefix, which it may strip or pass on."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from entrypoints.http.api.metrics import MetricsResource
from entrypoints.http.api.operations import Operations
from entrypoints.http.api.stream import Stream
from entrypoints.http.server import api_routes
from entrypoints.root_path import OWN_PATHS, check_root_path
from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Start

PREFIX = "/tools/runsink"


def target_answer(api: Api, target: str) -> tuple[int, bytes]:
    """Return status and body of a GET with exactly this target."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)
    try:
        connection.putrequest("GET", target)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
def mounted(start: Start) -> Iterator[Api]:
    """Start a server under the prefix."""
    with start(root_path=PREFIX) as api:
        yield api


def test_requests_may_have_the_prefix_or_not(mounted: Api, make_run: MakeRun) -> None:
    """A proxy that passes the prefix on and one that strips it reach the same routes, with the query intact."""
    run = make_run(run_id="a/b c?", agent_name="ü&=")
    assert mounted.send("POST", f"{PREFIX}/api/v1/runs", run).status == 201
    for prefix in ("", PREFIX):
        answers = [
            mounted.request("GET", f"{prefix}/api/v1/runs/{quote('a/b c?', safe='')}"),
            mounted.request("GET", f"{prefix}/api/v1/runs?agent_name={quote('ü&=', safe='')}&limit=1"),
            mounted.request("GET", f"{prefix}/health"),
            mounted.request("GET", f"{prefix}/ready"),
        ]
        assert [answer.status for answer in answers] == [200] * 4
        assert answers[0].body["run_id"] == "a/b c?"
        assert answers[1].body["total"] == 1


@pytest.mark.parametrize(
    "target",
    [
        "/tools",
        "/tools/",
        "/tools/runsinkhealth",
        "/tools/runsink-2/health",
        "/tools/runsink/tools/runsink/health",
        "/TOOLS/runsink/health",
        "//tools/runsink/health",
        "/health/tools/runsink",
    ],
)
def test_only_the_whole_prefix_is_taken_off_and_once(mounted: Api, target: str) -> None:
    """Anything else is a path like any other, here an unknown one."""
    assert target_answer(mounted, target)[0] == 404


def test_absolute_targets_have_the_prefix_as_well(mounted: Api) -> None:
    """A target may be a whole URL (RFC 9112, section 3.2.2)."""
    assert target_answer(mounted, f"{mounted.url}{PREFIX}/health")[0] == 200
    assert target_answer(mounted, f"http://evil.example{PREFIX}/health")[0] == 421


def test_the_prefix_alone_is_the_root(start: Start) -> None:
    """With and without a slash at the end."""
    with start() as plain, start(root_path=PREFIX) as mounted:
        asked = ((plain, "/"), (mounted, PREFIX), (mounted, f"{PREFIX}/"))
        answers = [target_answer(api, target) for api, target in asked]
        assert {(status, json.loads(body)["detail"]) for status, body in answers} == {(404, "Not Found: GET /")}


def test_the_location_of_a_job_has_the_prefix(mounted: Api, make_run: MakeRun) -> None:
    """However the request came: a client resolves the location against the URL that it used."""
    for prefix in ("", PREFIX):
        accepted = mounted.send("POST", f"{prefix}/api/v1/runs/stream", make_run(), Prefer="respond-async")
        assert accepted.status == 202
        assert accepted.headers["Location"] == f"{PREFIX}/api/v1/jobs/{accepted.body['job_id']}"
        assert mounted.request("GET", accepted.headers["Location"]).status == 200


def test_tokens_are_required_under_the_prefix(start: Start, tmp_path: Path) -> None:
    """A token is required for the same paths, with the prefix and without it."""
    tokens = tmp_path / "tokens"
    tokens.write_text("grafana read reader-0123456789abcdef\n")
    tokens.chmod(0o600)
    with start(root_path=PREFIX, token_file=tokens) as api:
        for prefix in ("", PREFIX):
            assert api.request("GET", f"{prefix}/health").status == 200
            assert api.request("GET", f"{prefix}/ready").status == 200
            assert api.request("GET", f"{prefix}/api/v1/limits").status == 401


def test_without_the_setting_there_is_no_prefix(server: Api) -> None:
    """Nothing is taken off."""
    assert target_answer(server, f"{PREFIX}/health")[0] == 404


@pytest.mark.parametrize("path", ["/runsink", "/a/b-c_d.e~f", "/apis", "/.x", "/..."])
def test_paths_that_can_be_prefixes(path: str) -> None:
    """Segments of unreserved characters."""
    check_root_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "runsink",
        "/runsink/",
        "//runsink",
        "/a//b",
        "/.",
        "/..",
        "/a/../b",
        "/a b",
        "/a%20b",
        "/ü",
        "/a?b",
        "/a\n",
    ],
)
def test_paths_that_cannot_be_prefixes(path: str) -> None:
    """The message says what a prefix is like."""
    with pytest.raises(ValueError, match="root-path must be a path such as /runsink"):
        check_root_path(path)


def test_no_prefix_begins_as_a_path_of_the_server() -> None:
    """Otherwise it would be unclear whether a request has the prefix."""
    nothing: Any = None
    stream, metrics = Stream(nothing, nothing, nothing, 60), MetricsResource(nothing, nothing, nothing)
    routes = api_routes(nothing, 500, stream, Operations(nothing, nothing, {}), metrics)
    first_segments = {route.path.split("/")[1] for route in routes}
    assert first_segments - {""} <= OWN_PATHS
    for first in OWN_PATHS:
        with pytest.raises(ValueError, match=f"must not begin with /{first}"):
            check_root_path(f"/{first}/more")
