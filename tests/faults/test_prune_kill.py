"""kill -9 of ``runsink prune``, and of the server beside it: what should stay stays, and what was pruned stays away."""

import http.client
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Event, Lock
from typing import Any, Final

import attrs
import pytest

from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.figures import Figures, Scale
from tests.launcher import Command
from tests.postgres import WITH_POSTGRES
from tests.servers import RUNSINK, Api, Finish, Serve, own_environment

CLIENTS: Final = 2
BATCH: Final = 50
MINUTE_RUNS: Final = 1500
"""The runs of each minute that are there before it is pruned: several slices."""

Sent = dict[str, Any]


def at(minute: int, second: int = 0) -> str:
    """Return an instant as it is sent and shown."""
    return f"2026-01-31T{minute // 60:02}:{minute % 60:02}:{second:02}Z"


@attrs.define
class Ledger:
    """What was sent, and what of it was acknowledged, by key. Thread-safe."""

    random: Random
    sent: dict[str, Sent] = attrs.field(factory=dict)
    acknowledged: set[str] = attrs.field(factory=set)
    _lock: Lock = attrs.field(factory=Lock)

    def next_batch(self, size: int, first_minute: int, last_minute: int) -> list[Sent]:
        """Return new runs that start within these minutes."""
        with self._lock:
            number = len(self.sent)
            batch = [
                {
                    "event_id": f"e-{number + place}",
                    "run_id": f"r-{(number + place) % 50}",
                    "agent_name": f"agent-{(number + place) % 5}",
                    "job_type": f"job-{self.random.randrange(3)}",
                    "start_time": at(self.random.randint(first_minute, last_minute), self.random.randrange(60)),
                }
                for place in range(size)
            ]
            self.sent.update({run["event_id"]: run for run in batch})
            return batch

    def note(self, batch: list[Sent], failed: set[str]) -> None:
        """Note what a response acknowledged."""
        with self._lock:
            self.acknowledged |= {run["event_id"] for run in batch} - failed


@attrs.define
class Siege:
    """One store under prunes and servers that are killed."""

    db: str
    serve: Serve
    finish: Finish
    folder: Path
    ledger: Ledger
    amiss: "Counter[str]" = attrs.field(factory=Counter)
    minute: int = 0

    def cycle(self, *, with_server: bool) -> None:
        """Prune one more minute beside clients; kill the prune, and maybe the server; finish it, and check."""
        with self.serve("--port", "0", "--db", self.db) as served:
            _upload(served.api, self.ledger, self.ledger.next_batch(MINUTE_RUNS, self.minute, self.minute))
            self.minute += 1
            with self._load(served.api), self._pruning() as prune:
                time.sleep(self.ledger.random.uniform(0, 0.5))
                if with_server:
                    served.process.kill()
                prune.kill()
                prune.wait()
            if with_server:
                assert served.process.wait() == -signal.SIGKILL
        self._check_derived()
        with self.serve("--port", "0", "--db", self.db) as served, self._load(served.api):
            done = self.finish("prune", "--before", at(self.minute), "--yes", "--db", self.db)
            assert (done.returncode, done.stderr) == (0, "")
        with self.serve("--port", "0", "--db", self.db) as served:
            self._check_runs(served.api)
            self._retry(served.api)
            self._check_runs(served.api)
        self._check_derived()

    @contextmanager
    def _pruning(self) -> Iterator["subprocess.Popen[str]"]:
        arguments = [RUNSINK, "prune", "--before", at(self.minute), "--yes", "--db", self.db]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with Command(arguments, cwd=self.folder, env=own_environment({}), **quiet) as prune:
            yield prune

    @contextmanager
    def _load(self, api: Api) -> Iterator[None]:
        """Run clients that upload old and new runs until the server is killed or the block is left."""
        over = Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._upload_until, over, api) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                over.set()
        for client in clients:
            client.result()

    def _upload_until(self, over: Event, api: Api) -> None:
        with suppress(OSError, http.client.HTTPException):
            while not over.is_set():
                _upload(api, self.ledger, self.ledger.next_batch(BATCH, max(0, self.minute - 2), self.minute + 1))

    def _check_runs(self, api: Api) -> None:
        """Compare what is listed with what was acknowledged."""
        horizon = at(self.minute)
        assert api.request("GET", "/api/v1/limits").body["retention_horizon"] == horizon
        listed = list(_all_keys(api))
        starts = {key: self.ledger.sent[key]["start_time"] for key in listed}
        expected = {key for key in self.ledger.acknowledged if self.ledger.sent[key]["start_time"] >= horizon}
        self.amiss["doubled"] += len(listed) - len(starts)
        self.amiss["lost"] += len(expected - starts.keys())
        self.amiss["came back"] += sum(start < horizon for start in starts.values())

    def _retry(self, api: Api) -> None:
        """Send everything of late and some of the rest again, as clients do that have heard nothing."""
        runs = list(self.ledger.sent.values())
        late = [run for run in runs if run["start_time"] >= at(max(0, self.minute - 2))]
        _upload(api, self.ledger, late + self.ledger.random.sample(runs, 1000), self.minute)

    def _check_derived(self) -> None:
        if self.db.startswith("postgresql"):
            self.amiss["derived tables"] += _wrong_tallies(self.db)
            return
        with looked_into(Path(self.db)) as connection:
            self.amiss["integrity errors"] += len(integrity_errors(connection, thorough=True))
            self.amiss["derived tables"] += len(disagreements(connection))


def _upload(api: Api, ledger: Ledger, batch: list[Sent], minute: int | None = None) -> None:
    """Send a lenient batch; with ``minute``, exactly the runs that start before it must be rejected."""
    for first in range(0, len(batch), 1000):
        part = batch[first : first + 1000]
        answer = api.lenient(part, Prefer="return=minimal")
        assert answer.status in {201, 422, 500}, answer
        failed = {error["event_id"] for error in answer.body["errors"]}
        assert all("before the retention horizon" in error["error"] for error in answer.body["errors"])
        if minute is not None:
            assert failed == {run["event_id"] for run in part if run["start_time"] < at(minute)}
        ledger.note(part, failed)


def _all_keys(api: Api) -> Iterator[str]:
    cursor = ""
    while cursor is not None:
        body = api.find(limit=1000, cursor=cursor).body
        yield from (run["event_id"] for run in body["runs"])
        cursor = body["next_cursor"]


def _wrong_tallies(url: str) -> int:
    """Return in how many names the tallies of a PostgreSQL differ from its runs."""
    import psycopg  # noqa: PLC0415 - not in every environment

    with psycopg.connect(url) as connection:
        tallied = connection.execute("SELECT field, name, sum(runs)::bigint FROM tallies GROUP BY field, name")
        counted = connection.execute(
            "SELECT 'agent_name', agent_name, count(*) FROM runs GROUP BY agent_name "
            "UNION ALL SELECT 'job_type', job_type, count(*) FROM runs GROUP BY job_type"
        )
        return len({row for row in tallied if row[2]} ^ set(counted))


@pytest.fixture(params=["sqlite", *(["postgres"] if WITH_POSTGRES else [])])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a new database of each kind."""
    return str(tmp_path / "runs.db") if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def siege(db: str, serve: Serve, finish: Finish, tmp_path: Path) -> Siege:
    """Return a siege of a new database, with the same random numbers every time."""
    return Siege(db, serve, finish, tmp_path, Ledger(Random(12)))  # noqa: S311 - no secrets


def test_no_kill_loses_a_run_or_brings_one_back(siege: Siege, scale: Scale, figures: Figures) -> None:
    """Prunes and servers that are killed lose no run that should stay, and no pruned run comes back by a retry."""
    cycles = scale(3, 100)
    for number in range(cycles):
        siege.cycle(with_server=number % 2 == 1)
    amiss = ("lost", "came back", "doubled", "integrity errors", "derived tables")
    found = {name.replace(" ", "_"): siege.amiss[name] for name in amiss}
    figures(cycles=cycles, runs=len(siege.ledger.sent), acknowledged=len(siege.ledger.acknowledged), **found)
    assert not +siege.amiss
