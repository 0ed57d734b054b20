"""SIGTERM under load: requests in flight are answered, and all others can safely be retried."""

import http.client
import json
import random
import re
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import attrs

from tests.figures import Figures, Scale
from tests.servers import DEADLINE_SECONDS, POST_RUN, Api, MakeRun, Serve, Served

CLIENTS = 8
RUNS_PER_BATCH = 5

# CPython 3.13.0 prints this for a connection accepted while the listener closes.
CPYTHON_3_13_0 = re.compile(
    r"\A(?:error in a finalizer\n|Exception ignored in: <function _SelectorTransport\.__del__ .*)\Z", re.DOTALL
)


@attrs.define
class Told:
    """What one client was told: the answered batches, the unanswered one, and every status."""

    answered: list[str] = attrs.field(factory=list)
    unanswered: list[str] = attrs.field(factory=list)
    statuses: list[int] = attrs.field(factory=list)


def batch(make_run: MakeRun, name: str) -> Sequence[dict[str, Any]]:
    """Return the runs of the batch of this name, the same each time."""
    return [make_run(event_id=f"{name}/{number}", run_id=name) for number in range(RUNS_PER_BATCH)]


def upload_until_refused(api: Api, make_run: MakeRun, name: str) -> Told:
    """Upload batch after batch, over kept-alive connections, until no connection is accepted."""
    told = Told()
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)
    with closing(connection):
        for number in count():
            key = f"{name}-{number}"
            endpoint = ("batch", "batch-transactional")[number % 2]
            body = json.dumps({"runs": batch(make_run, key)})
            try:
                connection.request("POST", f"/api/v1/runs/{endpoint}", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
            except ConnectionError as error:
                told.unanswered.append(key)
                connection.close()
                if isinstance(error, ConnectionRefusedError):
                    return told
                continue
            # A response that has begun must be completed.
            json.loads(response.read())
            told.statuses.append(response.status)
            told.answered.append(key)
    return told


def end_under_load(served: Served, make_run: MakeRun, name: str, seconds: float) -> Sequence[Told]:
    """Let clients upload, send SIGTERM after a while, and check that the process exits cleanly."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [
            pool.submit(upload_until_refused, served.api, make_run, f"{name}-{client}") for client in range(CLIENTS)
        ]
        time.sleep(seconds)
        served.process.send_signal(signal.SIGTERM)
        status, complaints = served.wait()
        assert status == 0
        assert complaints == "" or CPYTHON_3_13_0.match(complaints), complaints
        return [client.result(DEADLINE_SECONDS) for client in clients]


def test_sigterm_under_load_loses_nothing_and_doubles_nothing(
    serve: Serve, make_run: MakeRun, tmp_path: Path, scale: Scale, figures: Figures
) -> None:
    """No 5xx; every request is answered or its connection closed; what was answered is stored; a retry suffices."""
    cycles = scale(10, 200)
    pauses = random.Random(11)  # noqa: S311 - moments, not secrets
    pending: list[str] = []
    sent: set[str] = set()
    unanswered = 0
    stored_unanswered = 0
    for cycle in range(cycles):
        with serve("--port", "0", "--db", "runs.db") as served:
            for key in pending:
                answer = served.api.atomic(batch(make_run, key))
                assert answer.status == 201
                stored_unanswered += answer.body["existing"] > 0
            told = end_under_load(served, make_run, str(cycle), pauses.uniform(0.02, 0.3))
        assert not list(tmp_path.glob("runs.db-*"))
        assert {status for client in told for status in client.statuses} <= {201}
        pending = [key for client in told for key in client.unanswered]
        sent.update(key for client in told for key in (*client.answered, *client.unanswered))
        unanswered += len(pending)
        answered = {key for client in told for key in client.answered}
        assert answered <= stored_batches(tmp_path / "runs.db")
    with serve("--port", "0", "--db", "runs.db") as served:
        assert all(served.api.atomic(batch(make_run, key)).status == 201 for key in pending)
        assert served.api.find().body["total"] == len(sent) * RUNS_PER_BATCH
    assert stored_batches(tmp_path / "runs.db") == sent
    figures(
        cycles=cycles, requests=len(sent), unanswered=unanswered, of_them_stored=stored_unanswered, lost=0, doubled=0
    )


def stored_batches(path: Path) -> set[str]:
    """Return the batches of which the file holds every run, each once; no batch may be stored in part."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        rows = connection.execute("SELECT run_id, count(*), count(DISTINCT event_id) FROM runs GROUP BY run_id")
        found = {name: (runs, distinct) for name, runs, distinct in rows}
    assert set(found.values()) <= {(RUNS_PER_BATCH, RUNS_PER_BATCH)}
    return set(found)


def test_drain_answers_ready_with_503_and_takes_no_connection(serve: Serve, make_run: MakeRun) -> None:
    """During a request, connected clients get 503 from /ready, and nobody else can connect."""
    body = json.dumps(make_run()).encode()
    head = POST_RUN + b"Content-Length: %d\r\n\r\n" % len(body)
    with serve("--port", "0") as served:
        netloc = urlsplit(served.api.url).netloc
        probes = [http.client.HTTPConnection(netloc, timeout=DEADLINE_SECONDS) for _ in range(200)]
        upload = http.client.HTTPConnection(netloc, timeout=DEADLINE_SECONDS)
        with closing(upload):
            for connection in (upload, *probes):
                connection.connect()
            upload.sock.sendall(head)
            assert ready(probes[0]) == (200, "ready")
            served.process.send_signal(signal.SIGTERM)
            statuses = [ready(probe) for probe in probes]
            assert statuses[-1] == (503, "the server is stopping")
            assert not takes_connections(served.api)
            upload.sock.sendall(body)
            assert upload.sock.recv(12) == b"HTTP/1.1 201"
        for probe in probes:
            probe.close()
        assert served.wait() == (0, "")


def ready(connection: http.client.HTTPConnection) -> tuple[int, str]:
    """Return the status of /ready, and its detail."""
    connection.request("GET", "/ready")
    response = connection.getresponse()
    told = json.loads(response.read())
    return response.status, told.get("status") or told["detail"]


def takes_connections(api: Api) -> bool:
    """Return whether the server accepts a connection."""
    try:
        return api.request("GET", "/health").status == 200
    except ConnectionRefusedError:
        return False


def test_drain_ends_in_time_whatever_clients_do(serve: Serve, make_run: MakeRun) -> None:
    """A body that never ends is aborted at the deadline, and the process exits with 0, without output."""
    with serve("--port", "0", "--drain-seconds", "1") as served:
        assert served.api.create(make_run()).status == 201
        connection = http.client.HTTPConnection(urlsplit(served.api.url).netloc, timeout=DEADLINE_SECONDS)
        with closing(connection):
            connection.connect()
            connection.sock.sendall(POST_RUN + b"Content-Length: 9\r\n\r\n{")
            time.sleep(0.2)
            begun = time.monotonic()
            assert served.end() == (0, "")
            assert time.monotonic() - begun < 8


def test_drain_ends_in_time_when_the_store_is_locked(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """Writes that wait for another process are aborted as well; they were not acknowledged and are not stored."""
    with (
        serve("--port", "0", "--db", "runs.db", "--drain-seconds", "1") as served,
        closing(apsw.Connection(served_path(served, tmp_path))) as other,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        clients = [pool.submit(served.api.create, make_run()) for _ in range(CLIENTS)]
        time.sleep(0.5)
        begun = time.monotonic()
        assert served.end() == (0, "")
        assert time.monotonic() - begun < 8
        assert all(isinstance(client.exception(DEADLINE_SECONDS), ConnectionError) for client in clients)
    with serve("--port", "0", "--db", "runs.db") as served:
        assert served.api.find().body["total"] == 0


def served_path(served: Served, directory: Path) -> str:
    """Return the database, once the server has created it."""
    assert served.first_line
    return str(directory / "runs.db")
