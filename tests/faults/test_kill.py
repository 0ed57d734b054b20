"""kill -9 at any time: what was acknowledged is stored, atomic batches are whole, the file is sound."""

import http.client
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from random import Random
from threading import Event

import attrs

from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.faults.ledger import COLUMNS, Batch, Ledger, State, columns, judge
from tests.figures import Figures, Scale
from tests.properties.model import shown
from tests.servers import Api, Serve, Served

CLIENTS = 4
CHECKPOINT_SECONDS = 20
"""How long to wait for a checkpoint, which starts once the load has grown the WAL to 32 MiB."""
THOROUGH_EVERY = 10
"""Starts between two full checks of the file; the others use SQLite's quick one."""


class Moment(StrEnum):
    """What the server is doing when killed."""

    START_UP = "start-up"
    LOAD = "load"
    CHECKPOINT = "checkpoint"
    DRAIN = "drain"


@attrs.define
class Siege:
    """One database under servers that are killed, and what its clients know of it."""

    db: Path
    random: Random
    ledger: Ledger
    amiss: "Counter[str]" = attrs.field(factory=Counter)
    starts: int = 0
    settled: int = 0

    def kill_at(self, served: Served, moment: Moment) -> None:
        """Kill the server at that moment; before that, if possible, check what the last kill left."""
        if moment is Moment.START_UP:
            time.sleep(self.random.uniform(0, 0.8))
        else:
            api = served.api
            self._examine()
            self._settle(api)
            with self._load(api, heavy=moment is Moment.CHECKPOINT):
                self._bring_to(served, moment)
                served.process.kill()
        served.process.kill()
        assert served.process.wait() in {-signal.SIGKILL, 0}

    def conclude(self) -> None:
        """Check the file as the last kill left it, with every batch ever sent to it."""
        with looked_into(self.db) as connection:
            self.amiss["integrity errors"] += len(integrity_errors(connection, thorough=True))
            self.amiss["derived tables"] += len(disagreements(connection))
            rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM runs ORDER BY run_id")
            unseen = {batch.name: batch for batch in self.ledger.batches}
            for name, stored in groupby(rows, key=lambda row: row[1]):
                self.amiss.update(judge(unseen.pop(name), stored))
        for batch in unseen.values():
            self.amiss.update(judge(batch, ()))

    def _examine(self) -> None:
        """Check the file while the new server has it open."""
        self.starts += 1
        thorough = self.starts % THOROUGH_EVERY == 0
        with looked_into(self.db) as connection:
            self.amiss["integrity errors"] += len(integrity_errors(connection, thorough=thorough))
            self.amiss["derived tables"] += len(disagreements(connection)) if thorough else 0

    def _settle(self, api: Api) -> None:
        """Check what was sent since the last time, resend what was not answered, and check that again."""
        fresh = self.ledger.batches[self.settled :]
        self._judge(api, fresh)
        again = [batch for batch in fresh if State.UNANSWERED in {batch.state, batch.patch}]
        for batch in again:
            created = _upload(api, batch)
            self.amiss["half"] += batch.atomic and created not in {0, batch.good}
            if batch.patch is State.UNANSWERED:
                _patch(api, batch)
        self._judge(api, again)
        if self.ledger.batches:
            self.amiss["doubled"] += _upload(api, self.random.choice(self.ledger.batches))
        self.settled = len(self.ledger.batches)

    def _judge(self, api: Api, batches: list[Batch]) -> None:
        for batch in batches:
            body = api.find(run_id=batch.name, limit=1000).body
            assert body["total"] == len(body["runs"])
            self.amiss.update(judge(batch, [columns(shown(run)) for run in body["runs"]]))

    @contextmanager
    def _load(self, api: Api, *, heavy: bool) -> Iterator[None]:
        """Run clients that upload until the server is killed."""
        over = Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._upload_until, over, api, heavy=heavy) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                over.set()
        for client in clients:
            client.result()

    def _upload_until(self, over: Event, api: Api, *, heavy: bool) -> None:
        """Send batch after batch, and change a run of every third."""
        with suppress(OSError, http.client.HTTPException):
            while not over.is_set():
                batch = self.ledger.next_batch(heavy=heavy)
                assert _upload(api, batch) == batch.good
                if batch.number % 3 == 0:
                    _patch(api, batch)

    def _bring_to(self, served: Served, moment: Moment) -> None:
        """Wait for the moment, and return at a random time within it."""
        if moment is Moment.CHECKPOINT:
            self._await_checkpoint()
            time.sleep(self.random.uniform(0, 0.02))
        else:
            time.sleep(self.random.uniform(0, 0.4))
        if moment is Moment.DRAIN:
            served.process.send_signal(signal.SIGTERM)
            time.sleep(self.random.uniform(0, 0.03))

    def _await_checkpoint(self) -> None:
        """Wait until the file itself is written, which only a checkpoint does."""
        before = self.db.stat().st_mtime_ns
        deadline = time.monotonic() + CHECKPOINT_SECONDS
        while self.db.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.0005)


def _upload(api: Api, batch: Batch) -> int:
    """Send the batch and record the acknowledgement; return the number of runs created."""
    preference = {"Prefer": "return=minimal"} if batch.minimal else {}
    answer = api.upload(batch.endpoint, batch.runs(), **preference)
    assert answer.status == (500 if batch.bad else 201), answer
    total, created, existing, failed = answer.counts
    assert (total, created + existing, failed) == (batch.size, batch.good, batch.bad)
    batch.state = State.ACKNOWLEDGED
    return created


def _patch(api: Api, batch: Batch) -> None:
    """Change a run and record the acknowledgement."""
    batch.patch = State.UNANSWERED
    assert api.patch(batch.patched_id, batch.changes).status == 200
    batch.patch = State.ACKNOWLEDGED


def _moments(cycles: int, random: Random) -> list[Moment]:
    """Return equally many of each moment, in random order."""
    moments = list(Moment) * -(-cycles // len(Moment))
    random.shuffle(moments)
    return moments[:cycles]


def _acknowledged(batches: list[Batch]) -> "Counter[str]":
    """Return the number of acknowledged requests and of their runs."""
    taken = [batch for batch in batches if batch.state is State.ACKNOWLEDGED]
    patched = [batch for batch in batches if batch.patch is State.ACKNOWLEDGED]
    return Counter(requests=len(taken) + len(patched), runs=sum(batch.good for batch in taken))


def test_no_kill_loses_or_halves_anything(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """A server killed while starting, working, checkpointing or draining keeps all that it acknowledged."""
    cycles, per_file = scale(20, 1000), scale(10, 50)
    random = Random(cycles)  # noqa: S311 - no secrets
    moments = _moments(cycles, random)
    amiss: Counter[str] = Counter()
    acknowledged: Counter[str] = Counter()
    for first in range(0, cycles, per_file):
        siege = Siege(tmp_path / f"{first}.db", random, Ledger(seed=first))
        for moment in moments[first : first + per_file]:
            with serve("--port", "0", "--db", str(siege.db)) as served:
                siege.kill_at(served, moment)
        siege.conclude()
        amiss += siege.amiss
        acknowledged += _acknowledged(siege.ledger.batches)
        for left in tmp_path.glob(f"{first}.db*"):
            left.unlink()
    kinds = ("lost", "half", "doubled", "strange", "integrity errors", "derived tables")
    found = {kind.replace(" ", "_"): amiss[kind] for kind in kinds}
    figures(cycles=cycles, requests_acknowledged=acknowledged["requests"], runs=acknowledged["runs"], **found)
    assert not amiss
