"""The synchronous client against real servers: results and errors as in process, and runs around blocks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from adapters.api_client.retry import RetryPolicy
from adapters.outbox.intake import Queued
from adapters.outbox.queue import OutboxBounds
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    NotABatchError,
    RunNotFoundError,
    RunRefusedError,
    RunsinkError,
    ServerUnreachableError,
)
from core.model.batch import BatchResult
from core.model.run import JsonText, Run, Status
from entrypoints.client import Client
from entrypoints.embedded import RunStore, open_store
from tests.jobs import wait_until
from tests.servers import Api, MakeRun, Serve, Start

NOBODY = "http://127.0.0.1:9"
AT_ONCE = RetryPolicy(seconds=0)


@pytest.fixture
def client(server: Api) -> Iterator[Client]:
    """A client without an outbox."""
    with Client(server.url, retry=AT_ONCE) as opened:
        yield opened


@pytest.fixture
def queueing(server: Api, tmp_path: Path) -> Iterator[Client]:
    """A client with an outbox."""
    with Client(server.url, outbox=tmp_path / "outbox") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """The same in process, over a file of its own."""
    with open_store(tmp_path / "embedded.db") as runs:
        yield runs


def untimed(value: object) -> object:
    """The same without the server's own times."""
    if isinstance(value, Run):
        return [
            getattr(value, field) for field in Run.__slots__ if field not in {"created_at", "updated_at", "__weakref__"}
        ]
    if isinstance(value, BatchResult):
        runs = [untimed(run) for run in value.runs]
        return runs, value.total, value.created, value.existing, value.failed, value.refused, value.conflicts
    return value


def outcome(call: Callable[[], object]) -> object:
    """What a call returned or raised, so that it can be compared."""
    try:
        return untimed(call())
    except RunsinkError as error:
        result = getattr(error, "result", None)
        return type(error), str(error), untimed(result)


def test_a_run_comes_back_as_in_process(client: Client, store: RunStore, make_run: MakeRun) -> None:
    """A run with everything, unknown fields included, reads back as the same value."""
    run = make_run(
        metrics_json={"b": 1.5, "a": [10**30]},
        error_details="a\nb \U0001f600",
        duration_ms=3,
        end_time="2026-01-31T13:00:00.25+01:00",
        colour="red",
    )
    assert outcome(lambda: client.send(run)) == outcome(lambda: store.create(run))
    assert untimed(client.get("launch-1")) == untimed(store.get("launch-1"))
    assert client.get("launch-1").metrics_json == JsonText('{"a":[1000000000000000000000000000000],"b":1.5}')
    assert outcome(lambda: client.send(client.get("launch-1"))) == outcome(lambda: store.get("launch-1"))


def test_batches_as_in_process(client: Client, store: RunStore, make_run: MakeRun) -> None:
    """Lenient and atomic batches, good and bad, have the results and errors that they have in process."""
    good = [make_run(event_id=f"e-{number}", run_id=f"r-{number}") for number in range(3)]
    bad: list[Any] = [make_run(event_id="bad", start_time="2026"), make_run(event_id="worse", agent_name=None), 3]
    other = {**good[0], "agent_name": "another"}
    for runs in ([bad[0], *good], [*good, *bad, other], bad, [], [good[0]] * 1001):
        assert outcome(partial(client.send_batch, runs)) == outcome(partial(store.ingest_lenient, runs))
        assert outcome(partial(client.send_batch, runs, atomic=True)) == outcome(partial(store.ingest_atomic, runs))


def test_changes_and_commits_as_in_process(client: Client, store: RunStore, make_run: MakeRun) -> None:
    """Both change the same, and refuse the same."""
    run = make_run(event_id="e/1 ü")
    client.send(run)
    store.create(run)
    changes: list[dict[str, Any]] = [
        {"status": "failed", "items_failed": 3},
        {"items_failed": None},
        {},
        {"run_id": "x"},
    ]
    for change in changes:
        assert outcome(partial(client.update, "e/1 ü", change)) == outcome(partial(store.update, "e/1 ü", change))
    commits = [{"commit_hash": "abcdef0", "commit_source": "ci"}, {"commit_hash": "x"}, {}]
    for commit in commits:
        assert outcome(partial(client.associate_commit, "e/1 ü", commit)) == outcome(
            partial(store.associate_commit, "e/1 ü", commit)
        )
    assert outcome(lambda: client.update("none", {"status": "failure"})) == outcome(
        lambda: store.update("none", {"status": "failure"})
    )


def test_errors(client: Client) -> None:
    """Every kind of refusal has its error."""
    calls: dict[type[Exception], Callable[[], object]] = {
        RunRefusedError: lambda: client.send({"run_id": "a"}),
        NotABatchError: lambda: client.send_batch([]),
        BatchTooLargeError: lambda: client.send_batch([{}] * 1001),
        EveryRunRefusedError: lambda: client.send_batch([{}]),
        BatchRolledBackError: lambda: client.send_batch([{}], atomic=True),
        InvalidChangesError: lambda: client.update("a", {"event_id": "b"}),
        InvalidCommitError: lambda: client.associate_commit("a", {}),
        InvalidQueryError: lambda: client.list(colour="red"),
        RunNotFoundError: lambda: client.get("nothing"),
    }
    for error, call in calls.items():
        with pytest.raises(error):
            call()
    with pytest.raises(InvalidQueryError):
        client.list(limit=0)


def test_lists(client: Client, make_run: MakeRun) -> None:
    """Filters and cursors are those of the API."""
    client.send_batch([make_run(event_id=f"e-{n}", run_id=f"r-{n}", status="failed") for n in range(5)])
    first = client.list(status="failure", limit=3, start_time_from=datetime(2026, 1, 1, tzinfo=UTC))
    rest = client.list(status="failure", cursor=first.next_cursor)
    assert (first.total, rest.total, rest.next_cursor) == (5, None, None)
    assert [run.event_id for run in (*first.runs, *rest.runs)] == ["e-4", "e-3", "e-2", "e-1", "e-0"]
    assert client.list(counted=False).total is None
    assert client.list(agent_name="nobody").runs == ()


def test_an_event_id_is_made_up(client: Client, make_run: MakeRun) -> None:
    """A run without a key gets one, and a time may be a datetime."""
    run = make_run(start_time=datetime(2026, 1, 31, 12, tzinfo=UTC))
    del run["event_id"]
    sent = client.send(run)
    assert isinstance(sent, Run)
    assert len(sent.event_id) == 36
    assert sent.start_time == "2026-01-31T12:00:00.000000Z"


def test_nobody_there() -> None:
    """Without an outbox an unreachable server is an error, after as many attempts as there is time for."""
    with Client(NOBODY, retry=RetryPolicy(seconds=0.2, first_delay=0.05)) as client:
        began = time.monotonic()
        with pytest.raises(ServerUnreachableError):
            client.get("a")
    assert time.monotonic() - began >= 0.2


def test_an_outbox_delivers(queueing: Client, server: Api, make_run: MakeRun) -> None:
    """Creations, changes and commits arrive, in order."""
    queueing.send(make_run(event_id="e-1"))
    queueing.update("e-1", {"status": "failure"})
    queueing.update("e-1", {"status": "success"})
    queueing.associate_commit("e-1", {"commit_hash": "abcdef0", "commit_source": "ci"})
    queueing.send_batch([make_run(event_id="e-2"), make_run(event_id="e-3")], atomic=True)
    queueing.update("e-3", {"items_failed": 2})
    assert queueing.flush(20).complete
    assert [server.stored("e-1")[name] for name in ("status", "commit_hash")] == ["success", "abcdef0"]
    assert server.stored("e-3")["items_failed"] == 2


def test_an_outbox_waits_for_the_server(serve: Serve, tmp_path: Path, make_run: MakeRun) -> None:
    """Calls succeed while nobody listens; another client delivers them later."""
    with Client(NOBODY, outbox=tmp_path / "outbox") as client:
        client.send(make_run(event_id="e-1"))
        wait_until(lambda: client.flush(0.1).obstacle)
        left = client.close(0.1)
    assert left.undelivered == 1
    assert left.obstacle is not None
    assert NOBODY in left.obstacle
    with serve("--port", "0") as served, Client(served.api.url, outbox=tmp_path / "outbox") as client:
        assert client.flush(20).complete
        assert served.api.stored("e-1")["run_id"] == "launch-1"


def test_what_the_server_refuses_is_set_aside(queueing: Client, server: Api, make_run: MakeRun) -> None:
    """A change of a run that nobody knows is reported, and holds up nothing."""
    queueing.update("nothing", {"status": "success"})
    queueing.send(make_run(event_id="e-1"))
    left = queueing.flush(20)
    assert (left.undelivered, left.rejected, left.refused) == (0, 1, 0)
    assert [(one.event_id, one.error) for one in left.rejections] == [("nothing", "404 Run not found: nothing")]
    assert server.stored("e-1")


def test_what_cannot_be_queued_disturbs_nobody(
    queueing: Client, caplog: pytest.LogCaptureFixture, make_run: MakeRun
) -> None:
    """Nonsense is logged and counted."""
    queueing.send({"run_id": "a"})
    queueing.send_batch([make_run(), {}])
    queueing.send_batch([make_run(), {}], atomic=True)
    queueing.update("a", {"colour": "red"})
    queueing.send(None)  # type: ignore[arg-type]
    assert queueing.flush(20).refused == 5
    assert "agent_name is required" in caplog.text


def test_errors_of_an_outbox_on_request(server: Api, tmp_path: Path) -> None:
    """With ``raise_errors`` the caller is told."""
    with (
        Client(server.url, outbox=tmp_path / "outbox", raise_errors=True) as client,
        pytest.raises(RunRefusedError),
    ):
        client.send({})


def test_a_full_outbox_keeps_what_it_has(tmp_path: Path, make_run: MakeRun, caplog: pytest.LogCaptureFixture) -> None:
    """What finds no room is refused and counted; what waits is kept."""
    bounds = OutboxBounds(max_entries=2)
    with Client(NOBODY, outbox=tmp_path / "outbox", outbox_bounds=bounds) as client:
        sent = [client.send(make_run(event_id=f"e-{number}")) for number in range(3)]
        assert sent == [Queued(("e-0",)), Queued(("e-1",)), Queued()]
        left = client.close(0)
    assert (left.undelivered, left.refused, left.complete) == (2, 1, False)
    assert "takes no more than 2" in caplog.text


def test_a_block_is_a_run(client: Client) -> None:
    """It is there while it runs, and has its end and duration afterwards."""
    with client.run(agent_name="planner", job_type="plan", run_id="r", product="p") as run:
        assert client.get("r").status is Status.RUNNING
        run.update(items_succeeded=3)
        run.associate_commit("abcdef0", commit_author="somebody")
        time.sleep(0.02)
    ended = client.get("r")
    assert (ended.event_id, ended.status, ended.items_succeeded) == (run.event_id, Status.SUCCESS, 3)
    assert (ended.commit_hash, ended.product) == ("abcdef0", "p")
    assert ended.duration_ms is not None
    assert ended.duration_ms >= 20
    assert ended.end_time is not None
    assert ended.end_time > ended.start_time


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no \0 \ud800" + "x" * 1000), Status.FAILURE),
        (KeyboardInterrupt(), Status.CANCELLED),
        (SystemExit(0), Status.SUCCESS),
        (SystemExit(2), Status.FAILURE),
    ],
)
def test_a_block_that_fails(client: Client, error: BaseException, status: Status) -> None:
    """The error goes on to the caller, and the run says what it was."""

    def fail() -> None:
        with client.run(agent_name="planner", job_type="plan", run_id="r"):
            raise error

    with pytest.raises(type(error)):
        fail()
    ended = client.get("r")
    assert ended.status is status
    if status is Status.FAILURE:
        assert ended.error_summary is not None
        assert ended.error_summary.startswith(type(error).__name__)
        assert ended.error_details is not None
        assert "in fail" in ended.error_details


def test_a_status_of_its_own_stays(client: Client) -> None:
    """A block that says how it ended is believed."""
    with client.run(agent_name="planner", job_type="plan", run_id="r") as run:
        run.update(status="partial")
    assert client.get("r").status is Status.PARTIAL


def test_an_error_of_the_block_matters_more(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """When the end cannot be reported the caller still sees the error of the block."""
    with Client(NOBODY, retry=AT_ONCE) as client, pytest.raises(ServerUnreachableError):
        client.run(agent_name="a", job_type="b").__enter__()
    with start() as server, Client(server.url, retry=AT_ONCE) as client:
        block = client.run(agent_name="a", job_type="b")
        block.__enter__()
        client.close()
    error = LookupError()
    block.__exit__(LookupError, error, None)
    assert "was not reported" in caplog.text
    with pytest.raises(ServerUnreachableError):
        block.__exit__(None, None, None)


def test_parents(queueing: Client, server: Api) -> None:
    """Blocks nest, also in threads that were told, and siblings do not see each other."""
    with queueing.run(agent_name="a", job_type="b", run_id="outer") as outer:

        def work(number: int) -> None:
            with (
                queueing.run(agent_name="a", job_type="b", run_id=f"middle-{number}"),
                queueing.run(agent_name="a", job_type="b", run_id=f"inner-{number}"),
            ):
                time.sleep(0.001)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(outer.bind(work), range(20)))
        thread = Thread(target=outer.bind(work), args=(20,))
        thread.start()
        thread.join()
        stranger = Thread(target=work, args=(21,))
        stranger.start()
        stranger.join()
    with queueing.run(agent_name="a", job_type="b", run_id="after"):
        pass
    assert queueing.flush(30).complete
    parents = {run["run_id"]: run["parent_run_id"] for run in server.find(limit=1000).body["runs"]}
    assert parents == {
        "outer": None,
        "after": None,
        **{f"middle-{number}": "outer" for number in range(21)},
        "middle-21": None,
        **{f"inner-{number}": f"middle-{number}" for number in range(22)},
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_after_a_fork(serve: Serve, tmp_path: Path) -> None:
    """Parent and child go on with the same client, with and without an outbox."""
    script = """
import os, sys
from runsink import Client
url, outbox = sys.argv[1:]
run = dict(run_id="r", agent_name="a", job_type="b", start_time="2026-01-31T12:00:00Z")
with Client(url) as direct, Client(url, outbox=outbox) as queueing:
    for number in range(20):
        direct.send({**run, "event_id": f"direct-before-{number}"})
        queueing.send({**run, "event_id": f"queued-before-{number}"})
        child = os.fork()
        if child == 0:
            direct.send({**run, "event_id": f"direct-child-{number}"})
            queueing.send({**run, "event_id": f"queued-child-{number}"})
            os._exit(0 if queueing.flush(20).undelivered == 0 else 3)
        direct.send({**run, "event_id": f"direct-after-{number}"})
        queueing.send({**run, "event_id": f"queued-after-{number}"})
        assert os.waitpid(child, 0)[1] == 0
    sys.exit(0 if queueing.flush(20).complete else 4)
"""
    with serve("--port", "0") as served:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, served.api.url, str(tmp_path / "outbox")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert served.api.find(limit=1).body["total"] == 120


def test_importing_is_cheap() -> None:
    """Opening a store loads no client, and a client loads neither aiohttp nor a server."""
    script = """
import sys
from runsink import open_store
assert "entrypoints.client" not in sys.modules and "aiohttp" not in sys.modules
from runsink import Client
assert "aiohttp" not in sys.modules and "aiohttp.web" not in sys.modules
from runsink import AsyncClient
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_closing_twice(server: Api, tmp_path: Path, make_run: MakeRun) -> None:
    """A client that is closed stays closed, and refuses without an exception when it has an outbox."""
    client = Client(server.url, outbox=tmp_path / "outbox")
    assert client.close() == client.close()
    assert client.send(make_run()) == Queued()
    assert server.find().body["total"] == 0
