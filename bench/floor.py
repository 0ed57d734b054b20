"""The floor: the smallest loop that does the same work on the same bodies and tables, in one process without HTTP.

It decodes, looks up the keys, inserts, commits and encodes the full response, and validates nothing. Its tables,
indexes and connection are the product's. The product's tallies are left out, so that the floor is too fast rather than
too slow.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs
import orjson

from adapters.sqlite import keys
from adapters.sqlite.connection import open_writer
from adapters.sqlite.store import CHECKPOINT_PAGES
from bench.bodies import batch_body, make_bodies, make_ids, make_pool
from bench.figures import percentile
from bench.tables import COLUMNS, insert_rows, require_known_schema
from core.model.run import FIELDS

_JSON_POSITIONS = [(name, FIELDS.index(name)) for name in ("metrics_json", "context_json", "extra")]
_ABSENT: dict[str, Any] = dict.fromkeys(FIELDS)
_STORED = f"SELECT {COLUMNS} FROM runs WHERE arrival IN (SELECT value FROM carray(?))"
STAGES = ("decode", "insert", "commit", "encode")


@attrs.frozen
class FloorTask:
    """Work for one floor process."""

    db: str
    batch_runs: int
    repeated: bool
    seconds: float
    warmup: float
    runs_prepared: int


class FloorLoop:
    """One connection and its loop; ``spent`` collects the seconds of each stage."""

    def __init__(self, db: Path) -> None:
        self._connection = open_writer(db)
        require_known_schema(self._connection)
        self._connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        self.spent = dict.fromkeys(STAGES, 0.0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ingest(self, body: bytes) -> bytes:
        """Ingest one batch and return the full response."""
        began = perf_counter()
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        runs = [{**_ABSENT, **run, "created_at": now, "updated_at": now} for run in orjson.loads(body)["runs"]]
        decoded = perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        stored = self._stored([run["event_id"] for run in runs])
        created = len(runs) - len(stored)
        if stored:
            runs = stored
        else:
            insert_rows(self._connection, list(map(_row, runs)))
        inserted = perf_counter()
        self._connection.execute("COMMIT")
        committed = perf_counter()
        answer = orjson.dumps(_answer(runs, created))
        for stage, seconds in zip(
            STAGES,
            (decoded - began, inserted - decoded, committed - inserted, perf_counter() - committed),
            strict=True,
        ):
            self.spent[stage] += seconds
        return answer

    def _stored(self, event_ids: Sequence[str]) -> list[dict[str, Any]]:
        arrivals = keys.find_arrivals(self._connection, map(keys.event_hash, event_ids))
        if not arrivals:
            return []
        wanted, runs = set(event_ids), []
        for row in self._connection.execute(_STORED, (keys.integers(arrivals),)):
            run = dict(zip(FIELDS, row, strict=True))
            # Another run may share a hash.
            if run["event_id"] not in wanted:
                continue
            for name, _ in _JSON_POSITIONS:
                if run[name] is not None:
                    run[name] = orjson.Fragment(run[name])
            runs.append(run)
        return runs


def run_floor(task: FloorTask) -> dict[str, Any]:
    """Run the loop for the requested time."""
    bodies = _bodies(task)
    loop = FloorLoop(Path(task.db))
    try:
        warm = _ingest_for(loop, bodies, task.warmup, task)
        loop.spent = dict.fromkeys(STAGES, 0.0)
        began = perf_counter()
        latencies = _ingest_for(loop, bodies, task.seconds, task)
        elapsed = perf_counter() - began
    finally:
        loop.close()
    runs = len(latencies) * task.batch_runs
    return {
        "runs_per_second": runs / elapsed,
        "p50_ms": percentile(latencies, 0.50) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "stages_us": {stage: seconds * 1e6 / runs for stage, seconds in loop.spent.items()},
        "stored": task.batch_runs if task.repeated else runs + len(warm) * task.batch_runs,
    }


def _bodies(task: FloorTask) -> list[bytes]:
    """Return the bodies, the last to be used first."""
    pool, start = make_pool(), datetime.now(UTC)
    count = task.batch_runs if task.repeated else task.runs_prepared
    runs = make_bodies(pool, list(make_ids(count)), start)
    size = task.batch_runs
    return [batch_body(runs[first : first + size]) for first in range(0, len(runs) - size + 1, size)]


def _ingest_for(loop: FloorLoop, bodies: list[bytes], seconds: float, task: FloorTask) -> list[float]:
    """Ingest at least one batch, until the time is up or the bodies run out; return the seconds of each."""
    latencies: list[float] = []
    end = perf_counter() + seconds
    while bodies and (not latencies or perf_counter() < end):
        body = bodies[-1] if task.repeated else bodies.pop()
        began = perf_counter()
        answer = loop.ingest(body)
        latencies.append(perf_counter() - began)
        if len(answer) < len(body):
            raise AssertionError("the floor's answer lacks runs")
    return latencies


def _row(run: dict[str, Any]) -> list[Any]:
    """Return the values to bind. The text of a JSON field also goes into the response, so it is encoded once."""
    values = list(run.values())
    for name, position in _JSON_POSITIONS:
        if values[position] is not None:
            text = orjson.dumps(values[position], option=orjson.OPT_SORT_KEYS)
            values[position] = text.decode()
            run[name] = orjson.Fragment(text)
    return values


def _answer(runs: Sequence[dict[str, Any]], created: int) -> dict[str, Any]:
    return {
        "runs": runs,
        "total": len(runs),
        "created": created,
        "existing": len(runs) - created,
        "failed": 0,
        "errors": [],
        "conflicts": [],
    }
