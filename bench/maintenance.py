"""``maintenance``: uploads alone, and beside commands that maintain the same large database.

Each measurement has a copy of a filled database and a server of its own. The command works beside the server for as
long as the uploads are measured, and then to its end.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import attrs
import psutil

from bench.figures import Measured
from bench.filling import START, STEP_MS, copy_database, filled_database
from bench.processes import ProcessError, find_runsink, peak_mib, runsink_server
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_at, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_alone", "of alone"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("command_mib", "command MiB"),
    ("command_runs_per_second", "command runs/s"),
    ("wal_mib", "WAL MiB"),
)

_CASE: Final = Case(SCENARIOS["S3"], "lenient", "minimal")
_SETTLE_SECONDS: Final = 0.3
_POLL_SECONDS: Final = 0.05
_MIB: Final = 1024 * 1024


@attrs.frozen
class MaintenancePlan:
    """What to measure, with so many runs stored before."""

    plan: Plan
    stored: int
    cache: Path


@attrs.define
class _Usage:
    """What a command took, known once it has ended."""

    mib: float = 0.0
    seconds: float = 0.0


def measure_maintenance(maintenance: MaintenancePlan) -> Measured:
    """Measure uploads alone and beside a prune of half the database, once each per repetition."""
    plan = maintenance.plan
    measured = Measured()
    source = filled_database(maintenance.cache, maintenance.stored)
    for repetition in range(plan.repetitions):
        say(repetition, plan.repetitions, "uploads alone")
        alone = _measure(maintenance, source, None)
        measured.add("S3 alone", alone)
        say(repetition, plan.repetitions, "uploads beside prune")
        beside = _measure(maintenance, source, _prune_command(maintenance.stored // 2))
        beside["over_alone"] = beside["runs_per_second"] / alone["runs_per_second"]
        measured.add("S3 beside prune of half", beside)
    return measured


def _measure(maintenance: MaintenancePlan, source: Path, command: list[str] | None) -> dict[str, float]:
    plan = maintenance.plan
    with scratch(plan.directory) as directory:
        db = directory / "runs.db"
        copy_database(source, db)
        with runsink_server(db, plan.options) as server:
            sleep(_SETTLE_SECONDS)
            if command is None:
                figures: dict[str, float] = measure_at(server, _CASE, plan.timing, alone=False)["figures"]
                return figures
            with _working([*command, "--db", str(db)]) as usage:
                figures = measure_at(server, _CASE, plan.timing, alone=False)["figures"]
            wal = db.with_name(f"{db.name}-wal").stat().st_size
    return figures | {
        "command_mib": usage.mib,
        "command_runs_per_second": maintenance.stored / 2 / usage.seconds,
        "wal_mib": wal / _MIB,
    }


def _prune_command(runs: int) -> list[str]:
    """Return the command that deletes the oldest runs of a filled database."""
    before: datetime = START.replace(tzinfo=UTC) + timedelta(milliseconds=STEP_MS * runs)
    return [find_runsink(), "prune", "--before", before.isoformat(), "--yes"]


@contextmanager
def _working(command: list[str]) -> Iterator[_Usage]:
    """Run a command beside the block, and wait for its end; it must be at work for as long as the block."""
    usage, began = _Usage(), monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield usage
            if process.poll() is not None:
                raise ProcessError("the command ended before the uploads; store more runs, or measure for less long")
            # What wait4 reports as the maximum includes this process, as it was when the command was started.
            with suppress(psutil.Error, RuntimeError):  # it has ended meanwhile
                while process.poll() is None:
                    usage.mib = peak_mib(process.pid)
                    sleep(_POLL_SECONDS)
            if process.wait():
                raise ProcessError(f"the command ended with {process.returncode}; see above")
        finally:
            process.kill()
    usage.seconds = monotonic() - began
