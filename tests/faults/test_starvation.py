"""Clients that do not read, and long reads: memory is bounded, and uploads and shutdown do not wait."""

import http.client
import json
import re
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest

from adapters.sqlite import SqliteStore
from tests.faults.memory import resident_bytes
from tests.figures import Figures, Scale
from tests.jobs import wait_until
from tests.servers import DEADLINE_SECONDS, POST_RUN, Api, MakeRun, Serve, Served

MIB = 1024 * 1024
ALLOWED_BYTES = 200 * MIB

LARGE_RUNS = 500_000

NAMES = 40
JSON = {"Content-Type": "application/json"}
COUNTS = ("duration_ms", "items_discovered", "items_succeeded", "items_failed", "items_skipped")

LATE = 8.0
"""How much longer than ``drain-seconds`` shutdown may take on a busy machine, in seconds. The clients never end."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in /proc")


def request_line(path: str, accept: str = "identity") -> bytes:
    """Return a complete request for this path, with this Accept-Encoding."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {accept}\r\n\r\n".encode()


@contextmanager
def silent_clients(api: Api, requests: Sequence[bytes]) -> Iterator[Sequence[socket.socket]]:
    """Clients that send one request each and never read."""
    address = urlsplit(api.url)
    with ExitStack() as stack:
        clients = []
        for request in requests:
            client = stack.enter_context(socket.socket())
            # A small window keeps the response in the server.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((address.hostname, address.port))
            client.sendall(request)
            clients.append(client)
        yield clients


def store_large_runs(api: Api, make_run: MakeRun, number: int) -> list[str]:
    """Store runs of 620 kB each; return their keys."""
    keys = []
    for _ in range(number // 10):
        batch = [make_run(input_summary="x" * 310_000, output_summary="y" * 310_000) for _ in range(10)]
        assert api.lenient(batch, Prefer="return=minimal").status == 201
        keys += [run["event_id"] for run in batch]
    return keys


def peak_growth(served: Served, before: int) -> int:
    """Return by how much the server grows, once it has not grown for a second."""
    most = grown_at = 0.0
    begun = now = time.monotonic()
    while now - max(begun + 0.5, grown_at) < 1:
        grown = resident_bytes(served.process.pid) - before
        if grown > most:
            most, grown_at = grown, now
        time.sleep(0.05)
        now = time.monotonic()
    return int(most)


@pytest.mark.parametrize("accept", ["identity", "gzip", "zstd"])
def test_unread_pages_are_bounded(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures, accept: str) -> None:
    """Clients that request pages of 62 MB and never read them: memory is bounded, and others are served soon."""
    clients = scale(200, 900)
    page = request_line("/api/v1/runs?limit=100").replace(
        b"\r\n\r\n", f"\r\nAccept-Encoding: {accept}\r\n\r\n".encode()
    )
    with serve("--port", "0") as served:
        store_large_runs(served.api, make_run, 100)
        before = resident_bytes(served.process.pid)
        with silent_clients(served.api, [page] * clients):
            grown = peak_growth(served, before)
            assert served.api.create(make_run()).status == 201
            waited = wait_for_a_page(served.api)
    assert grown < ALLOWED_BYTES
    figures(
        clients=clients, coding=accept or "none", memory_grown_by=f"{grown >> 20} MiB", page_after=f"{waited:.1f} s"
    )


def wait_for_a_page(api: Api) -> float:
    """Request a page, retrying as a rejected client should, and read it; return the seconds it took."""
    begun = time.monotonic()
    while (answer := api.find(limit=10)).status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
        assert time.monotonic() - begun < DEADLINE_SECONDS
        time.sleep(0.2)
    assert len(answer.body["runs"]) == 10
    return time.monotonic() - begun


def test_unread_replays_are_bounded(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures) -> None:
    """Small batches that ask for large stored runs, unread: rejected for lack of room, and little of them is kept."""
    clients = scale(200, 900)
    with serve("--port", "0") as served:
        keys = store_large_runs(served.api, make_run, 100)
        body = json.dumps({"runs": [make_run(event_id=key) for key in keys]}).encode()
        replay = POST_RUN.replace(b" HTTP", b"/batch HTTP") + b"Content-Length: %d\r\n\r\n" % len(body) + body
        before = resident_bytes(served.process.pid)
        with silent_clients(served.api, [replay] * clients):
            grown = peak_growth(served, before)
            run = make_run()
            while (answer := served.api.create(run)).status == 503:
                time.sleep(0.2)
            assert answer.status == 201
    assert grown < 100 * MIB
    figures(clients=clients, memory_grown_by=f"{grown >> 20} MiB")


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_unread_runs_are_bounded(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures, method: str) -> None:
    """A single large run, asked back with every request and never read: memory stays."""
    clients = scale(200, 900)
    text = "x" * 500_000
    run = make_run(input_summary=text, output_summary=text, error_details=text)
    heads = {
        "GET": (f"GET /api/v1/runs/{run['run_id']}", b""),
        "PATCH": (f"PATCH /api/v1/runs/{run['event_id']}", b'{"duration_ms":5}'),
        "POST": ("POST /api/v1/runs", json.dumps(make_run(event_id=run["event_id"])).encode()),
    }
    target, body = heads[method]
    head = f"{target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with serve("--port", "0") as served:
        assert served.api.create(run).status == 201
        before = resident_bytes(served.process.pid)
        with silent_clients(served.api, [head.encode() + b"\r\n\r\n" + body] * clients):
            grown = peak_growth(served, before)
    assert grown < ALLOWED_BYTES
    figures(clients=clients, method=method, memory_grown_by=f"{grown >> 20} MiB")


def test_unread_metadata_is_bounded(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures) -> None:
    """Long names make no long response: it has a part of them, and the next parts the rest."""
    clients = scale(200, 900)
    with serve("--port", "0") as served:
        names = [f"{number:03}{'n' * 500_000}" for number in range(NAMES)]
        for start in range(0, NAMES, 10):
            batch = [make_run(agent_name=name, job_type=name) for name in names[start : start + 10]]
            assert served.api.lenient(batch, Prefer="return=minimal").status == 201
        before = resident_bytes(served.process.pid)
        with silent_clients(served.api, [request_line("/api/v1/metadata")] * clients):
            grown = peak_growth(served, before)
        found, path = [], "/api/v1/metadata"
        while True:
            while (answer := served.api.request("GET", path)).status == 503:
                time.sleep(0.2)
            part = answer.body
            found += part["agent_names"]
            if part["next_cursor"] is None:
                break
            path = f"/api/v1/metadata?cursor={part['next_cursor']}"
        assert found == names
        assert part["counts"] == {"agent_names": NAMES, "job_types": NAMES}
    assert grown < ALLOWED_BYTES
    figures(clients=clients, memory_grown_by=f"{grown >> 20} MiB")


def test_unread_errors_are_bounded(serve: Serve, scale: Scale, figures: Figures) -> None:
    """Errors that repeat long ids come to many times the body: they count against the room as well."""
    clients = scale(50, 200)
    texts = ("product", "platform", "subdomain", "website", "item_name", "git_repo", "git_branch", "input_summary")
    bad = {"event_id": "\x01" * 250, "run_id": "\x01" * 250, **{name: [] for name in (*texts, *COUNTS)}}
    body = json.dumps({"runs": [bad] * 400}).encode()
    upload = POST_RUN.replace(b" HTTP", b"/batch HTTP") + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serve("--port", "0") as served:
        assert len(served.api.request("POST", "/api/v1/runs/batch", body, JSON).body["errors"]) == 400 * (
            3 + len(texts) + len(COUNTS)
        )
        before = resident_bytes(served.process.pid)
        with silent_clients(served.api, [upload] * clients):
            grown = peak_growth(served, before)
    assert grown < ALLOWED_BYTES
    figures(clients=clients, memory_grown_by=f"{grown >> 20} MiB")


SLOW_READ = "/api/v1/runs?status=success&product=nothing"
"""Scans the whole index twice and finds nothing: for the page and for the total."""

_ROWS = """
WITH RECURSIVE numbers (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < ?)
INSERT INTO runs (
    arrival, event_id, run_id, agent_name, job_type, start_time, created_at, updated_at, status, product
)
SELECT value, 'e' || value, 'r' || value, 'a', 'j', printf('2026-01-01T00:00:00.%06dZ', value % 1000000),
    '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', 'success', 'p' || value
FROM numbers
"""


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with so many runs that reading all of them takes some hundred milliseconds."""
    path = tmp_path_factory.mktemp("large") / "runs.db"
    SqliteStore(path).close()
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("synchronous", "OFF")
        connection.execute(_ROWS, (LARGE_RUNS,))
    return path


@contextmanager
def slow_readers(api: Api, number: int) -> Iterator[Sequence[socket.socket]]:
    """Run this many clients with slow reads for the duration of the block, as far as they are admitted."""
    with silent_clients(api, [request_line(SLOW_READ) * 16] * number) as clients:
        # Until those beyond the queue are rejected.
        time.sleep(1)
        yield clients


def upload_seconds(api: Api, make_run: MakeRun, times: int) -> float:
    """Return the median time of an upload of some hundred kilobytes, in seconds."""
    seconds = []
    for _ in range(times):
        batch = [make_run(input_summary="x" * 700) for _ in range(500)]
        begun = time.monotonic()
        assert api.lenient(batch, Prefer="return=minimal").status == 201
        seconds.append(time.monotonic() - begun)
    return statistics.median(seconds)


def test_slow_reads_do_not_delay_an_upload(
    serve: Serve, make_run: MakeRun, large_store: Path, scale: Scale, figures: Figures
) -> None:
    """Behind 200 slow reads an upload takes little longer than alone, and reads beyond the queue get 503."""
    times = scale(9, 31)
    with serve("--port", "0", "--db", str(large_store)) as served:
        alone = upload_seconds(served.api, make_run, times)
        with slow_readers(served.api, 200) as readers:
            beside = upload_seconds(served.api, make_run, times)
            assert served.api.request("GET", "/health").status == 200
            refused = sum(reader.recv(12) == b"HTTP/1.1 503" for reader in readers[100:])
        # The reads of disconnected clients were cancelled.
        while (answer := served.api.find(limit=1)).status == 503:
            time.sleep(0.05)
        assert answer.status == 200
        # Other work may have come to the machine meanwhile.
        alone = max(alone, upload_seconds(served.api, make_run, times))
    assert beside <= scale(10, 3) * alone
    assert refused > 0
    figures(slow_readers=200, refused=refused, upload_alone=f"{alone * 1000:.0f} ms", beside=f"{beside * 1000:.0f} ms")


def test_stopping_keeps_its_time_whatever_is_in_flight(
    serve: Serve, make_run: MakeRun, large_store: Path, scale: Scale, figures: Figures
) -> None:
    """Slow reads, unread pages and endless bodies: SIGTERM stops the server with 0 within its time."""
    drain_seconds = scale(1, 3)
    body = POST_RUN + b"Content-Length: 9\r\n\r\n{"
    with serve("--port", "0", "--db", str(large_store), "--drain-seconds", str(drain_seconds)) as served:
        store_large_runs(served.api, make_run, 100)
        page = request_line("/api/v1/runs?limit=100")
        with (
            silent_clients(served.api, [page] * 20),
            silent_clients(served.api, [body] * 20),
            slow_readers(served.api, 100),
        ):
            begun = time.monotonic()
            status, _ = served.end()
            took = time.monotonic() - begun
    assert status == 0
    assert took <= drain_seconds + LATE
    figures(drain_seconds=drain_seconds, took=f"{took:.1f} s")


def test_clients_that_leave_while_a_tree_is_read_keep_no_room(
    serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """At whatever moment they leave: in the end no byte of a response counts as in flight."""
    clients = scale(40, 400)
    with serve("--port", "0") as served:
        runs = [make_run(run_id="launch")]
        runs += [make_run(run_id=f"child-{number}", parent_run_id="launch") for number in range(2000)]
        for first in range(0, len(runs), 1000):
            assert served.api.lenient(runs[first : first + 1000], Prefer="return=minimal").status == 201
        path = "/api/v1/runs/launch/tree"
        begun = time.monotonic()
        with closing(http.client.HTTPConnection(urlsplit(served.api.url).netloc, timeout=DEADLINE_SECONDS)) as client:
            # Without ``request``, which holds a response against the OpenAPI document: it would take seconds.
            client.request("GET", path)
            assert len(client.getresponse().read()) > MIB
        took = time.monotonic() - begun
        for number in range(clients):
            with silent_clients(served.api, [request_line(path)]):
                time.sleep(took * 1.2 * number / clients)
        wait_until(lambda: response_bytes_in_flight(served.api) == 0)
    figures(clients=clients, tree=f"{took * 1000:.0f} ms")


def response_bytes_in_flight(api: Api) -> float:
    """Return what the metrics say."""
    text = api.request("GET", "/metrics").body
    found = re.search(r'^runsink_in_flight_bytes\{kind="response"\} (\S+)$', text, re.MULTILINE)
    assert found
    return float(found[1])
