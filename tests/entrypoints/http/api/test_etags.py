"""Entity tags of what is read from the store: another one after each commit, and 304 until then."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite.run_repository import SqliteRunRepository
from core.model.run import Timestamp
from tests.jobs import wait_until
from tests.servers import Answer, Api, MakeRun, Start

RUN = {
    "event_id": "e-1",
    "run_id": "launch-1",
    "agent_name": "a",
    "job_type": "j",
    "start_time": "2026-01-31T12:00:00Z",
}
TARGETS = [
    "/api/v1/runs",
    "/api/v1/runs?limit=1&cursor=",
    "/api/v1/runs?roots=true&fields=summary&rollup=true",
    "/api/v1/runs/launch-1",
    "/api/v1/runs/launch-1/tree",
    "/api/v1/runs/launch-1/rollup",
    "/api/v1/stats",
    "/api/v1/facets",
    "/api/v1/metadata",
    "/api/v1/jobs",
]
UNTAGGED = ["/api/v1/export", "/health", "/ready", "/metrics"]


def ask(api: Api, target: str, known: str | None = None, method: str = "GET", **headers: str) -> Answer:
    """Ask for a target, by a client that has the response with this tag."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    conditions = {} if known is None else {"If-None-Match": known}
    return api.request(method, target, headers={**conditions, **named})


def tag_of(api: Api, target: str) -> str:
    """Return the tag of a response that was sent whole."""
    answer = ask(api, target)
    assert answer.status == 200
    return str(answer.headers["ETag"])


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_client_has_is_not_sent_again(any_server: Api, target: str) -> None:
    """Until the next commit it is 304 without a body, for a list of tags and a HEAD too; the client is to ask."""
    any_server.create(RUN)
    first = ask(any_server, target)
    tag = first.headers["ETag"]
    assert (first.headers["Cache-Control"], first.headers["Vary"]) == ("no-cache", "Accept-Encoding")
    assert tag.startswith('W/"')
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        for method in ("GET", "HEAD"):
            again = ask(any_server, target, known, method)
            assert (again.status, again.body) == (304, None)
            assert [again.headers[name] for name in ("ETag", "Cache-Control", "Vary")] == [
                first.headers[name] for name in ("ETag", "Cache-Control", "Vary")
            ]
    for unknown in ('W/"other"', '"*"', 'W/"*"'):
        other = ask(any_server, target, unknown)
        assert (other.status, other.body, other.headers["ETag"]) == (200, first.body, tag)


CHANGES: dict[str, Callable[[Api], Answer]] = {
    "a run": lambda api: api.create({**RUN, "event_id": "e-2"}),
    "a lenient batch": lambda api: api.lenient([{**RUN, "event_id": "e-2"}, {}]),
    "an atomic batch": lambda api: api.atomic([{**RUN, "event_id": "e-2"}]),
    "a stream": lambda api: api.send("POST", "/api/v1/runs/stream", [{**RUN, "event_id": "e-2"}]),
    "a patch": lambda api: api.patch("e-1", {"status": "success"}),
    "a commit": lambda api: api.commit("e-1", {"commit_hash": "0a1b2c3", "commit_source": "ci"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_changes_the_tags(any_server: Api, change: Callable[[Api], Answer]) -> None:
    """After whatever changes the store, each target is sent whole again, with a new tag."""
    any_server.create(RUN)
    before = {target: tag_of(any_server, target) for target in TARGETS}
    assert change(any_server).status < 300 or change is CHANGES["a lenient batch"]
    for target, tag in before.items():
        answer = ask(any_server, target, tag)
        assert (answer.status, answer.headers["ETag"] == tag) == (200, False)


def test_a_job_that_goes_on_changes_the_tags(any_server: Api) -> None:
    """Who looks at a job by its tag sees it end."""
    before = tag_of(any_server, "/api/v1/jobs")
    job = any_server.send("POST", "/api/v1/runs/stream", [RUN], Prefer="respond-async").body
    assert ask(any_server, "/api/v1/jobs", before).status == 200
    seen = [ask(any_server, f"/api/v1/jobs/{job['job_id']}")]

    def ends() -> bool:
        answer = ask(any_server, f"/api/v1/jobs/{job['job_id']}", seen[-1].headers["ETag"])
        if answer.status == 200:
            seen.append(answer)
        return bool(seen[-1].body["state"] == "succeeded")

    wait_until(ends)


def test_what_changes_nothing_keeps_the_tags(any_server: Api) -> None:
    """Runs that are sent again or rejected, and reads, make nobody read anything again."""
    any_server.create(RUN)
    before = {target: tag_of(any_server, target) for target in TARGETS}
    assert any_server.lenient([RUN, {**RUN, "agent_name": "other"}]).status == 201
    assert any_server.atomic([{**RUN, "event_id": "e-2"}, {}]).status == 400
    assert any_server.create({}).status == 422
    assert {target: tag_of(any_server, target) for target in TARGETS} == before


def test_a_304_reads_no_runs(server: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client has already is not read from the store."""
    server.create(RUN)
    targets = [target for target in TARGETS if "runs" in target]
    tags = {target: tag_of(server, target) for target in targets}

    def read(*_: object) -> Any:
        raise AssertionError

    for method in ("page", "summaries", "count"):
        monkeypatch.setattr(SqliteRunRepository, method, read)
    for target, tag in tags.items():
        assert ask(server, target, tag).status == 304
        assert ask(server, target).status == 500


def test_tags_outlive_the_server(start: Start) -> None:
    """A server that is started again over the same store has the same tags."""
    with start() as server:
        server.create(RUN)
        before = {target: tag_of(server, target) for target in TARGETS}
    with start() as server:
        assert {target: tag_of(server, target) for target in TARGETS} == before


def test_stores_have_tags_of_their_own(start: Start, tmp_path: Path) -> None:
    """The same uploads to two stores give different tags, so that a client notices that it is led to another store."""
    with ExitStack() as stack:
        servers = [stack.enter_context(start(db=tmp_path / f"{number}.db")) for number in range(2)]
        for server in servers:
            server.create(RUN)
        for target in TARGETS:
            first, second = (tag_of(server, target) for server in servers)
            assert first != second


def test_servers_on_one_store_have_the_same_tags(start: Start) -> None:
    """A client may ask either of them, and each notices what was committed through the other."""
    with start() as first, start() as second:
        for number, (writer, reader) in enumerate([(first, second), (second, first)]):
            before = tag_of(reader, "/api/v1/runs")
            assert writer.create({**RUN, "event_id": f"e-{number}"}).status == 201
            assert ask(reader, "/api/v1/runs", before).status == 200
            assert tag_of(reader, "/api/v1/runs") == tag_of(writer, "/api/v1/runs")


def test_a_tag_holds_for_its_target(server: Api) -> None:
    """A run that does not exist is 404, and an invalid parameter 422, whatever the client has."""
    server.create(RUN)
    known = ", ".join(tag_of(server, target) for target in TARGETS)
    for condition in (known, "*"):
        assert ask(server, "/api/v1/runs/none", condition).status == 404
        assert ask(server, "/api/v1/runs?limit=0", condition).status == 422
    assert ask(server, "/api/v1/runs?limit=2", known).status == 200


@pytest.mark.parametrize("target", UNTAGGED)
def test_what_depends_on_more_than_the_store_has_no_tag(server: Api, target: str) -> None:
    """An export, for example, is read while it is sent."""
    answer = ask(server, target, "*")
    assert (answer.status, answer.headers["ETag"]) == (200, None)


def test_limits_are_sent_again_once_they_have_changed(server: Api, tmp_path: Path) -> None:
    """The retention horizon is one of them; runs are not, so they change nothing."""
    first = ask(server, "/api/v1/limits")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    server.create(RUN)
    again = ask(server, "/api/v1/limits", tag)
    assert (again.status, again.headers["ETag"]) == (304, tag)
    with closing(SqliteStore(tmp_path / "runs.db")) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp("2026-01-01T00:00:00.000000Z"))
        work.commit()
    assert ask(server, "/api/v1/limits", tag).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nobody_keeps_an_export(server: Api, method: str) -> None:
    """It may be large, and no tag says whether it is still current."""
    assert ask(server, "/api/v1/export", method=method).headers["Cache-Control"] == "no-store"


def test_errors_have_no_tag(server: Api) -> None:
    """A client must not keep them."""
    answer = ask(server, "/api/v1/runs/none")
    assert (answer.status, answer.headers["ETag"]) == (404, None)


def test_a_page_in_parts_has_a_tag(server: Api, make_run: MakeRun) -> None:
    """A page that is sent in parts has one like any other, in any coding, and 304 as long as nothing is committed."""
    assert server.lenient([make_run(error_details="x" * 400_000) for _ in range(8)]).status == 201
    first, head = ask(server, "/api/v1/runs"), ask(server, "/api/v1/runs", method="HEAD", Accept_Encoding="gzip")
    tag = first.headers["ETag"]
    assert (first.headers["Transfer-Encoding"], first.headers["Vary"]) == ("chunked", "Accept-Encoding")
    assert head.headers["ETag"] == tag
    assert ask(server, "/api/v1/runs", tag).status == 304
    server.create(RUN)
    assert ask(server, "/api/v1/runs", tag).status == 200
