"""``/metrics``: what happened is counted once, where it belongs, and a scrape waits for nobody."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest

from adapters.memory import MemoryStore
from adapters.prometheus import Exposition, Metrics
from core.errors import StoreDamagedError
from core.model.store_figures import StoreFigures
from entrypoints.http.api import metrics as metrics_module
from entrypoints.http.api.metrics import MetricsResource
from entrypoints.http.pressure.worker_pool import WorkerPool
from entrypoints.http.rejections import Reason
from tests.jobs import lines, wait_until
from tests.metrics import OPENMETRICS, Scraped, scrape
from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Serve, Start

NDJSON = {"Content-Type": "application/x-ndjson"}


def outcomes(scraped: Scraped, endpoint: str) -> tuple[float, ...]:
    """Return the runs created, existing and failed."""
    names = ("created", "existing", "failed")
    return tuple(scraped.value("runsink_runs_total", endpoint=endpoint, outcome=name) for name in names)


def requests(scraped: Scraped, method: str, route: str, status: int) -> float:
    """Return the number of requests to a route with a status."""
    labels = {"method": method, "route": route, "status": str(status)}
    return scraped.samples.get(("runsink_http_request_duration_seconds_count", frozenset(labels.items())), 0)


def rejections(scraped: Scraped) -> dict[str, float]:
    """Return the rejections by reason, without those that did not happen."""
    reasons = scraped.values_of("runsink_rejections_total", "reason")
    assert reasons == set(Reason)
    counted = {reason: scraped.value("runsink_rejections_total", reason=reason) for reason in reasons}
    return {reason: number for reason, number in counted.items() if number}


def test_runs_are_counted_by_endpoint_and_outcome(server: Api, make_run: MakeRun) -> None:
    """Each run of an upload counts once, in batches that are rejected as well."""
    good, bad = make_run(), make_run(agent_name=None)
    server.lenient([good, bad])
    server.lenient([bad])
    server.atomic([good, make_run()])
    server.atomic([make_run(), bad])
    server.create(good)
    server.create(make_run())
    server.create(bad)
    scraped = scrape(server.url)
    assert outcomes(scraped, "lenient") == (1, 0, 2)
    assert outcomes(scraped, "atomic") == (1, 1, 2)
    assert outcomes(scraped, "single") == (1, 1, 1)
    assert scraped.value("runsink_batch_runs_count", endpoint="lenient") == 2
    assert scraped.value("runsink_batch_runs_sum", endpoint="atomic") == 4
    assert scraped.value("runsink_commit_duration_seconds_count") >= 4


def test_a_run_that_is_there_twice_at_once_is_created_once(server: Api, make_run: MakeRun) -> None:
    """Sending the same run again counts as existing, also when it was changed meanwhile."""
    run = make_run()
    server.create(run)
    server.patch(run["event_id"], {"status": "success"})
    server.create(run)
    assert outcomes(scrape(server.url), "single") == (1, 1, 0)


def test_runs_of_streams_and_jobs_are_counted(server: Api, make_run: MakeRun) -> None:
    """Every chunk counts what it added, also of a stream that ends early."""
    runs = [make_run() for _ in range(2500)]
    body = lines([*runs, {"no": "run"}, runs[0]])
    assert server.request("POST", "/api/v1/runs/stream", body, NDJSON).status == 200
    assert server.request("POST", "/api/v1/runs/stream", lines([make_run()]) + b"\xff\n", NDJSON).status == 400
    assert outcomes(scrape(server.url), "stream") == (2501, 1, 1)
    answer = server.request("POST", "/api/v1/runs/stream", body, {**NDJSON, "Prefer": "respond-async"})
    path = f"/api/v1/jobs/{answer.body['job_id']}"
    wait_until(lambda: server.request("GET", path).body["state"] == "succeeded")
    scraped = scrape(server.url)
    assert outcomes(scraped, "job") == (0, 2501, 1)
    assert scraped.value("runsink_jobs", state="succeeded") == 1


def test_requests_are_counted_by_template_and_status(server: Api, make_run: MakeRun) -> None:
    """No path, method or name that a client chose is in any label, and a HEAD is not a GET."""
    run = make_run(run_id="secret-name")
    server.create(run)
    server.request("GET", "/api/v1/runs/secret-name")
    server.request("HEAD", "/api/v1/runs/secret-name")
    server.request("GET", "/api/v1/runs/missing")
    server.request("GET", "/secret-path")
    server.request("PROPFIND", "/health")
    server.request("PUT", "/health")
    server.request("DELETE", "/api/v1/jobs/secret-name")
    scraped = scrape(server.url)
    assert requests(scraped, "POST", "/api/v1/runs", 201) == 1
    assert requests(scraped, "GET", "/api/v1/runs/{run_id}", 200) == 1
    assert requests(scraped, "HEAD", "/api/v1/runs/{run_id}", 200) == 1
    assert requests(scraped, "GET", "/api/v1/runs/{run_id}", 404) == 1
    assert requests(scraped, "GET", "unknown", 404) == 1
    assert requests(scraped, "unknown", "unknown", 405) == 1
    assert requests(scraped, "PUT", "unknown", 405) == 1
    assert requests(scraped, "DELETE", "/api/v1/jobs/{job_id}", 404) == 1
    assert not any("secret" in value.lower() for _, labels in scraped.samples for _, value in labels)


def test_rejections_are_counted_by_reason(start: Start, make_run: MakeRun, tmp_path: Path) -> None:
    """Each rejected request counts once; an invalid one does not."""
    tokens = tmp_path / "tokens"
    tokens.write_text("reader read aaaaaaaaaaaaaaaaaaaa\nwriter write bbbbbbbbbbbbbbbbbbbb\n")
    tokens.chmod(0o600)
    reading = {"Authorization": "Bearer aaaaaaaaaaaaaaaaaaaa"}
    writing = {"Authorization": "Bearer bbbbbbbbbbbbbbbbbbbb"}
    with start(token_file=tokens, rate_runs="3/day") as api:
        api.lenient([make_run()])
        api.lenient([make_run()], **reading)
        api.lenient([make_run()], **writing, Origin="http://evil.example")
        api.lenient([make_run(agent_name=1)], **writing)
        api.lenient([make_run()] * 3, **writing)
        scraped = scrape(api.url, **reading)
    assert rejections(scraped) == {"token": 1, "scope": 1, "origin": 1, "rate_limit": 1}


def test_both_formats_say_the_same(server: Api, make_run: MakeRun) -> None:
    """OpenMetrics has the same names and types as the text format."""
    server.create(make_run())
    plain, other = scrape(server.url), scrape(server.url, OPENMETRICS)
    assert plain.kinds == other.kinds
    assert plain.labels.keys() == other.labels.keys()
    assert outcomes(plain, "single") == outcomes(other, "single")


@pytest.mark.parametrize("option", [(), ("--metrics-port", "0")])
def test_a_token_with_the_scope_read_is_required_where_there_are_tokens(serve: Serve, option: tuple[str, ...]) -> None:
    """That holds on a separate port as well."""
    with serve("--port", "0", *option, RUNSINK_TOKENS="reader read aaaaaaaaaaaaaaaaaaaa") as served:
        url = served.first_line.split("metrics on ")[1].strip() if option else f"{served.api.url}/metrics"
        api = Api(url.removesuffix("/metrics"))
        assert api.request("GET", "/metrics").status == 401
        assert scrape(url, Authorization="Bearer aaaaaaaaaaaaaaaaaaaa").value("runsink_store_up") == 1


def test_a_separate_port_has_the_metrics_and_nothing_else(serve: Serve, make_run: MakeRun) -> None:
    """The main port has none then, and what happened there is shown; other hosts are not trusted there either."""
    with serve("--port", "0", "--metrics-port", "0", "--max-connections", "1") as served:
        url = served.first_line.split("metrics on ")[1].strip()
        apart = Api(url.removesuffix("/metrics"))
        served.api.create(make_run())
        assert served.api.request("GET", "/metrics").status == 404
        for path in ("/health", "/api/v1/runs", "/api/v1/limits"):
            # The document is that of the other port.
            with closing(HTTPConnection(urlsplit(url).netloc, timeout=DEADLINE_SECONDS)) as connection:
                connection.request("GET", path)
                assert connection.getresponse().status == 404
        assert apart.request("GET", "/metrics", headers={"Host": "evil.example"}).status == 421
        address = (urlsplit(served.api.url).hostname, urlsplit(served.api.url).port)
        with closing(socket.create_connection(address, timeout=DEADLINE_SECONDS)) as only:
            only.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert only.recv(65_536).startswith(b"HTTP/1.1 200")
            assert served.api.request("GET", "/health").status == 503
            scraped = scrape(url)
        assert scraped.value("runsink_connections_limit") == scraped.value("runsink_connections") == 1
        assert outcomes(scraped, "single") == (1, 0, 0)
        assert rejections(scraped) == {"connections": 1, "host": 1}


def test_a_port_in_use_is_named(serve: Serve) -> None:
    """The message says which of the two ports is taken."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        with serve("--port", "0", "--metrics-port", port) as served:
            _, complaints = served.process.communicate(timeout=DEADLINE_SECONDS)
            assert f"cannot listen on 127.0.0.1 port {port}" in complaints
            assert served.process.returncode == 1


class _StubbornStore(MemoryStore):
    """A store that is measured as a function says."""

    def __init__(self, measure: Callable[[], StoreFigures]) -> None:
        super().__init__()
        self.measure_as = measure

    def measure(self) -> StoreFigures:
        return self.measure_as()


def test_a_store_that_hangs_or_fails_delays_a_scrape_only_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured by one call at a time, its last figures are shown, and it is back as soon as it responds."""
    monkeypatch.setattr(metrics_module, "MEASURE_SECONDS", 0.05)
    good = MemoryStore().measure()
    released, calls = Event(), []

    def hang() -> StoreFigures:
        calls.append("hang")
        assert released.wait(DEADLINE_SECONDS)
        return good

    def fail() -> StoreFigures:
        raise StoreDamagedError("damaged")

    async def watch() -> None:
        store = _StubbornStore(lambda: good)
        pool = WorkerPool("scraping", threads=2, max_waiting=4)
        resource = MetricsResource(Exposition(Metrics("1", Reason)), store, pool)
        assert await resource._measure()  # noqa: SLF001 - what a request does before it renders
        store.measure_as = hang
        for _ in range(5):
            assert not await resource._measure()  # noqa: SLF001
        assert calls == ["hang"]
        assert resource._figures == good  # noqa: SLF001
        released.set()
        store.measure_as = fail
        monkeypatch.setattr(metrics_module, "MEASURE_SECONDS", DEADLINE_SECONDS)
        while await resource._measure():  # noqa: SLF001 - the one that hung ends well
            pass
        store.measure_as = lambda: good
        assert await resource._measure()  # noqa: SLF001
        pool.close(1)

    asyncio.run(watch())


def test_a_store_in_process_does_not_import_the_metrics() -> None:
    """Programs that embed a store pay nothing for metrics."""
    program = "import sys; from runsink import open_store; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
