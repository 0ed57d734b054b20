"""kill -9 of a backup and of the server it copies from: the backup is whole, or it is not there."""

import http.client
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from random import Random
from threading import Event, Lock

import attrs

from adapters.sqlite.maintenance import check_file
from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.figures import Figures, Scale
from tests.launcher import Command
from tests.servers import DEADLINE_SECONDS, RUNSINK, Api, MakeRun, Serve, Served, own_environment

CLIENTS = 2
BATCH = 50


class Victim(StrEnum):
    """What is killed while a backup is made."""

    NOBODY = "nobody"
    BACKUP = "backup"
    SERVER = "server"


@attrs.define
class Uploads:
    """What clients sent to one store, and the keys of what was acknowledged."""

    make_run: MakeRun
    acknowledged: set[str] = attrs.field(factory=set)
    _lock: Lock = attrs.field(factory=Lock)

    @contextmanager
    def going_on(self, api: Api) -> Iterator[None]:
        """Upload until the block ends or the server does."""
        over = Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._upload_until, over, api) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                over.set()
        for client in clients:
            client.result()

    def so_far(self) -> set[str]:
        """Return the keys that were acknowledged up to now."""
        with self._lock:
            return set(self.acknowledged)

    def _upload_until(self, over: Event, api: Api) -> None:
        with suppress(OSError, http.client.HTTPException):
            while not over.is_set():
                runs = [self.make_run(output_summary="x" * 500) for _ in range(BATCH)]
                assert api.lenient(runs, Prefer="return=minimal").status == 201
                with self._lock:
                    self.acknowledged.update(run["event_id"] for run in runs)


@attrs.define
class Siege:
    """One store, its backups, and what was wrong with them."""

    db: Path
    target: Path
    random: Random
    uploads: Uploads
    seconds: float = 1.0
    amiss: "Counter[str]" = attrs.field(factory=Counter)
    outcomes: "Counter[str]" = attrs.field(factory=Counter)

    def back_up(self, served: Served, victim: Victim) -> None:
        """Make a backup under load, kill somebody meanwhile, and look at what there is."""
        self.target.unlink(missing_ok=True)
        with self.uploads.going_on(served.api):
            before = self.uploads.so_far()
            status = self._run(served, victim)
        self._judge(before, status, victim)

    def _run(self, served: Served, victim: Victim) -> int:
        began = time.monotonic()
        with Command(
            [RUNSINK, "backup", self.target, "--db", self.db],
            env=own_environment({}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as command:
            if victim is not Victim.NOBODY:
                time.sleep(self.random.uniform(0, self.seconds))
                (command if victim is Victim.BACKUP else served.process).kill()
            status = command.wait(DEADLINE_SECONDS)
        if victim is Victim.NOBODY:
            self.seconds = time.monotonic() - began
        return status

    def _judge(self, before: set[str], status: int, victim: Victim) -> None:
        """Compare the backup with what was acknowledged before it began, and look for what was left behind."""
        whole = self.target.exists()
        self.outcomes["whole" if whole else "absent"] += 1
        self.amiss["failed"] += victim is not Victim.BACKUP and status != 0
        self.amiss["absent after success"] += status == 0 and not whole
        self.amiss["left behind"] += status != -signal.SIGKILL and bool(self._left_behind())
        if whole:
            self.amiss["damaged"] += not check_file(self.target).healthy
            with looked_into(self.target) as connection:
                keys = {key for (key,) in connection.execute("SELECT event_id FROM runs")}
                self.amiss["damaged"] += len(integrity_errors(connection, thorough=True))
                self.amiss["damaged"] += len(disagreements(connection))
            self.amiss["lost"] += len(before - keys)

    def _left_behind(self) -> list[Path]:
        return [path for path in self.target.parent.iterdir() if path.name.startswith(f".{self.target.name}")]


def test_a_backup_is_whole_or_not_there(
    serve: Serve, make_run: MakeRun, tmp_path: Path, scale: Scale, figures: Figures
) -> None:
    """Whoever is killed while it is made; if it is there, it has all that was acknowledged before it began."""
    cycles, per_store = scale(6, 100), scale(6, 10)
    random = Random(cycles)  # noqa: S311 - no secrets
    amiss: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for first in range(0, cycles, per_store):
        db, target = tmp_path / f"{first}.db", tmp_path / "copies" / f"{first}.db"
        target.parent.mkdir(exist_ok=True)
        siege = Siege(db, target, random, Uploads(make_run))
        for cycle in range(first, first + per_store):
            victim = list(Victim)[cycle % len(Victim)]
            with serve("--port", "0", "--db", str(db)) as served:
                siege.back_up(served, victim)
                served.process.kill()
                served.process.wait()
        amiss += siege.amiss
        outcomes += siege.outcomes
        for left in (*tmp_path.glob(f"{first}.db*"), *target.parent.iterdir()):
            left.unlink()
    figures(cycles=cycles, **outcomes, lost=amiss["lost"], damaged=amiss["damaged"])
    assert not +amiss
    assert outcomes["whole"] >= cycles // len(Victim)
