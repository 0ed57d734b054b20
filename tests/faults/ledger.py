"""What clients sent and what they were told, to be compared with what is stored.

The content of every run follows from its batch and its index, so that a million runs need no memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from random import Random
from threading import Lock
from typing import Any, Final

import attrs

from core.model.run import FIELDS
from tests.properties.model import kept_run, kept_value

Sent = dict[str, Any]

AGENTS: Final = 7
JOBS: Final = 3
_SERVERS_OWN: Final = frozenset({"created_at", "updated_at"})
COLUMNS: Final = tuple(name for name in FIELDS if name not in _SERVERS_OWN)
"""The fields of a run that are compared."""


class State(Enum):
    """The outcome of a write, as far as its client knows."""

    NOT_SENT = auto()
    UNANSWERED = auto()
    ACKNOWLEDGED = auto()


@attrs.define
class Batch:
    """An upload: every ``bad_every``-th run is invalid (0: none), each carries this many characters of ballast."""

    number: int
    atomic: bool
    size: int
    bad_every: int
    ballast: int
    minimal: bool
    state: State = State.UNANSWERED
    patch: State = State.NOT_SENT

    @property
    def name(self) -> str:
        """The ``run_id`` of all its runs."""
        return f"batch-{self.number}"

    @property
    def endpoint(self) -> str:
        """Where it is sent."""
        return "batch-transactional" if self.atomic else "batch"

    def runs(self) -> list[Sent]:
        """Return the body; the same every time."""
        return [self._run(place) for place in range(self.size)]

    def good_runs(self) -> Iterator[Sent]:
        """The valid runs."""
        return (run for place, run in enumerate(self.runs()) if not self._is_bad(place))

    @property
    def bad(self) -> int:
        """The number of invalid runs."""
        return self.size // self.bad_every if self.bad_every else 0

    @property
    def good(self) -> int:
        """The number of valid runs."""
        return self.size - self.bad

    @property
    def patched_id(self) -> str:
        """The key of the valid run that is changed after the upload."""
        return f"{self.name}/0"

    @property
    def changes(self) -> Sent:
        """What is changed."""
        return {"status": "succeeded", "duration_ms": self.number, "metrics_json": {"n": 2**70}}

    def expected(self) -> dict[str, tuple[Any, ...]]:
        """Return the expected values of ``COLUMNS`` by key, before the change."""
        return {run["event_id"]: columns(kept_run(run, "")) for run in self.good_runs()}

    def changed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the values of a run after the change."""
        kept = {name: kept_value(name, value) for name, value in self.changes.items()}
        return columns(dict(zip(COLUMNS, values, strict=True)) | kept)

    def _is_bad(self, place: int) -> bool:
        return bool(self.bad_every) and place % self.bad_every == self.bad_every - 1

    def _run(self, place: int) -> Sent:
        return {
            "event_id": f"{self.name}/{place}",
            "run_id": self.name,
            "agent_name": f"agent-{(self.number + place) % AGENTS}",
            "job_type": f"job-{place % JOBS}",
            "start_time": f"2026-01-31T12:{place % 60:02}:{self.number % 60:02}.{place:06}Z",
            "status": "lost" if self._is_bad(place) else "running",
            "parent_run_id": f"batch-{self.number - 1}" if place % 2 else None,
            "context_json": {"place": place, "ballast": chr(97 + place % 26) * self.ballast},
            "shard": self.number,
        }


def columns(kept: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of ``COLUMNS``."""
    return tuple(kept[name] for name in COLUMNS)


def judge(batch: Batch, stored: Iterable[tuple[Any, ...]]) -> "Counter[str]":
    """Compare the stored runs of a batch, each as its ``COLUMNS``, with what its client was told; count the errors.

    ``lost``: acknowledged runs that are missing or different. ``half``: atomic batches stored in part. ``doubled`` and
    ``strange``: surplus runs.
    """
    rows = list(stored)
    found = {row[0]: row for row in rows}
    expected = batch.expected()
    missing = sum(not _is_as_told(batch, values, found.get(key)) for key, values in expected.items())
    amiss = {
        "lost": missing if batch.state is State.ACKNOWLEDGED else 0,
        "half": int(batch.atomic and 0 < len(found.keys() & expected.keys()) < len(expected)),
        "doubled": len(rows) - len(found),
        "strange": len(found.keys() - expected.keys()),
    }
    return +Counter(amiss)


def _is_as_told(batch: Batch, expected: tuple[Any, ...], found: tuple[Any, ...] | None) -> bool:
    """Return whether a run is stored, with an acknowledged change, or with or without an unanswered one."""
    if expected[0] != batch.patched_id or batch.patch is State.NOT_SENT:
        return found == expected
    if batch.patch is State.ACKNOWLEDGED:
        return found == batch.changed(expected)
    return found in {expected, batch.changed(expected)}


class Ledger:
    """All batches sent to one database. Thread-safe."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secrets
        self._lock = Lock()
        self.batches: list[Batch] = []

    def next_batch(self, *, heavy: bool) -> Batch:
        """Add a new batch, unanswered so far; heavy ones fill the WAL."""
        with self._lock:
            draw = self._random
            atomic = draw.random() < 0.5
            batch = Batch(
                number=len(self.batches),
                atomic=atomic,
                size=100 if heavy else draw.choice([1, 2, 10, 50, 100, 300]),
                bad_every=0 if atomic else draw.choice([0, 2, 7]),
                ballast=16_000 if heavy else draw.choice([0, 100, 1000]),
                minimal=draw.random() < 0.5,
            )
            self.batches.append(batch)
            return batch
