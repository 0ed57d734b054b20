"""``peer``: the scenarios beside the server of the Local Telemetry API, whose clients runsink serves as well.

It takes a batch as a bare array and answers with counts, so it has a load generator of its own. Both servers get the
same runs, and runsink answers with counts as well (``return=minimal``), but for single runs.
"""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, Final

import attrs
import orjson

from bench.bodies import make_bodies, make_ids, make_pool
from bench.client import Answer, LoadError, Request, Target, connections, drive
from bench.figures import Measured, percentile
from bench.processes import START_SECONDS, ProcessError, Server, cpu_seconds, peak_mib, run_worker, stop
from bench.scenarios import SINGLE_PATH, Case
from bench.served import measure_fresh, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_peer", "of peer"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("peak_mib", "peak MiB"),
)

_BATCH_PATH: Final = "/api/v1/runs/batch"


@attrs.frozen
class Peer:
    """A checkout of https://github.com/babar-raza/local-telemetry, and an interpreter with its requirements."""

    checkout: Path
    python: Path


@attrs.frozen
class PeerTask:
    """Work for one load generator; see ``LoadTask``."""

    url: str
    clients: int
    batch_runs: int
    repeated: bool
    seconds: float
    warmup: float
    runs_prepared: int
    pid: int


def measure_peer(plan: Plan, peer: Peer) -> Measured:
    """Measure every case against a new server of each kind, in turn, each first in every other repetition."""
    measured = Measured()
    for repetition in range(plan.repetitions):
        for case in plan.cases:
            say(repetition, plan.repetitions, case.name)
            ways = {
                "runsink": lambda case=case: measure_fresh(case, plan.timing, plan.directory, plan.options),
                "peer": lambda case=case: _measure(case, plan, peer),
            }
            names = list(ways)[:: -1 if repetition % 2 else 1]
            samples = {name: ways[name]() for name in names}
            ratio = samples["runsink"]["runs_per_second"] / samples["peer"]["runs_per_second"]
            measured.add(f"{case.name}, peer", samples["peer"] | {"over_peer": 1.0})
            measured.add(f"{case.name}, runsink", samples["runsink"] | {"over_peer": ratio})
    return measured


def run_peer_load(task: PeerTask) -> dict[str, Any]:
    """Warm the server up, then load it for the requested time; every run of every response must be taken."""
    requests = _requests(task)
    with connections(task.url, task.clients) as clients:
        drive(clients, requests, task.warmup, _check)
        cpu, began = cpu_seconds(task.pid), perf_counter()
        latencies = drive(clients, requests, task.seconds, _check)
        elapsed, used = perf_counter() - began, cpu_seconds(task.pid) - cpu
    if not latencies:
        raise LoadError("the requests ran out before anything was measured; ask for fewer seconds of warming up")
    runs = len(latencies) * task.batch_runs
    return {
        "figures": {
            "runs_per_second": runs / elapsed,
            "p50_ms": percentile(latencies, 0.50) * 1000,
            "p99_ms": percentile(latencies, 0.99) * 1000,
            "cpu_s_per_1000": used * 1000 / runs,
        }
    }


def _measure(case: Case, plan: Plan, peer: Peer) -> dict[str, float]:
    scenario, timing = case.scenario, plan.timing
    with scratch(plan.directory) as directory, _running(peer, directory) as server:
        task = PeerTask(
            url=server.url,
            clients=scenario.clients,
            batch_runs=scenario.batch_runs,
            repeated=scenario.repeated,
            seconds=timing.seconds,
            warmup=timing.warmup,
            runs_prepared=scenario.runs_for(timing.seconds + timing.warmup),
            pid=server.pid,
        )
        figures: dict[str, float] = run_worker("peer", task, timing.limit)["figures"]
        return figures | {"peak_mib": peak_mib(server.pid)}


@contextmanager
def _running(peer: Peer, directory: Path) -> Iterator[Server]:
    """Run the server as its documentation says, on a free port and a new database, with fewer lines in its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "TELEMETRY_API_HOST": "127.0.0.1",
        "TELEMETRY_API_PORT": str(port),
        "TELEMETRY_DB_PATH": str(directory / "telemetry.sqlite"),
        "TELEMETRY_LOCK_FILE": str(directory / "telemetry.lock"),
        "TELEMETRY_LOG_LEVEL": "WARNING",
    }
    log = directory / "peer.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [peer.python, "telemetry_service.py"],
            cwd=peer.checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process.pid)
    try:
        _wait(server, process, log)
        yield server
    finally:
        stop(process)


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = monotonic() + START_SECONDS
    while monotonic() < end and process.poll() is None:
        try:
            # It listens once it has started.
            with connections(server.url, 1):
                return
        except ConnectionError:
            sleep(0.1)
    raise ProcessError(f"the peer did not start: {log.read_text(errors='replace')[-2000:]}")


def _requests(task: PeerTask) -> Iterator[Request]:
    ids = list(make_ids(task.runs_prepared))
    runs = make_bodies(make_pool(), ids, datetime.now(UTC))
    if task.batch_runs == 1:
        target = Target(task.url, SINGLE_PATH, minimal=False)
        return iter([target.post(run, 1, event_id) for run, event_id in zip(runs, ids, strict=True)])
    target = Target(task.url, _BATCH_PATH, minimal=False)
    starts = range(0, len(runs) - task.batch_runs + 1, task.batch_runs)
    made = [target.post(_array(runs[start : start + task.batch_runs]), task.batch_runs) for start in starts]
    return cycle(made) if task.repeated else iter(made)


def _array(runs: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(runs) + b"]"


def _check(request: Request, answer: Answer) -> None:
    """Raise ``LoadError`` unless the response says that every run is stored."""
    found = orjson.loads(answer.body) if answer.status in {200, 201} else {}
    if request.event_id:
        taken = found.get("status") == "created"
    else:
        taken = found.get("inserted", 0) + found.get("duplicates", 0) == request.runs
    if not taken:
        raise LoadError(f"status {answer.status}: {bytes(answer.body[:500])!r}")
