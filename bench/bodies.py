"""Synthetic runs of about 890 bytes: as JSON bodies, and as rows for a database that is filled directly.

IDs and times are made for each run. The rest comes from a pool of contents made once, because making everything
anew would cost more than the servers under test.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any, Final, NamedTuple

import attrs
import orjson

from core.model.run import FIELDS

POOL_SIZE: Final = 1009
"""A prime, so that the pool and the batches do not align."""

RUNS_OF_A_PARENT: Final = 50

RUNS_OF_A_WORKER: Final = 10

LARGE_LAUNCH_RUNS: Final = 1000
"""The size of the launch with which every ``LARGE_LAUNCH_PERIOD`` rows begin; the others have ``RUNS_OF_A_PARENT``."""

LARGE_LAUNCH_PERIOD: Final = 50_000

STRAY: Final = timedelta(milliseconds=130)
"""How much later than its turn a run may start."""

_NAMED = ("event_id", "run_id", "parent_run_id", "start_time", "end_time", "created_at", "updated_at")
_AGENTS = [f"{area}-{role}" for area in ("docs", "blog", "seo", "media", "shop") for role in ("writer", "linter", "qa")]
_JOBS = ["generate", "translate", "validate", "publish", "measure", "repair", "index", "summarise"]
_PRODUCTS = ["words", "cells", "slides", "pdf", "imaging", "tasks", "email"]
_STATUSES = ["success", "success", "success", "success", "failure", "partial", "timeout"]
_POSITION = {name: position for position, name in enumerate(FIELDS)}


@attrs.frozen
class Content:
    """The fields other than IDs and times, as the end of a JSON object and as a row."""

    agent_name: str
    json_tail: bytes
    row: tuple[Any, ...]


def make_pool() -> Sequence[Content]:
    """Return the contents, the same in every process."""
    return [_content(number) for number in range(POOL_SIZE)]


def make_ids(count: int) -> Iterator[str]:
    """Return random UUIDv4s, several times faster than ``uuid.uuid4``."""
    for _ in range(count):
        text = os.urandom(16).hex()
        yield f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def make_bodies(pool: Sequence[Content], ids: Sequence[str], start: datetime) -> list[bytes]:
    """Return each ID as the JSON of one run; the runs start one after the other from ``start``, in UTC."""
    bodies = []
    for content, names in zip(cycle(pool), _name(pool, ids, start.replace(tzinfo=None), 0, 1), strict=False):
        head = (
            f'{{"event_id":"{names.event_id}","run_id":"{names.run_id}","parent_run_id":"{names.parent_run_id}",'
            f'"start_time":"{names.start_time}+00:00","end_time":"{names.end_time}+00:00",'
        )
        bodies.append(head.encode() + content.json_tail)
    return bodies


def batch_body(runs: Sequence[bytes]) -> bytes:
    """Return the runs as the body of a batch."""
    return b'{"runs":[' + b",".join(runs) + b"]}"


def make_rows(pool: Sequence[Content], first: int, count: int, start: datetime, step_ms: int) -> Iterator[list[Any]]:
    """Return runs ``first`` and following as rows in the order of the fields; ``start`` is in UTC, without offset.

    They make up launches: a root, its workers, and what these call.
    """
    places = [_POSITION[name] for name in _NAMED]
    contents = islice(cycle(pool), first % POOL_SIZE, None)
    named = _arrange(_name(pool, make_ids(count), start, first, step_ms), first)
    for content, names in zip(contents, named, strict=False):
        row = list(content.row)
        start_time, end_time = names.start_time + "Z", names.end_time + "Z"
        values = (names.event_id, names.run_id, names.parent_run_id, start_time, end_time, end_time, end_time)
        for place, value in zip(places, values, strict=True):
            row[place] = value
        yield row


def _name(pool: Sequence[Content], ids: Iterable[str], start: datetime, first: int, step_ms: int) -> Iterator["_Names"]:
    """Return the names and times of the runs ``first`` and following.

    Names begin with the time, as the clients of the API make them, and runs come nearly in the order they started:
    so all indexes but that of the random ``event_id`` grow at their ends. Fifty runs have one parent.
    """
    parent = ""
    for number, event_id in enumerate(ids, first):
        wander = int(event_id[:4], 16)
        begin = start + timedelta(milliseconds=number * step_ms + wander % 64, microseconds=wander)
        end = begin + timedelta(milliseconds=wander)
        begins = begin.isoformat(timespec="microseconds")
        stamp = f"{begins[:4]}{begins[5:7]}{begins[8:13]}{begins[14:16]}{begins[17:19]}Z"
        if not parent or not number % RUNS_OF_A_PARENT:
            parent = f"{stamp}-nightly-{event_id[-8:]}"
        run_id = f"{stamp}-{pool[number % POOL_SIZE].agent_name}-{event_id[:8]}"
        yield _Names(event_id, run_id, parent, begins, end.isoformat(timespec="microseconds"))


def _arrange(names: Iterable["_Names"], first: int) -> Iterator["_Names"]:
    """Give the runs ``first`` and following other parents, so that they make up trees."""
    launch = worker = ""
    for number, run in enumerate(names, first):
        place = number % LARGE_LAUNCH_PERIOD
        if not place or (place >= LARGE_LAUNCH_RUNS and not place % RUNS_OF_A_PARENT):
            launch = worker = run.run_id
            yield run._replace(parent_run_id=None)
        elif not place % RUNS_OF_A_WORKER:
            worker = run.run_id
            yield run._replace(parent_run_id=launch or run.parent_run_id)
        else:
            yield run._replace(parent_run_id=worker or run.parent_run_id)


class _Names(NamedTuple):
    """Return the varying fields; the times have no offset."""

    event_id: str
    run_id: str
    parent_run_id: str | None
    start_time: str
    end_time: str


def _content(number: int) -> Content:
    fields = _fields(number)
    row = [fields.get(name) for name in FIELDS]
    for name in ("metrics_json", "context_json"):
        row[_POSITION[name]] = orjson.dumps(fields[name], option=orjson.OPT_SORT_KEYS).decode()
    return Content(fields["agent_name"], orjson.dumps(fields)[1:], tuple(row))


def _fields(number: int) -> dict[str, Any]:
    agent, job = _AGENTS[number % len(_AGENTS)], _JOBS[number % len(_JOBS)]
    product = _PRODUCTS[number % len(_PRODUCTS)]
    found = 20 + number % 400
    return {
        "agent_name": agent,
        "job_type": job,
        "status": _STATUSES[number % len(_STATUSES)],
        "product": product,
        "platform": "python" if number % 2 else "dotnet",
        "website": "example.com",
        "item_name": f"{product}/{job}/page-{number:04d}.md",
        "git_repo": f"https://git.example.com/{product}.git",
        "duration_ms": 900 + number * 37,
        "items_discovered": found,
        "items_succeeded": found - number % 9,
        "items_failed": number % 9,
        "items_skipped": number % 4,
        "output_summary": f"{found} pages of {product} done by {agent}",
        "metrics_json": {
            "tokens_in": 1200 + number * 13,
            "tokens_out": 300 + number * 7,
            "cost_usd": round(0.0031 * (number + 1), 6),
            "latency_ms": round(12.25 + number * 0.37, 3),
            "retries": number % 3,
            "cache_hits": number * 3 % 97,
            "quality": round(0.5 + number / 2500, 4),
        },
        "context_json": {
            "host": f"worker-{number % 32:02d}.example.net",
            "pid": 1000 + number,
            "model": "small-2026-03",
            "region": "eu-central-1",
            "attempt": 1 + number % 3,
            "tags": ["nightly", product],
        },
    }
