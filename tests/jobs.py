"""What tests of jobs share: bodies, and jobs that are queued as the server does it."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from adapters.content_coding import encode
from adapters.spool import Spool
from core.model.job import Job, JobId
from core.model.stream import StreamFormat
from core.use_cases.jobs import queue_job
from entrypoints.application import Application
from tests.servers import DEADLINE_SECONDS


def sent_run(event_id: str, **fields: Any) -> dict[str, Any]:
    """A good run."""
    required = {"run_id": "r", "agent_name": "a", "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}
    return {"event_id": event_id, **required, **fields}


RUNS = [sent_run(f"e{number}") for number in range(5)]


def lines(runs: Sequence[object]) -> bytes:
    """Newline-delimited JSON."""
    return b"".join(json.dumps(run).encode() + b"\n" for run in runs)


def queue(
    application: Application,
    spool: Spool,
    body: bytes,
    kind: StreamFormat = StreamFormat.NDJSON,
    coding: str | None = None,
) -> JobId:
    """Spool a body and queue its job."""
    job_id = JobId(uuid4().hex)
    with spool.create(job_id) as writer:
        writer.write(body if coding is None else encode(coding, body))
        writer.finish()
        job = Job(
            job_id=job_id,
            spool=spool.identity,
            format=kind,
            coding=coding,
            created_at=application.clock.now(),
            bytes_total=writer.size,
        )
        application.write(lambda work: queue_job(job, work)).result()
    return job_id


def job_of(application: Application, job_id: JobId) -> Job:
    """The job as it is kept."""
    with application.store.job_reader() as jobs:
        job = jobs.get(job_id)
    assert job is not None
    return job


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)
