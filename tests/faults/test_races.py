"""Writers that race for the same keys, through two servers and in process: every key is created once."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import attrs

from adapters.wire.run_list import encode_listed
from adapters.wire.run_view import RunView
from entrypoints.embedded import RunStore, open_store
from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.figures import Figures, Scale
from tests.servers import Api, Serve

Sent = dict[str, Any]

IDS = 200
SERVERS = 2
WRITERS = 8
AGAIN = 20
"""The number of keys each writer sends twice, often in one batch."""

OTHER_CONTENT: list[Sent] = [
    {"agent_name": "other"},
    {"agent_name": "other", "start_time": "2026-01-31T12:00:00.000001Z", "status": "failure"},
    {"product": "other", "duration_ms": 1},
    {"shard": 2, "job_type": "other", "parent_run_id": "other"},
]
FIELD_OF = {"shard": "extra"}
CHANGING = {"status", "duration_ms"}


@attrs.frozen
class Told:
    """A batch, and what its writer was told."""

    sent: list[Sent]
    runs: list[Sent]
    created: int
    existing: int
    failed: int
    conflicts: list[tuple[int, str, frozenset[str]]]


Ingest = Callable[[list[Sent], bool], Told]
"""Uploads a batch, atomic or not."""


def over_http(api: Api) -> Ingest:
    """A writer over HTTP; any error ends the test."""

    def ingest(runs: list[Sent], atomic: bool) -> Told:  # noqa: FBT001 - both ways in take it so
        answer = (api.atomic if atomic else api.lenient)(runs)
        assert answer.status == 201, answer
        body = answer.body
        conflicts = [(one["index"], one["event_id"], frozenset(one["fields"])) for one in body["conflicts"]]
        return Told(runs, body["runs"], body["created"], body["existing"], body["failed"], conflicts)

    return ingest


def in_process(store: RunStore) -> Ingest:
    """A writer without a server."""

    def ingest(runs: list[Sent], atomic: bool) -> Told:  # noqa: FBT001 - both ways in take it so
        result = (store.ingest_atomic if atomic else store.ingest_lenient)(runs)
        shown = json.loads(encode_listed(result.runs, RunView()))
        conflicts = [(one.index, one.event_id, frozenset(one.fields)) for one in result.conflicts]
        return Told(runs, shown, result.created, result.existing, result.failed, conflicts)

    return ingest


def contents(name: str, number: int) -> tuple[Sent, Sent]:
    """Return the two contents of one key."""
    one = {
        "event_id": f"{name}/{number}",
        "run_id": name,
        "agent_name": "one",
        "job_type": "race",
        "start_time": "2026-01-31T12:00:00Z",
        "status": "running",
        "parent_run_id": None,
        "product": None,
        "duration_ms": None,
        "shard": 1,
    }
    return one, one | OTHER_CONTENT[number % len(OTHER_CONTENT)]


def batches(name: str, random: Random) -> Iterator[list[Sent]]:
    """Return one writer's batches: every key with one content, some twice, in random order and sizes."""
    numbers = [*range(IDS), *random.sample(range(IDS), AGAIN)]
    random.shuffle(numbers)
    while numbers:
        size = random.choice([1, 5, 20, 60, IDS])
        yield [random.choice(contents(name, number)) for number in numbers[:size]]
        del numbers[:size]


def race(name: str, writers: list[Ingest], random: Random) -> list[Told]:
    """Run all writers at once; return what they were told."""
    start = Barrier(len(writers))

    def write(ingest: Ingest, seed: int) -> list[Told]:
        mine = Random(seed)  # noqa: S311 - no secrets
        start.wait()
        return [ingest(runs, mine.random() < 0.5) for runs in batches(name, mine)]

    with ThreadPoolExecutor(len(writers)) as pool:
        told = pool.map(write, writers, [random.getrandbits(32) for _ in writers])
        return list(chain.from_iterable(told))


def expected_conflicts(sent: list[Sent], stored: dict[str, Sent]) -> list[tuple[int, str, frozenset[str]]]:
    """Return, for each run whose key has the other content, the immutable fields that differ."""
    return [
        (index, run["event_id"], fields)
        for index, run in enumerate(sent)
        if (fields := differing_fields(run, stored[run["event_id"]]))
    ]


def differing_fields(sent: Sent, stored: Sent) -> frozenset[str]:
    """Return the immutable fields that differ between the sent and the stored content."""
    held = {**stored, **stored["extra"]}
    held = {name: held[name] for name in sent}
    assert held in contents(stored["run_id"], int(stored["event_id"].rpartition("/")[2]))
    return frozenset(FIELD_OF.get(name, name) for name in sent.keys() - CHANGING if sent[name] != held[name])


def check(name: str, api: Api, told: list[Told]) -> int:
    """Compare the writers' responses with what is stored; return the number of conflicts."""
    listed = api.find(run_id=name, limit=1000).body
    stored = {run["event_id"]: run for run in listed["runs"]}
    assert (listed["total"], len(stored)) == (IDS, IDS)
    assert sum(one.created for one in told) == IDS
    assert sum(one.created + one.existing for one in told) == sum(len(one.sent) for one in told)
    for one in told:
        assert one.failed == 0
        assert one.runs == [stored[run["event_id"]] for run in one.sent]
        assert one.conflicts == expected_conflicts(one.sent, stored)
    return sum(len(one.conflicts) for one in told)


def test_racing_writers_create_each_key_once(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Of nine writers with two contents per key, one creates it; the others get the stored run, and conflicts."""
    db, rounds = tmp_path / "runs.db", scale(5, 500)
    random = Random(rounds)  # noqa: S311 - no secrets
    requests = conflicts = 0
    with ExitStack() as stack:
        apis = [stack.enter_context(serve("--port", "0", "--db", str(db))).api for _ in range(SERVERS)]
        writers = [over_http(apis[number % SERVERS]) for number in range(WRITERS)]
        writers.append(in_process(stack.enter_context(open_store(db))))
        for number in range(rounds):
            name = f"round-{number}"
            told = race(name, writers, random)
            requests += len(told)
            conflicts += check(name, apis[number % SERVERS], told)
    with looked_into(db) as connection:
        assert integrity_errors(connection, thorough=True) == []
        assert disagreements(connection) == []
    figures(rounds=rounds, requests=requests, created=rounds * IDS, conflicts=conflicts, errors=0)
