"""``backups``: uploads alone, and beside a backup of the same large database.

Each measurement has a copy of a filled database and a server of its own. The backup begins with the uploads; if it ends
before them, another one begins.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Final

import attrs
import psutil

from adapters.sqlite.file import wal_of
from bench.figures import Measured
from bench.filling import copy_database, filled_database
from bench.processes import ProcessError, find_runsink, peak_mib, runsink_server
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_at, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_alone", "of alone"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("backup_seconds", "backup s"),
    ("backup_mib", "backup MiB"),
    ("wal_mib", "WAL MiB"),
)

_CASE: Final = Case(SCENARIOS["S3"], "lenient", "minimal")
_SETTLE_SECONDS: Final = 0.3
_POLL_SECONDS: Final = 0.05
_MIB: Final = 1024 * 1024


def measure_backups(plan: Plan, stored: int, cache: Path) -> Measured:
    """Measure uploads alone and beside backups of a database with so many runs, once each per repetition."""
    measured = Measured()
    source = filled_database(cache, stored)
    for repetition in range(plan.repetitions):
        say(repetition, plan.repetitions, "uploads alone")
        alone = _measure(plan, source, backing_up=False)
        measured.add("S3 alone", alone)
        say(repetition, plan.repetitions, "uploads beside backup")
        beside = _measure(plan, source, backing_up=True)
        beside["over_alone"] = beside["runs_per_second"] / alone["runs_per_second"]
        measured.add("S3 beside backup", beside)
    return measured


@attrs.define
class _Backups:
    """What the backups of one measurement took."""

    seconds: list[float] = attrs.field(factory=list)
    mib: float = 0.0


def _measure(plan: Plan, source: Path, *, backing_up: bool) -> dict[str, float]:
    with scratch(plan.directory) as directory:
        db = directory / "runs.db"
        copy_database(source, db)
        with runsink_server(db, plan.options) as server:
            sleep(_SETTLE_SECONDS)
            if not backing_up:
                return dict(measure_at(server, _CASE, plan.timing)["figures"])
            with _backing_up(db, directory / "copy.db") as backups:
                figures = dict(measure_at(server, _CASE, plan.timing)["figures"])
            wal = wal_of(db).stat().st_size
    seconds = sum(backups.seconds) / len(backups.seconds)
    return figures | {"backup_seconds": seconds, "backup_mib": backups.mib, "wal_mib": wal / _MIB}


@contextmanager
def _backing_up(db: Path, target: Path) -> Iterator[_Backups]:
    """Make one backup after the other in a thread, for the length of the block and to the end of the last."""
    backups, over, errors = _Backups(), Event(), list[Exception]()

    def work() -> None:
        try:
            while not over.is_set():
                _back_up(db, target, backups)
        except ProcessError as error:
            errors.append(error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield backups
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]


def _back_up(db: Path, target: Path, backups: _Backups) -> None:
    target.unlink(missing_ok=True)
    began = monotonic()
    with subprocess.Popen([find_runsink(), "backup", target, "--db", db], stdout=subprocess.DEVNULL) as process:
        # Not the usage that waiting returns: it begins with the memory of the process that forked.
        while process.poll() is None:
            with suppress(OSError, RuntimeError, psutil.Error):  # it may end meanwhile
                backups.mib = max(backups.mib, peak_mib(process.pid))
            sleep(_POLL_SECONDS)
    if process.returncode:
        raise ProcessError(f"the backup ended with {process.returncode}; see above")
    backups.seconds.append(monotonic() - began)
