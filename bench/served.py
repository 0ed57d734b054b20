"""One measurement over HTTP: a server, a load generator beside it, and the cost of both."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import sleep
from typing import Any

import attrs

from adapters.sqlite.connection import open_writer
from bench.floor import FloorTask
from bench.load import LoadTask
from bench.processes import Server, idle_server, peak_mib, resident_mib, run_worker, runsink_server
from bench.scenarios import Case, Scenario

_SETTLE_SECONDS = 0.3
_SLACK_SECONDS = 300


@attrs.frozen
class Timing:
    """The duration of warm-up and measurement."""

    seconds: float
    warmup: float

    @property
    def limit(self) -> float:
        """Timeout of a worker, in seconds."""
        return 10 * (self.seconds + self.warmup) + _SLACK_SECONDS


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Create a directory for one database, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="runsink-bench-", dir=parent) as name:
        yield Path(name)


def measure_fresh(case: Case, timing: Timing, parent: Path, options: tuple[str, ...]) -> dict[str, float]:
    """Measure a case against a new server with an empty database, and the final size of the database."""
    with scratch(parent) as directory:
        figures, found = measure_served(case, timing, directory / "runs.db", options)
        if not case.scenario.repeated:
            weight = bytes_on_disk(directory / "runs.db") / found["stored"]
            figures |= {"disk_bytes_per_run": weight, "disk_over_json": weight / found["json_bytes_per_run"]}
    return figures


def measure_served(
    case: Case, timing: Timing, db: Path, options: tuple[str, ...], *, watched: bool = True
) -> tuple[dict[str, float], dict[str, Any]]:
    """Measure a case against a new server over this database; return the figures and the load generator's result.

    The server counts its metrics if ``watched``.
    """
    with runsink_server(db, options, variant="" if watched else "unwatched") as server:
        sleep(_SETTLE_SECONDS)
        idle = resident_mib(server.pid)
        found = measure_at(server, case, timing)
        figures = found["figures"] | {"idle_mib": idle, "peak_mib": peak_mib(server.pid)}
    return figures, found


def measure_nothing(case: Case, timing: Timing, parent: Path) -> dict[str, float]:
    """Measure a case against a server that does nothing."""
    with scratch(parent) as directory, idle_server(directory) as server:
        figures: dict[str, float] = measure_at(server, case, timing, verified=False)["figures"]
    return figures


def measure_at(
    server: Server, case: Case, timing: Timing, *, verified: bool = True, alone: bool = True
) -> dict[str, Any]:
    """A case against a server that is there; ``alone`` if nobody else writes to it."""
    task = LoadTask(
        url=server.url,
        path=case.path,
        clients=case.scenario.clients,
        batch_runs=case.scenario.batch_runs,
        repeated=case.scenario.repeated,
        minimal=case.answer == "minimal",
        seconds=timing.seconds,
        warmup=timing.warmup,
        runs_prepared=case.scenario.runs_for(timing.seconds + timing.warmup),
        pid=server.pid,
        verified=verified,
        alone=alone,
    )
    return run_worker("load", task, timing.limit)


def measure_floor(scenario: Scenario, timing: Timing, parent: Path, db: Path | None = None) -> dict[str, Any]:
    """Measure the floor with the batches of a scenario, on an empty database or on the given one."""
    with scratch(parent) if db is None else nullcontext(parent) as directory:
        task = FloorTask(
            db=str(db or directory / "runs.db"),
            batch_runs=scenario.batch_runs,
            repeated=scenario.repeated,
            seconds=timing.seconds,
            warmup=timing.warmup,
            runs_prepared=scenario.runs_for(timing.seconds + timing.warmup),
        )
        return run_worker("floor", task, timing.limit)


def bytes_on_disk(db: Path) -> int:
    """Return the size of a closed database and its companion files after a checkpoint."""
    connection = open_writer(db)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    return sum(path.stat().st_size for path in db.parent.iterdir() if path.name.startswith(db.name))


def require_disk(directory: Path) -> None:
    """Raise ``NotADirectoryError`` or ``ValueError`` unless this is a directory on a disk."""
    if not directory.is_dir():
        raise NotADirectoryError(directory)
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    place = os.path.realpath(directory)
    inside = [(point, kind) for point, kind in mounts if place == point or place.startswith(point.rstrip("/") + "/")]
    if max(inside, key=lambda mount: len(mount[0]))[1] in {"tmpfs", "ramfs"}:
        raise ValueError(f"{directory} is in memory, where a commit costs nothing; name a directory on a disk: --dir")
