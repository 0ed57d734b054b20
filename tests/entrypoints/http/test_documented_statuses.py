"""Every status that the OpenAPI document names is one that the server responds with.

That it responds with no other is checked in all tests that use ``Api``: it judges each response by the document.
"""

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn
from urllib.parse import urlsplit

import attrs
import pytest

from adapters.sqlite.refusal_repository import SqliteRefusalRepository
from adapters.sqlite.store import SqliteStore
from core.errors import StoreBusyError, StoreError, StoreFullError
from core.model.job import JobPage
from core.model.limits import Limits
from entrypoints.http.pressure.admission import Lease, OverloadedError
from entrypoints.http.pressure.readiness import Readiness
from entrypoints.http.pressure.worker_pool import WorkerPool
from entrypoints.http.rejections import Reason
from entrypoints.process import job_runner
from entrypoints.settings import Settings
from tests.documented import API, Received
from tests.jobs import wait_until
from tests.otlp import export, span
from tests.servers import DEADLINE_SECONDS, DESCRIPTION, Answer, Api, Start, running_server

RUN = {
    "event_id": "documented",
    "run_id": "documented",
    "agent_name": "a",
    "job_type": "j",
    "start_time": "2026-01-31T12:00:00Z",
}
STREAM = "/api/v1/runs/stream"


@attrs.frozen
class Asked:
    """A request that succeeds, unless a recipe spoils it."""

    method: str
    path: str
    document: object = None

    def of(self, api: Api, **headers: str) -> Answer:
        """Send it."""
        if self.document is None:
            return api.request(self.method, self.path, headers={n.replace("_", "-"): v for n, v in headers.items()})
        return api.send(self.method, self.path, self.document, **headers)


GOOD = {
    "uploadLenient": Asked("POST", "/api/v1/runs/batch", {"runs": [RUN]}),
    "uploadAtomic": Asked("POST", "/api/v1/runs/batch-transactional", {"runs": [RUN]}),
    "uploadStream": Asked("POST", STREAM, [RUN]),
    "createRun": Asked("POST", "/api/v1/runs", RUN),
    "listRuns": Asked("GET", "/api/v1/runs"),
    "getRun": Asked("GET", "/api/v1/runs/documented"),
    "getTree": Asked("GET", "/api/v1/runs/documented/tree"),
    "getRollup": Asked("GET", "/api/v1/runs/documented/rollup"),
    "getStatistics": Asked("GET", "/api/v1/stats"),
    "getFacets": Asked("GET", "/api/v1/facets"),
    "updateRun": Asked("PATCH", "/api/v1/runs/documented", {}),
    "associateCommit": Asked(
        "POST", "/api/v1/runs/documented/associate-commit", {"commit_hash": "0a1b2c3", "commit_source": "ci"}
    ),
    "listJobs": Asked("GET", "/api/v1/jobs"),
    "getJob": Asked("GET", "/api/v1/jobs/none"),
    "deleteJob": Asked("DELETE", "/api/v1/jobs/none"),
    "exportRuns": Asked("GET", "/api/v1/export"),
    "listRefusals": Asked("GET", "/api/v1/refusals"),
    "getMetadata": Asked("GET", "/api/v1/metadata"),
    "getLimits": Asked("GET", "/api/v1/limits"),
    "getMetrics": Asked("GET", "/metrics"),
    "exportTraces": Asked("POST", "/v1/traces", export([span()])),
    "exportLogs": Asked("POST", "/v1/logs"),
    "exportMetrics": Asked("POST", "/v1/metrics"),
    "getHealth": Asked("GET", "/health"),
    "getReady": Asked("GET", "/ready"),
    "getDocumentAsJson": Asked("GET", "/openapi.json"),
    "getDocumentAsYaml": Asked("GET", "/openapi.yaml"),
    "getDocumentationPage": Asked("GET", "/docs"),
    "getDocumentationFile": Asked("GET", "/docs/initializer.js"),
}
INVALID = {
    "uploadLenient": Asked("POST", "/api/v1/runs/batch", {"runs": []}),
    "uploadAtomic": Asked("POST", "/api/v1/runs/batch-transactional", {"runs": []}),
    "uploadStream": Asked("POST", STREAM, {"run": []}),
    "createRun": Asked("POST", "/api/v1/runs", {}),
    "listRuns": Asked("GET", "/api/v1/runs?limit=0"),
    "getTree": Asked("GET", "/api/v1/runs/documented/tree?limit=0"),
    "getRollup": Asked("GET", "/api/v1/runs/documented/rollup?limit=1"),
    "getStatistics": Asked("GET", "/api/v1/stats?bucket=0"),
    "getFacets": Asked("GET", "/api/v1/facets?fields=event_id"),
    "updateRun": Asked("PATCH", "/api/v1/runs/documented", {"run_id": "x"}),
    "listJobs": Asked("GET", "/api/v1/jobs?state=lost"),
    "exportRuns": Asked("GET", "/api/v1/export?format=xml"),
    "listRefusals": Asked("GET", "/api/v1/refusals?field=none"),
    "getMetadata": Asked("GET", "/api/v1/metadata?limit=0"),
}
MISSING = {
    "getRun": Asked("GET", "/api/v1/runs/none"),
    "getTree": Asked("GET", "/api/v1/runs/none/tree"),
    "getRollup": Asked("GET", "/api/v1/runs/none/rollup"),
    "updateRun": Asked("PATCH", "/api/v1/runs/none", {}),
    "associateCommit": Asked("POST", "/api/v1/runs/none/associate-commit", GOOD["associateCommit"].document),
    "getJob": Asked("GET", "/api/v1/jobs/none"),
    "deleteJob": Asked("DELETE", "/api/v1/jobs/none"),
    "getDocumentationFile": Asked("GET", "/docs/none"),
    "exportLogs": Asked("POST", "/v1/logs"),
    "exportMetrics": Asked("POST", "/v1/metrics"),
}
DOCUMENTED = [
    (operation["operationId"], int(status))
    for item in API["paths"].values()
    for method, operation in item.items()
    if method != "parameters"
    for status in operation["responses"]
]
WITH_A_BODY = [name for name, asked in GOOD.items() if asked.document is not None]
FAILURES = {500: StoreError("injected"), 503: StoreBusyError("injected"), 507: StoreFullError("injected")}

Patch = pytest.MonkeyPatch


@attrs.frozen
class Servers:
    """A server without settings, one with tokens, and one that has no requests left."""

    plain: Api
    guarded: Api
    limited: Api


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Start the servers; the first has the run, and keeps refused ones."""
    place = tmp_path_factory.mktemp("documented")
    tokens = place / "tokens"
    tokens.write_text("nightly write writer-0123456789abcdef\n")
    tokens.chmod(0o600)
    with (
        running_server(Settings(port=0, db=place / "plain.db", keep_refusals=10)) as plain,
        running_server(Settings(port=0, db=place / "guarded.db", token_file=tokens)) as guarded,
        running_server(Settings(port=0, db=place / "limited.db", rate_requests="1/day")) as limited,
    ):
        assert plain.create(RUN).status == 201
        assert limited.request("GET", "/ready").status == 200
        yield Servers(plain, guarded, limited)


def fail_store(patched: Patch, error: StoreError) -> None:
    """Let every access to a store fail."""

    def fail(*_: object) -> NoReturn:
        raise error

    patched.setattr(SqliteStore, "unit_of_work", fail)
    patched.setattr(SqliteStore, "_reading", fail)
    patched.setattr(SqliteRefusalRepository, "_reading", fail)


def fail_room(patched: Patch) -> None:
    """Let no response have room, and no server be ready."""

    def grow(*_: object) -> NoReturn:
        raise OverloadedError("injected", 1, Reason.THREADS)

    async def run(*_: object, **__: object) -> NoReturn:
        grow()

    async def failure(_: object) -> str:
        return "injected"

    patched.setattr(Lease, "grow", grow)
    patched.setattr(WorkerPool, "run", run)
    patched.setattr(Readiness, "failure", failure)


def failed(operation: str, status: int, servers: Servers, patched: Patch) -> Answer:
    """Return the response when the store fails, or has no room or time."""
    fail_store(patched, FAILURES[status])
    if status == 503 and operation not in WITH_A_BODY:
        fail_room(patched)
    return GOOD[operation].of(servers.plain)


def too_large(operation: str, servers: Servers) -> Answer:
    """Return the response to a body that exceeds every limit on bytes."""
    asked = GOOD[operation]
    return servers.plain.send(asked.method, asked.path, b" " * (Limits().max_traces_bytes + 1))


def queued_job(api: Api) -> str:
    """Return the path of a new job."""
    answer = GOOD["uploadStream"].of(api, Prefer="respond-async")
    assert answer.status == 202
    return answer.headers["Location"]


def finished_job(api: Api) -> str:
    """Return the path of a job that has ended."""
    path = queued_job(api)
    wait_until(lambda: api.request("GET", path).body["state"] == "succeeded")
    return path


def cancelled(servers: Servers, patched: Patch) -> Answer:
    """Cancel a job before it is run."""
    patched.setattr(job_runner, "list_waiting", lambda *_: JobPage((), None))
    return servers.plain.request("DELETE", queued_job(servers.plain))


def answer_with(operation: str, status: int, servers: Servers, start: Start, patched: Patch) -> Answer:
    """Return the response to a request that is made so that it gets this status."""
    asked, plain = GOOD[operation], servers.plain
    recipes: dict[object, Callable[[], Answer]] = {
        304: lambda: asked.of(plain, If_None_Match="*"),
        400: lambda: plain.send(asked.method, asked.path, b"{"),
        401: lambda: asked.of(servers.guarded),
        403: lambda: asked.of(plain, Origin="null"),
        404: lambda: MISSING[operation].of(plain),
        413: lambda: too_large(operation, servers),
        415: lambda: asked.of(plain, Content_Type="text/plain"),
        421: lambda: asked.of(plain, Host="evil.example"),
        422: lambda: INVALID[operation].of(plain),
        429: lambda: asked.of(servers.limited),
        **{code: lambda: failed(operation, status, servers, patched) for code in FAILURES},
        ("uploadStream", 202): lambda: asked.of(plain, Prefer="respond-async"),
        ("getJob", 200): lambda: plain.request("GET", finished_job(plain)),
        ("getJob", 304): lambda: plain.request("GET", finished_job(plain), headers={"If-None-Match": "*"}),
        ("deleteJob", 200): lambda: cancelled(servers, patched),
        ("deleteJob", 204): lambda: plain.request("DELETE", finished_job(plain)),
    }
    if status == 207:
        with start(partial_status=207) as server:
            return server.lenient([RUN, {}])
    if (operation, status) == ("getMetrics", 404):
        with start(metrics_port=0) as server:
            return asked.of(server)
    good = recipes.get(status, lambda: asked.of(plain))
    return recipes.get((operation, status), good)()


@pytest.mark.parametrize(("operation", "status"), [pair for pair in DOCUMENTED if pair[1] != 408])
def test_documented_status_is_answered(
    servers: Servers, start: Start, monkeypatch: Patch, operation: str, status: int
) -> None:
    """Each operation can respond with each of its statuses."""
    assert answer_with(operation, status, servers, start, monkeypatch).status == status


def test_every_body_that_does_not_arrive_is_408(start: Start) -> None:
    """Exactly the operations with a body document 408, and all respond with it."""
    assert [operation for operation, status in DOCUMENTED if status == 408] == WITH_A_BODY
    with start(body_seconds=1) as server, ExitStack() as stack:
        links = [http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS) for _ in WITH_A_BODY]
        for link, operation in zip(links, WITH_A_BODY, strict=True):
            stack.callback(link.close)
            link.putrequest(GOOD[operation].method, GOOD[operation].path)
            link.putheader("Content-Type", "application/json")
            link.putheader("Content-Length", "2")
            link.endheaders()
        for link, operation in zip(links, WITH_A_BODY, strict=True):
            response = link.getresponse()
            assert response.status == 408
            received = Received(response.status, response.headers, response.read())
            DESCRIPTION.check(GOOD[operation].method, GOOD[operation].path, received)
