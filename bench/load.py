"""The load generator: send prepared requests, check every response, and measure."""

import gc
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from time import perf_counter
from typing import Any

import attrs
import orjson

from bench.bodies import batch_body, make_bodies, make_ids, make_pool
from bench.client import Answer, Connection, LoadError, Request, Target, connections, drive, fetch, get
from bench.figures import percentile
from bench.processes import cpu_seconds

_COUNTS = re.compile(rb'"total": ?(\d+), ?"created": ?(\d+), ?"existing": ?(\d+), ?"failed": ?(\d+)')
_TAIL_BYTES = 300


@attrs.frozen
class LoadTask:
    """Work for one load generator; ``pid`` is the server's, 0 when it is not ours to look at.

    ``alone``: nobody else writes meanwhile, so the server must list as many new runs as it acknowledged.
    """

    url: str
    path: str
    clients: int
    batch_runs: int
    repeated: bool
    minimal: bool
    seconds: float
    warmup: float
    runs_prepared: int
    pid: int
    verified: bool = True
    alone: bool = True


class Tally:
    """Checks each response as it arrives and counts the runs acknowledged."""

    def __init__(self, task: LoadTask) -> None:
        self._task = task
        self.created = 0
        self.acknowledged = 0

    def check(self, request: Request, answer: Answer) -> None:
        """Raise ``LoadError`` unless the response acknowledges every run of the request."""
        if answer.status != 201:
            raise LoadError(f"status {answer.status}: {bytes(answer.body[:500])!r}")
        self.acknowledged += request.runs
        if not self._task.verified:
            return
        if request.event_id:
            if request.event_id not in answer.body:
                raise LoadError(f"the answer is about another run: {bytes(answer.body[:500])!r}")
            self.created += 1
            return
        total, created, existing, failed = _counts(answer.body)
        whole = created == request.runs or (self._task.repeated and existing == request.runs)
        if not whole or total != request.runs or failed:
            raise LoadError(f"{total=} {created=} {existing=} {failed=} for {request.runs} new runs")
        self.created += created


def run_load(task: LoadTask) -> dict[str, Any]:
    """Warm the server up, then load it for the requested time."""
    requests, body_bytes = _requests(task)
    tally = Tally(task)
    gc.collect()
    gc.disable()
    with connections(task.url, task.clients) as clients:
        before = _stored(clients[0], task)
        if task.verified and not task.path.endswith("/runs"):
            first = next(requests)
            _check_whole(*fetch(clients[0], first), first, task)
            tally.created += first.runs
        # At least one request per client, because a server handles its first ones slowly.
        if task.warmup:
            drive(clients, requests, task.warmup, tally.check)
        tally.acknowledged = 0
        cpu = cpu_seconds(task.pid)
        began = perf_counter()
        latencies = drive(clients, requests, task.seconds, tally.check)
        elapsed = perf_counter() - began
        cpu = cpu_seconds(task.pid) - cpu
        stored = _stored(clients[0], task)
    if not latencies:
        raise LoadError("the requests ran out before anything was measured; ask for fewer seconds of warming up")
    if task.verified and task.alone and stored - before != tally.created:
        raise LoadError(f"{tally.created} runs were acknowledged as created and {stored - before} are stored")
    p50, p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
    figures = {
        "runs_per_second": tally.acknowledged / elapsed,
        "p50_ms": p50 * 1000,
        "p99_ms": p99 * 1000,
        "p99_over_p50": p99 / p50,
    }
    if task.pid:
        figures["cpu_s_per_1000"] = cpu * 1000 / tally.acknowledged
    return {"figures": figures, "stored": stored, "created": tally.created, "json_bytes_per_run": body_bytes}


def _requests(task: LoadTask) -> tuple[Iterator[Request], float]:
    """Return everything to send, and the bytes of JSON per run."""
    ids = list(make_ids(task.runs_prepared))
    runs = make_bodies(make_pool(), ids, datetime.now(UTC))
    target = Target(task.url, task.path, task.minimal)
    if task.batch_runs == 1:
        made = [target.post(run, 1, event_id) for run, event_id in zip(runs, ids, strict=True)]
    else:
        starts = range(0, len(runs) - task.batch_runs + 1, task.batch_runs)
        bodies = (batch_body(runs[start : start + task.batch_runs]) for start in starts)
        made = [target.post(body, task.batch_runs) for body in bodies]
    # A server that does nothing may get the same requests again; it outruns any preparation.
    endless = task.repeated or not task.verified
    return cycle(made) if endless else iter(made), sum(map(len, runs)) / len(runs)


def _counts(body: bytearray) -> Sequence[int]:
    """Return the counts, without decoding the runs if they are where runsink writes them."""
    found = _COUNTS.search(body, max(0, len(body) - _TAIL_BYTES))
    if found:
        return [int(number) for number in found.groups()]
    answer = orjson.loads(body)
    return [answer[name] for name in ("total", "created", "existing", "failed")]


def _check_whole(status: int, body: bytes, request: Request, task: LoadTask) -> None:
    """Check the first response closely: it has the runs that were sent, in order, or none."""
    if status != 201:
        raise LoadError(f"status {status}: {body[:500]!r}")
    answer = orjson.loads(body)
    sent = orjson.loads(request.data.partition(b"\r\n\r\n")[2])["runs"]
    expected = [] if task.minimal else [run["event_id"] for run in sent]
    if [run["event_id"] for run in answer["runs"]] != expected or answer["created"] != request.runs:
        raise LoadError(f"the first answer is not what was asked for: {body[:500]!r}")
    for ours, theirs in zip(sent, answer["runs"], strict=False):
        if any(theirs[name] != ours[name] for name in ours if not name.endswith("_time")):
            raise LoadError(f"a run came back changed: {ours} became {theirs}")


def _stored(client: Connection, task: LoadTask) -> int:
    """Return the number of runs that the server reports."""
    if not task.verified:
        return 0
    status, body = fetch(client, get(task.url, "/api/v1/runs?limit=1"))
    if status != 200:
        raise LoadError(f"the list answers {status}: {body[:500]!r}")
    return int(orjson.loads(body)["total"])
