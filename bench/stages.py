"""The stages of one batch inside the server, in one process and in sequence, with the product's own code."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import attrs

from adapters.sqlite import SqliteStore
from adapters.system_clock import SystemClock
from adapters.wire.decode import Decoder
from adapters.wire.encode import batch_answer, encode
from adapters.wire.structure import Structurer
from bench.bodies import batch_body, make_bodies, make_ids, make_pool
from core.model.limits import Limits
from core.model.run import Run, Timestamp
from core.ports.run_repository import RunRepository, ignore
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Mode, Upload, ingest
from entrypoints.process.memory import spare_long_lived_objects

STAGES = ("decode and check", "ingest, without the store", "look up, insert or read", "begin and commit", "encode")


@attrs.frozen
class StagesTask:
    """A task for one process; bodies of ``batch_runs`` runs, as many as there is time for, or one again and again."""

    db: str
    batch_runs: int
    repeated: bool
    seconds: float
    warmup: float
    runs_prepared: int


class TimedRepository:
    """The part of a repository that the ingest needs; ``add`` is timed without what it calls for each existing run."""

    def __init__(self, runs: RunRepository) -> None:
        self._runs = runs
        self.spent = 0.0

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        """See the port."""

        def timed(run: Run) -> None:
            began = perf_counter()
            found(run)
            self.spent -= perf_counter() - began

        began = perf_counter()
        self._runs.add(runs, timed)
        self.spent += perf_counter() - began

    def retention_horizon(self) -> Timestamp | None:
        """See the port."""
        return self._runs.retention_horizon()


class TimedUnitOfWork:
    """The part of a unit of work that the ingest needs."""

    def __init__(self, work: UnitOfWork) -> None:
        self.runs = TimedRepository(work.runs)


def run_stages(task: StagesTask) -> dict[str, float]:
    """Return microseconds per run, by stage."""
    bodies = _bodies(task)
    limits = Limits()
    decoder = Decoder(Structurer(), limits)
    store = SqliteStore(Path(task.db))
    spare_long_lived_objects()
    take = partial(_take, store=store, decoder=decoder, clock=SystemClock())
    try:
        _repeat(take, bodies, task.warmup, task)
        laps = _repeat(take, bodies, task.seconds, task)
    finally:
        store.close()
    runs = len(laps) * task.batch_runs
    return {stage: sum(lap[place] for lap in laps) * 1e6 / runs for place, stage in enumerate(STAGES)}


def _take(body: bytes, store: SqliteStore, decoder: Decoder, clock: SystemClock) -> list[float]:
    """Ingest one batch as the server does; return the seconds of each stage."""
    began = perf_counter()
    batch = decoder.batch(body, clock.now())
    decoded = perf_counter()
    with store.unit_of_work() as work:
        timed = TimedUnitOfWork(work)
        entered = perf_counter()
        result = ingest(Upload(Mode.LENIENT, batch, lambda _: None), cast(UnitOfWork, timed))
        ingested = perf_counter()
        work.commit()
    committed = perf_counter()
    if len(encode(batch_answer(result))) < len(body) or result.created + result.existing != len(batch):
        raise AssertionError("a batch was not taken whole")
    encoded = perf_counter()
    inserted = timed.runs.spent
    outside = (entered - decoded) + (committed - ingested)
    return [decoded - began, ingested - entered - inserted, inserted, outside, encoded - committed]


def _bodies(task: StagesTask) -> list[bytes]:
    size = task.batch_runs
    count = size if task.repeated else task.runs_prepared
    runs = make_bodies(make_pool(), list(make_ids(count)), datetime.now(UTC))
    return [batch_body(runs[first : first + size]) for first in range(0, len(runs) - size + 1, size)]


def _repeat(take: Any, bodies: list[bytes], seconds: float, task: StagesTask) -> list[list[float]]:
    laps: list[list[float]] = []
    end = perf_counter() + seconds
    while bodies and (not laps or perf_counter() < end):
        laps.append(take(bodies[-1] if task.repeated else bodies.pop()))
    return laps
