"""``streams``: the same runs as batches, a stream, a job and a file, side by side; and a batch client beside streams.

All runs are in one file of lines before the clock starts, so no client has to make or keep them. Every measurement has
a new server with an empty database.
"""

import gzip
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import attrs

from bench.bodies import make_bodies, make_ids, make_pool
from bench.client import Connection, LoadError, Target, fetch, get
from bench.figures import Measured
from bench.processes import (
    Server,
    background_worker,
    cpu_seconds,
    find_runsink,
    peak_mib,
    resident_mib,
    run_worker,
    runsink_server,
)
from bench.scenarios import SCENARIOS, Case
from bench.served import measure_at, scratch
from bench.throughput import Plan, say

FIGURES = (
    ("runs_per_second", "runs/s"),
    ("over_batches", "of batches"),
    ("cpu_s_per_1000", "CPU s/1000"),
    ("idle_mib", "idle MiB"),
    ("above_idle_mib", "above idle MiB"),
    ("client_mib", "client MiB"),
    ("accepted_share", "until 202"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("over_alone", "p99 of alone"),
)

WAYS: Final = ("batches", "stream", "job", "upload")
"""How the runs are sent; the first is what the others are held against."""

BATCH_RUNS: Final = 1000
STREAMS: Final = 2

_PATH: Final = "/api/v1/runs/stream"
_PIECE_BYTES: Final = 256 * 1024
_MAKE_RUNS: Final = 10_000
_POLL_SECONDS: Final = 0.05
_SETTLE_SECONDS: Final = 0.3
_STREAM_SECONDS: Final = 3600.0
_CASE: Final = Case(SCENARIOS["S2"], "lenient", "minimal")


@attrs.frozen
class StreamTask:
    """Work for one client: some lines of a file, from ``first_byte`` on; ``endless`` sends them again and again."""

    url: str
    way: str
    file: str
    first_byte: int
    bytes: int
    runs: int
    pid: int
    endless: bool = False


def measure_streams(plan: Plan, runs: int) -> Measured:
    """Every way to send so many runs, then batches alone and beside streams, once a repetition."""
    measured = Measured()
    with scratch(plan.directory) as directory:
        lines = directory / "runs.ndjson"
        half = write_lines(lines, runs)
        compress(lines)
        for repetition in range(plan.repetitions):
            batches = None
            for way in WAYS:
                say(repetition, plan.repetitions, f"{runs} runs, {way}")
                sample = _sample(plan, way, lines, runs)
                batches = batches or sample["runs_per_second"]
                measured.add(way, sample | {"over_batches": sample["runs_per_second"] / batches})
            alone = None
            for streams in (0, STREAMS):
                name = f"batch client, {streams} streams"
                say(repetition, plan.repetitions, name)
                sample = _beside(plan, lines, half, streams)
                alone = alone or sample["p99_ms"]
                measured.add(name, sample | {"over_alone": sample["p99_ms"] / alone})
    return measured


def write_lines(path: Path, runs: int) -> int:
    """Write so many runs as lines; return where the second half of them begins."""
    pool, start, half = make_pool(), datetime.now(UTC), 0
    with path.open("wb") as file:
        for first in range(0, runs, _MAKE_RUNS):
            ids = list(make_ids(min(_MAKE_RUNS, runs - first)))
            file.writelines(body + b"\n" for body in make_bodies(pool, ids, start + timedelta(milliseconds=first)))
            if first < runs / 2:
                half = file.tell()
    return half


def compress(path: Path) -> None:
    """Write the same lines with gzip beside them."""
    with path.open("rb") as lines, gzip.open(_compressed(path), "wb", compresslevel=1) as compressed:
        shutil.copyfileobj(lines, compressed, _PIECE_BYTES)


def _compressed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def run_stream(task: StreamTask) -> dict[str, Any]:
    """Send the lines in the way asked for, check what the server says of them, and measure."""
    if task.way == "upload":
        return run_upload(task)
    cpu, began = cpu_seconds(task.pid), perf_counter()
    accepted = 0.0
    with Path(task.file).open("rb", buffering=0) as file:
        file.seek(task.first_byte)
        if task.way == "batches":
            _send_batches(task, file)
        else:
            accepted = _send_stream(task, file, began)
    elapsed = perf_counter() - began
    figures = {
        "runs_per_second": task.runs / elapsed,
        "cpu_s_per_1000": (cpu_seconds(task.pid) - cpu) * 1000 / task.runs,
        "client_mib": peak_mib(os.getpid()),
    }
    if accepted:
        figures["accepted_share"] = accepted / elapsed
    return {"figures": figures}


def run_upload(task: StreamTask) -> dict[str, Any]:
    """Have ``runsink upload`` send the compressed lines, from its start to its end, and measure that process."""
    cpu, began = cpu_seconds(task.pid), perf_counter()
    command = [find_runsink(), "upload", str(_compressed(Path(task.file))), "--url", task.url, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    elapsed = perf_counter() - began
    _check(process.returncode, 0, told, task.runs)
    return {
        "figures": {
            "runs_per_second": task.runs / elapsed,
            "cpu_s_per_1000": (cpu_seconds(task.pid) - cpu) * 1000 / task.runs,
            "client_mib": usage.ru_maxrss / 1024,
        }
    }


def _sample(plan: Plan, way: str, lines: Path, runs: int) -> dict[str, float]:
    with scratch(plan.directory) as directory, runsink_server(directory / "runs.db", plan.options) as server:
        sleep(_SETTLE_SECONDS)
        idle = resident_mib(server.pid)
        task = StreamTask(server.url, way, str(lines), 0, lines.stat().st_size, runs, server.pid)
        figures: dict[str, float] = run_worker("stream", task, _STREAM_SECONDS)["figures"]
        return figures | {"idle_mib": idle, "above_idle_mib": peak_mib(server.pid) - idle}


def _beside(plan: Plan, lines: Path, half: int, streams: int) -> dict[str, float]:
    """A client that sends batches of 1000, with so many streams running: each has a part of the lines."""
    parts = ((0, half), (half, lines.stat().st_size - half))
    with scratch(plan.directory) as directory, runsink_server(directory / "runs.db", plan.options) as server:
        sleep(_SETTLE_SECONDS)
        tasks = [StreamTask(server.url, "stream", str(lines), *part, 0, 0, endless=True) for part in parts[:streams]]
        with background_worker("stream", tasks):
            return _batches(server, plan)


def _batches(server: Server, plan: Plan) -> dict[str, float]:
    """What a client of batches finds; others write as well, so that the number of stored runs says nothing."""
    figures: dict[str, float] = measure_at(server, _CASE, plan.timing, alone=False)["figures"]
    return {name: figures[name] for name in ("runs_per_second", "p50_ms", "p99_ms")}


def _send_batches(task: StreamTask, file: BinaryIO) -> None:
    target = Target(task.url, _CASE.path, minimal=True)
    with closing(Connection(task.url)) as client:
        for batch, runs in _batches_of(file):
            status, body = fetch(client, target.post(b'{"runs":[' + batch.replace(b"\n", b",") + b"]}", runs))
            _check(status, 201, body, runs)


def _batches_of(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The lines of a file, a batch at a time and without the last newline of each."""
    kept: list[bytes] = []
    rest = b""
    while piece := file.read(_PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        kept += lines
        while len(kept) >= BATCH_RUNS:
            yield b"\n".join(kept[:BATCH_RUNS]), BATCH_RUNS
            del kept[:BATCH_RUNS]
    if kept:
        yield b"\n".join(kept), len(kept)


def _send_stream(task: StreamTask, file: BinaryIO, began: float) -> float:
    """Send all lines in one request; of a job return how long it took to be accepted, and wait for its end."""
    address = urlsplit(task.url)
    prefer = "Prefer: respond-async\r\n" if task.way == "job" else ""
    length = "Transfer-Encoding: chunked" if task.endless else f"Content-Length: {task.bytes}"
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/x-ndjson\r\n"
        f"{prefer}{length}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port or 80)) as connection:
        connection.sendall(head.encode())
        for piece in _pieces(task, file):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if task.endless else piece)
        status, body = _answer(connection)
    if task.way != "job":
        _check(status, 200, body, task.runs)
        return 0.0
    accepted = perf_counter() - began
    if status != 202:
        raise LoadError(f"status {status}: {body[:500]!r}")
    _wait_for_job(task, json.loads(body)["job_id"])
    return accepted


def _pieces(task: StreamTask, file: BinaryIO) -> Iterator[bytes]:
    while True:
        left = task.bytes
        while left and (piece := file.read(min(_PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
        if not task.endless:
            return
        file.seek(task.first_byte)


def _wait_for_job(task: StreamTask, job_id: str) -> None:
    with closing(Connection(task.url)) as client:
        while True:
            status, body = fetch(client, get(task.url, f"/api/v1/jobs/{job_id}"))
            if status != 200:
                raise LoadError(f"status {status}: {body[:500]!r}")
            if json.loads(body)["state"] not in {"queued", "running"}:
                break
            sleep(_POLL_SECONDS)
    _check(status, 200, body, task.runs)


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    received = b""
    while piece := connection.recv(_PIECE_BYTES):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    if not body:
        raise LoadError(f"the server closed the connection after {received[:500]!r}")
    return int(head.split()[1]), body


def _check(status: int, expected: int, body: bytes, runs: int) -> None:
    counts = json.loads(body) if status == expected else {}
    if (counts.get("total"), counts.get("created"), counts.get("failed")) != (runs, runs, 0):
        raise LoadError(f"status {status} for {runs} new runs: {body[:500]!r}")
