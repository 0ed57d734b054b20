"""A run store against a dictionary: whatever is sent in whatever order, both hold the same."""

from abc import abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from adapters.memory import MemoryStore
from adapters.sqlite import SqliteStore
from core.batch import BatchResult, Limits
from core.errors import BatchRolledBackError, EveryRunRefusedError, RunNotFoundError
from core.listing import PageRequest
from core.ports.clock import Clock
from core.ports.store import Store
from core.run import Timestamp
from entrypoints.application import Application
from entrypoints.embedded import RunStore
from tests.properties.model import CHANGEABLE, FIXED, Model, seen
from tests.properties.strategies import (
    COUNTS,
    STATUSES,
    commit_hashes,
    json_objects,
    sent_runs,
    sent_timestamps,
    texts,
)

Sent = dict[str, Any]

KEYS = st.sampled_from(["a", "b", "c", "\u00e9", "e\u0301", "\U0001f600", " "]) | texts(min_size=1, max_size=255)
RUNS = sent_runs(KEYS)

BAD_VALUES: list[tuple[str, Any]] = [
    ("event_id", ""),
    ("event_id", "x" * 256),
    ("event_id", 1),
    ("run_id", None),
    ("run_id", "\ud800"),
    ("agent_name", "a\0b"),
    ("job_type", ["j"]),
    ("start_time", "2026-01-31T12:00:00"),
    ("start_time", 0),
    ("status", "done"),
    ("status", "Success"),
    ("duration_ms", True),
    ("duration_ms", "12"),
    ("items_failed", -1),
    ("items_failed", 2**63),
    ("items_skipped", 1.0),
    ("metrics_json", "{}"),
    ("context_json", {"a": float("nan")}),
    ("context_json", {"\udfff": 1}),
    ("commit_hash", "123456"),
    ("commit_source", "MANUAL"),
    ("commit_timestamp", "yesterday"),
    ("extra", []),
]


@st.composite
def bad_runs(draw: st.DrawFn) -> tuple[Sent, str]:
    """A run with one field that breaks its rule, and the name of that field."""
    field, value = draw(st.sampled_from(BAD_VALUES))
    return {**draw(RUNS), field: value}, field


@st.composite
def changes(draw: st.DrawFn) -> Sent:
    """An update: any of the fields that can change."""
    values = {
        "status": st.sampled_from(sorted(STATUSES)),
        "end_time": st.none() | sent_timestamps(),
        **dict.fromkeys(COUNTS, st.none() | st.integers(0, 2**63 - 1)),
        **dict.fromkeys(("metrics_json", "context_json"), st.none() | json_objects()),
    }
    names = draw(st.lists(st.sampled_from(CHANGEABLE), unique=True, max_size=4))
    return {name: draw(values.get(name, st.none() | texts(max_size=12))) for name in names}


COMMITS = st.fixed_dictionaries(
    {"commit_hash": commit_hashes(), "commit_source": st.sampled_from(["manual", "llm", "ci"])},
    optional={"commit_author": st.none() | texts(max_size=12), "commit_timestamp": st.none() | sent_timestamps()},
)


class SteppedClock(Clock):
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.step = 0

    def now(self) -> Timestamp:
        return Timestamp(f"2026-06-01T00:00:00.{self.step:06}Z")


class StoreMachine(RuleBasedStateMachine):
    """Sends batches, updates and commits to a store and to the model, and compares all that comes back."""

    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.clock = SteppedClock()
        self.model = Model()
        self.store = self._open()

    def _open(self) -> RunStore:
        return RunStore(Application.over(self._raw_store(), self.clock, Limits()))

    @abstractmethod
    def _raw_store(self) -> Store: ...

    def teardown(self) -> None:
        self.store.close()

    @initialize(target=sent, runs=st.lists(RUNS, min_size=1, max_size=3))
    def first_batch(self, runs: list[Sent]) -> Any:
        """An empty store takes the first of each key."""
        self._compare(self.store.ingest_atomic(runs), runs)
        return multiple(*runs)

    @rule(
        target=sent, good=st.lists(RUNS, min_size=1, max_size=4), bad=st.lists(bad_runs(), max_size=3), data=st.data()
    )
    def lenient_batch(self, good: list[Sent], bad: list[tuple[Sent, str]], data: st.DataObject) -> Any:
        """The good runs are stored and the bad ones named, wherever they stand."""
        self.clock.step += 1
        mixed: list[tuple[Sent, str | None]] = data.draw(st.permutations([*[(run, None) for run in good], *bad]))
        result = self.store.ingest_lenient([run for run, _ in mixed])
        self._compare(result, [run if field is None else None for run, field in mixed])
        assert _named(result) == [(index, field) for index, (_, field) in enumerate(mixed) if field]
        return multiple(*good)

    @rule(bad=st.lists(bad_runs(), min_size=1, max_size=3))
    def hopeless_batch(self, bad: list[tuple[Sent, str]]) -> None:
        """A lenient batch without a good run stores nothing and names every run."""
        with pytest.raises(EveryRunRefusedError) as caught:
            self.store.ingest_lenient([run for run, _ in bad])
        assert _named(caught.value.result) == [(index, field) for index, (_, field) in enumerate(bad)]
        assert _counts(caught.value.result) == (len(bad), 0, 0, len(bad))

    @rule(target=sent, runs=st.lists(RUNS, min_size=1, max_size=4))
    def atomic_batch(self, runs: list[Sent]) -> Any:
        """An atomic batch of good runs is wholly there."""
        self.clock.step += 1
        self._compare(self.store.ingest_atomic(runs), runs)
        return multiple(*runs)

    @rule(good=st.lists(RUNS, max_size=3), bad=st.lists(bad_runs(), min_size=1, max_size=2), data=st.data())
    def poisoned_atomic_batch(self, good: list[Sent], bad: list[tuple[Sent, str]], data: st.DataObject) -> None:
        """An atomic batch with a bad run is not there at all, and every bad run is named."""
        mixed: list[tuple[Sent, str | None]] = data.draw(st.permutations([*[(run, None) for run in good], *bad]))
        with pytest.raises(BatchRolledBackError) as caught:
            self.store.ingest_atomic([run for run, _ in mixed])
        assert _named(caught.value.result) == [(index, field) for index, (_, field) in enumerate(mixed) if field]
        assert _counts(caught.value.result) == (len(mixed), 0, 0, len(mixed))

    @rule(runs=st.lists(sent, min_size=1, max_size=5), atomic=st.booleans())
    def retry(self, runs: list[Sent], atomic: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """Sending again what was sent before, in any mixture and by either door, creates nothing."""
        self.clock.step += 1
        result = (self.store.ingest_atomic if atomic else self.store.ingest_lenient)(runs)
        self._compare(result, runs)
        assert result.created == 0

    @rule(run=sent, other=RUNS, names=st.lists(st.sampled_from(sorted(FIXED - {"event_id"})), max_size=3))
    def retry_with_other_content(self, run: Sent, other: Sent, names: list[str]) -> None:
        """Whatever comes under a known key creates and changes nothing; a fixed field that differs is a conflict."""
        changed = {**run, **{name: other[name] for name in names if name in other}}
        if {"shard", "gpu"} & (changed.get("extra") or {}).keys():
            return
        self._compare(self.store.ingest_lenient([changed]), [changed])

    @rule(run=sent, what=changes())
    def update(self, run: Sent, what: Sent) -> None:
        """An update changes the fields it names, and no other."""
        self.clock.step += 1
        updated = self.store.update(run["event_id"], what)
        assert seen(updated) == self.model.change(run["event_id"], what, self.clock.now())

    @rule(run=sent, commit=COMMITS)
    def associate_commit(self, run: Sent, commit: Sent) -> None:
        """A commit takes the place of an earlier one as a whole."""
        self.clock.step += 1
        whole = {"commit_author": None, "commit_timestamp": None, **commit}
        tied = self.store.associate_commit(run["event_id"], commit)
        assert seen(tied) == self.model.change(run["event_id"], whole, self.clock.now())

    @rule(event_id=texts(min_size=1), what=changes())
    def update_of_nothing(self, event_id: str, what: Sent) -> None:
        """An unknown key has nothing to update."""
        if event_id not in self.model.kept:
            with pytest.raises(RunNotFoundError):
                self.store.update(event_id, what)

    @rule(run=sent)
    def newest(self, run: Sent) -> None:
        """A name gives the newest of its runs, and is unknown if only runs of known keys were sent with it."""
        named = [kept for kept in self.model.newest_first() if kept["run_id"] == run["run_id"]]
        if named:
            assert seen(self.store.get(run["run_id"])) == named[0]
        else:
            with pytest.raises(RunNotFoundError):
                self.store.get(run["run_id"])

    @invariant()
    def the_list_is_the_models(self) -> None:
        """Reading the whole list gives the model's runs in the model's order, and their number."""
        page = self.store.page(request=PageRequest(limit=1000))
        assert list(map(seen, page.runs)) == self.model.newest_first()
        assert page.total == len(self.model.kept)

    @invariant()
    def the_names_are_the_models(self) -> None:
        """The metadata are the distinct names of the model's runs."""
        kept = self.model.kept.values()
        metadata = self.store.metadata()
        assert list(metadata.agent_names) == sorted({run["agent_name"] for run in kept})
        assert list(metadata.job_types) == sorted({run["job_type"] for run in kept})

    def _compare(self, result: BatchResult, runs: list[Sent] | list[Sent | None]) -> None:
        """Compare a result with the model's, in which the bad runs are ``None``."""
        sent = [(index, run) for index, run in enumerate(runs) if run is not None]
        expected = self.model.ingest(sent, self.clock.now())
        failed = len(runs) - len(sent)
        assert _counts(result) == (len(runs), expected.created, len(sent) - expected.created, failed)
        assert result.total == result.created + result.existing + result.failed
        assert list(map(seen, result.runs)) == expected.runs
        assert _conflicts(result) == expected.conflicts


def _counts(result: BatchResult) -> tuple[int, int, int, int]:
    return result.total, result.created, result.existing, result.failed


def _named(result: BatchResult) -> list[tuple[int, str | None]]:
    return [(refused.index, fault.field) for refused in result.refused for fault in refused.faults]


def _conflicts(result: BatchResult) -> list[tuple[int, str, frozenset[str]]]:
    return [(conflict.index, conflict.event_id, frozenset(conflict.fields)) for conflict in result.conflicts]


class MemoryMachine(StoreMachine):
    """Over the store in memory, which cannot be reopened."""

    def _raw_store(self) -> Store:
        return MemoryStore()


class SqliteMachine(StoreMachine):
    """Over a file, which can be closed and opened at any moment."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        super().__init__()

    def _raw_store(self) -> Store:
        return SqliteStore(Path(self.folder.name) / "runs.db")

    @rule()
    def reopen(self) -> None:
        """Closing and opening again changes nothing."""
        self.store.close()
        self.store = self._open()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemory = MemoryMachine.TestCase
TestSqlite = SqliteMachine.TestCase
TestMemory.settings = TestSqlite.settings = settings(deadline=None, max_examples=25, stateful_step_count=20)
