"""What clients sent and what they were told, so that it can be held against what is stored.

The content of every run follows from its batch and its place there, so that a million runs need no memory.
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
"""The fields of a run that follow from what was sent."""


class State(Enum):
    """How far a write got, as its client knows."""

    NOT_SENT = auto()
    UNANSWERED = auto()
    ACKNOWLEDGED = auto()


@attrs.define
class Batch:
    """An upload: every ``bad_every``-th run of it is bad (0: none), each carries so many characters of ballast."""

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
        """What is sent; the same every time."""
        return [self._run(place) for place in range(self.size)]

    def good_runs(self) -> Iterator[Sent]:
        """The runs that can be stored."""
        return (run for place, run in enumerate(self.runs()) if not self._is_bad(place))

    @property
    def bad(self) -> int:
        """How many runs cannot be stored."""
        return self.size // self.bad_every if self.bad_every else 0

    @property
    def good(self) -> int:
        """How many runs can be stored."""
        return self.size - self.bad

    @property
    def patched_id(self) -> str:
        """The key of the run that is changed after the upload, which is a good one."""
        return f"{self.name}/0"

    @property
    def changes(self) -> Sent:
        """What is changed."""
        return {"status": "succeeded", "duration_ms": self.number, "metrics_json": {"n": 2**70}}

    def expected(self) -> dict[str, tuple[Any, ...]]:
        """The values of ``COLUMNS`` by key as they should be stored, before the change."""
        return {run["event_id"]: columns(kept_run(run, "")) for run in self.good_runs()}

    def changed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of a run after the change."""
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
    """Hold the stored runs of a batch, each as its ``COLUMNS``, against what its client was told; count what is amiss.

    ``lost``: runs that were acknowledged, and are missing or others. ``half``: atomic batches that are there in part.
    ``doubled`` and ``strange``: runs too many.
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
    """Whether a run is there, with the change if it was acknowledged, with or without it if it was not answered."""
    if expected[0] != batch.patched_id or batch.patch is State.NOT_SENT:
        return found == expected
    if batch.patch is State.ACKNOWLEDGED:
        return found == batch.changed(expected)
    return found in {expected, batch.changed(expected)}


class Ledger:
    """All batches that were sent to one database. Usable from several threads."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secrets
        self._lock = Lock()
        self.batches: list[Batch] = []

    def next_batch(self, *, heavy: bool) -> Batch:
        """A new batch, entered as unanswered; heavy ones fill the WAL."""
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
